"""Two gateways, one tenant, one Redis, one ledger: what they know, and how they speak.

Each script runs on the real server and in the model; both have to answer alike.
"""

from collections import Counter
from itertools import count
from uuid import uuid4

from attrs import define, evolve, field
from hypothesis.stateful import RuleBasedStateMachine

from tests.admission_known import UNKNOWN
from tests.admission_model import Model
from tests.script_session import TIMED, Beat, Line, RedisSession, TenantScripts

BEGIN_MS = 1_795_392_000_000 - 5_000  # five seconds before a day begins
MONTHS_END_MS = 1_796_083_200_000 - 500  # half a second before December
MINUTE_MS = 60_000
KEYS = ("k:a", "k:b")
PROCESSES = (0, 1)


@define(eq=False)
class Running:
    """A call as its gateway knows it: what it may use, and what it has used."""

    id: str
    key: str
    day: str
    reserved: int
    prompt: int = 0
    used: int = 0
    cost: int | None = None

    @property
    def beat(self) -> Beat:
        """What a heartbeat says of it."""
        runs = self.cost is None
        tokens = self.reserved if self.cost is None else self.cost
        return Beat(id=self.id, key=self.key, tokens=tokens, day=self.day, runs=runs)


@define
class Gateway:
    """What one process knows."""

    running: dict[str, Running] = field(factory=dict)
    completed: dict[str, Running] = field(factory=dict)

    @property
    def calls(self) -> list[Running]:
        """All that a heartbeat puts back after a loss."""
        return [*self.running.values(), *self.completed.values()]


@define
class Admitted:
    """An admission, for the count of a minute; `at` is on a clock that nobody sets."""

    at: int
    key: str
    taken: int
    call: Running

    @property
    def held(self) -> int:
        """The tokens that a minute holds for it at least."""
        return self.taken if self.call.cost is None else min(self.taken, self.call.cost)


class AdmissionWorld(RuleBasedStateMachine):
    """All that there is; rules say what happens to it."""

    session: RedisSession

    def __init__(self) -> None:
        super().__init__()
        self.session.call("FLUSHALL")
        self.wall_ms = BEGIN_MS
        self.true_ms = 0
        self.session.set_clock(self.wall_ms)
        self.tenant = TenantScripts(self.session, str(uuid4()), TIMED)
        self.model = Model(self.wall_ms)
        self.ids = (f"c{number}" for number in count())
        self.gateways = {process: Gateway() for process in PROCESSES}
        self.unused: dict[str, Running] = {}
        self.orphans: dict[str, Running] = {}
        self.ledger: Counter[tuple[str, str, str]] = Counter()
        self.unacknowledged: list[list[str]] = []
        self.admitted: list[Admitted] = []
        self.at_months_end = False
        self.rebuild()

    # What both have to answer alike

    def same(self, answer: list[int], expected: list[int]) -> list[int]:
        """Hold the scripts against the model."""
        if answer != expected:
            raise AssertionError(f"Redis answers {answer}, the model {expected}")
        return answer

    def ask(self, call_id: str, key: str, prompt: int, lease: int, epoch: int) -> list[int]:
        """Ask for an admission; again where the ledger has to be read first."""
        answer = self.ask_once(call_id, key, prompt, lease, epoch)
        if answer == [UNKNOWN]:
            self.rebuild()
            answer = self.ask_once(call_id, key, prompt, lease, epoch)
        return answer

    def ask_once(self, call_id: str, key: str, prompt: int, lease: int, epoch: int) -> list[int]:
        """Ask for an admission."""
        self.tenant.epoch = epoch
        answer = self.tenant.admit(call_id, key[2:], prompt, lease)
        gen = self.tenant.gen
        return self.same(
            answer, self.model.admit(call_id, key, prompt, lease, gen=gen, epoch=epoch)
        )

    def release(self, call: Running) -> None:
        """Give an admission back."""
        answer = self.tenant.release(call.id, call.key[2:])
        self.same(answer, self.model.release(call.id, call.key))

    def beat(self, calls: list[Running]) -> None:
        """Say that calls are alive."""
        beats = [call.beat for call in calls]
        answer = self.tenant.heartbeat([evolve(beat, key=beat.key[2:]) for beat in beats])
        self.same(answer, self.model.heartbeat(beats, gen=self.tenant.gen))

    def lines(self) -> list[Line]:
        """All that the ledger has."""
        return [(*term, tokens) for term, tokens in self.ledger.items()]

    def tell_flushed(self, ids: list[str]) -> None:
        """Say what the ledger has."""
        lines = self.lines()
        answer = self.tenant.flushed(ids, lines)
        self.same(answer, self.model.flushed(ids, lines, gen=self.tenant.gen))

    def rebuild(self) -> None:
        """Tell Redis all again; twice, since each gateway does."""
        lines = self.lines()
        for _ in PROCESSES:
            self.same(self.tenant.rebuild(lines), self.model.rebuild(lines, gen=self.tenant.gen))
        for gateway in self.gateways.values():
            self.beat(gateway.calls)

    # The truth

    def truly_used(self, scope: str, period: str, first: str) -> int:
        """What calls of a period have used, whoever knows of it."""
        known = self.calls()
        # What died with a gateway and was lost with Redis in the same moment is known to nobody.
        known += [call for call in self.orphans.values() if call.id in self.model.pendings]
        return self.ledger[scope, period, first] + sum(
            call.used
            for call in known
            if scope in ("t", call.key) and (period, first) in periods(call.day)
        )

    def charge(self, calls: dict[str, Running]) -> None:
        """Write calls to the ledger."""
        for call in calls.values():
            for scope in ("t", call.key):
                for period, first in periods(call.day):
                    self.ledger[scope, period, first] += call.cost or 0

    def calls(self) -> list[Running]:
        """The calls that a gateway knows."""
        return [call for one in self.gateways.values() for call in one.calls]

    def fields(self) -> dict[str, bytes]:
        """All that is kept of the budgets."""
        fields = self.session.call("HGETALL", self.tenant.key("bud"))
        names = [name.decode() for name in fields[::2]]
        return dict(zip(names, fields[1::2], strict=True))

    def running(self) -> dict[str, Running]:
        """The calls that run."""
        return self.gateways[0].running | self.gateways[1].running

    def known_running(self) -> dict[str, Running]:
        """Those of them of which Redis knows."""
        return {name: call for name, call in self.running().items() if name in self.model.pendings}

    def set_clock(self, ms: int) -> None:
        """Set Redis' clock."""
        self.wall_ms = self.model.wall_ms = ms
        self.session.set_clock(ms)


def pick(calls: dict[str, Running], where: int) -> Running:
    """One of some calls."""
    return list(calls.values())[where % len(calls)]


def periods(day: str) -> list[tuple[str, str]]:
    """The periods that a day is in, with their first days as the ledger has them."""
    return [("day", day), ("month", f"{day[:8]}01"), ("total", "1970-01-01")]
