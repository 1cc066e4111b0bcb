"""Several waits, one after the other, that end in time, and say truthfully why each ended."""

from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from neuronetz_twisted.errors import DeadlinePassed

T = TypeVar("T")


@define(eq=False)
class Timeouts:
    """Deadlines of one length, which pass in the order in which they start: one timer for all."""

    _clock: IReactorTime
    _seconds: float
    _due: "dict[Deadline, float]" = field(factory=dict, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)

    def start(self, deadline: "Deadline") -> None:
        """Let it pass in due time."""
        self._due[deadline] = self._clock.seconds() + self._seconds
        if self._timer is None:
            self._timer = self._clock.callLater(self._seconds, self._pass)

    def end(self, deadline: "Deadline") -> None:
        """Let it not pass; without deadlines there is no timer."""
        if self._due.pop(deadline, None) is None or self._due:
            return
        # While deadlines pass there is none to cancel, and `_pass` sees to the next.
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._timer = None

    def _pass(self) -> None:
        now = self._clock.seconds()
        while self._due:
            deadline, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self._clock.callLater(due - now, self._pass)
                return
            del self._due[deadline]
            deadline.expire()
        self._timer = None


@define(eq=False)
class Deadline:
    """For all waits of one piece of work; as a context it ends with the work.

    When it passes, or somebody interrupts the work before, the Deferred that is awaited is
    cancelled, and must fail with `CancelledError` then, as those of our own agent do. The context
    raises `DeadlinePassed` or the interruption in its place; a cancel from outside stays a
    `CancelledError`.
    """

    _timeouts: Timeouts
    _started: bool = field(default=False, init=False)
    _awaited: Deferred[Any] | None = field(default=None, init=False)
    _interruption: Exception | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._awaited = None
        if self._started:
            self._timeouts.end(self)
        if self._interruption is not None and isinstance(error, CancelledError):
            raise self._interruption from None

    def start(self) -> None:
        """Let it run; where it runs already, it goes on."""
        if not self._started:
            self._started = True
            self._timeouts.start(self)

    def wait(self, inner: Deferred[T]) -> Deferred[T]:
        """Bound the wait for `inner`, which is cancelled at the deadline; gives it back."""
        self._awaited = inner
        if self._interruption is not None:
            inner.cancel()
        return inner

    def interrupt(self, interruption: Exception) -> None:
        """End the wait, and those to come; the first interruption is the one that is raised."""
        if self._interruption is None:
            self._interruption = interruption
            if self._awaited is not None:
                self._awaited.cancel()

    def expire(self) -> None:
        """Pass: it is time."""
        self.interrupt(DeadlinePassed())
