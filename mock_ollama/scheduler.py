"""Who may run: slots of a loaded model, a queue before them, and loading where it is needed."""

from collections import deque
from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mock_ollama.catalogue import Model
from mock_ollama.options import RunnerOptions
from mock_ollama.refused import Refused
from mock_ollama.residency import Residency

MAX_QUEUE = 512

_BUSY = "server busy, please try again.  maximum pending requests exceeded"


@frozen
class Place:
    """A request's place in a loaded model; `waited` are the seconds until it had it."""

    waited: float
    leave: Callable[[], None]


@define(eq=False)
class _Waiter:
    options: RunnerOptions
    keep_alive: float | None
    since: float
    place: Deferred[Place]


@define
class _Line:
    """The requests of one model: those that wait, and whether a load or a pass is under way."""

    slots: int = 0
    waiting: deque[_Waiter] = field(factory=deque)
    loading: IDelayedCall | None = None
    is_advancing: bool = False


@define(eq=False)
class Scheduler:
    """Gives places in order of arrival, model by model.

    `num_parallel` is how many requests run on one model at once, 0 for any number, and always one
    on a model that embeds; `max_queue` is how many may wait in all, and `load_time` what it takes
    to load a model, in seconds. A request whose options differ from the loaded runner's waits
    until that one is idle, and then has it loaded anew.
    """

    clock: IReactorTime
    residency: Residency
    num_parallel: int = 0
    max_queue: int = MAX_QUEUE
    load_time: float = 0.0
    _lines: dict[str, _Line] = field(factory=dict)

    def enter(
        self, model: Model, options: RunnerOptions, keep_alive: float | None
    ) -> Deferred[Place]:
        """Wait for a place; whoever gets one has to leave it.

        Cancelling gives up the wait. Raises Refused (503) if too many are waiting.
        """
        line = self._lines.setdefault(model.name, _Line())
        embeds = "embedding" in model.capabilities
        line.slots = min(self.num_parallel, 1) if embeds else self.num_parallel

        def give_up(_: Deferred[Place]) -> None:
            line.waiting.remove(waiter)
            self._advance(model.name, line)

        waiter = _Waiter(options, keep_alive, self.clock.seconds(), Deferred(give_up))
        line.waiting.append(waiter)
        self._advance(model.name, line)
        if not waiter.place.called and self._waiting() > self.max_queue:
            line.waiting.remove(waiter)
            raise Refused(503, _BUSY)
        return waiter.place

    def _waiting(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def _advance(self, name: str, line: _Line) -> None:
        """Give places until the first in line has to wait."""
        if line.is_advancing:
            return
        line.is_advancing = True
        try:
            while line.waiting and line.loading is None and self._admit(name, line):
                pass
        finally:
            line.is_advancing = False

    def _admit(self, name: str, line: _Line) -> bool:
        """Do the next thing for the first in line, and say whether another may follow at once."""
        waiter = line.waiting[0]
        now = self.clock.seconds()
        runner = self.residency.runner(name, now)
        if runner is None or not runner.options.suits(waiter.options):
            if runner is not None and runner.users:
                return False
            self.residency.load(name, waiter.options, now + self.load_time)
            if self.load_time:
                line.loading = self.clock.callLater(self.load_time, self._loaded, name, line)
            return not self.load_time
        if line.slots and runner.users >= line.slots:
            return False
        line.waiting.popleft()
        runner.users += 1
        if waiter.keep_alive is not None:
            runner.keep_alive = waiter.keep_alive
        runner.extend(now)

        def leave() -> None:
            runner.users -= 1
            runner.extend(self.clock.seconds())
            self._advance(name, line)

        waiter.place.callback(Place(now - waiter.since, leave))
        return True

    def _loaded(self, name: str, line: _Line) -> None:
        line.loading = None
        self._advance(name, line)
