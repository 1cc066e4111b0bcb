"""Two gateways, one tenant, one Redis, one ledger: any sequence of what may happen to them.

Each step is made on the real server and in the model; both have to answer alike. What is asserted
beside that does not rest on the model: what was truly used, admitted and run at once.
"""

from collections import Counter
from itertools import count
from uuid import uuid4

from attrs import define, evolve, field
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.admission_model import GONE, OK, REFUSED, STALE, UNKNOWN, Model, day_of
from tests.script_session import TIMED, Beat, Line, RedisSession, TenantScripts

BEGIN_MS = 1_795_392_000_000 - 5_000  # five seconds before a day begins
MONTHS_END_MS = 1_796_083_200_000 - 500  # half a second before December
MINUTE_MS = 60_000
KEYS = ("k:a", "k:b")
PROCESSES = (0, 1)

RATES = st.sampled_from([-1, -1, -1, 12, 5, 2, 0])
TPM = st.sampled_from([-1, -1, -1, 1000, 300, 30])
SLOTS = st.sampled_from([-1, -1, -1, 8, 3, 1])
BUDGETS = st.sampled_from([-1] * 8 + [3000, 1000, 400, 100, 0])
LIMITS = st.tuples(RATES, TPM, SLOTS, BUDGETS, BUDGETS, BUDGETS)
SOMEWHERE = st.integers(0, 10**6)
PROCESS = st.sampled_from(PROCESSES)


@define(eq=False)
class Running:
    """A call as its gateway knows it: what it may use, and what it has used."""

    id: str
    key: str
    day: str
    reserved: int
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


class AdmissionMachine(RuleBasedStateMachine):
    """What is used is never more than Redis thinks, and at rest it is the same."""

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

    # What may happen

    @initialize(tenant=LIMITS, key=LIMITS)
    def limit(self, tenant: tuple[int, ...], key: tuple[int, ...]) -> None:
        """Limits are set before anybody comes."""
        self.change_limits("t", tenant)
        self.change_limits(KEYS[0], key)

    @rule(
        process=PROCESS,
        key=st.sampled_from(KEYS),
        prompt=st.integers(0, 120),
        lease=st.sampled_from([0, 1, 60]),
        lost=st.sampled_from([(False,), (True, False), (False,) * 7]),
    )
    def admit(
        self, process: int, key: str, prompt: int, lease: int, lost: tuple[bool, ...]
    ) -> None:
        """Calls come; where an answer is lost, nobody uses the admission."""
        for answer_lost in lost:
            self.admit_one(process, key, prompt, lease, answer_lost=answer_lost)

    def admit_one(
        self, process: int, key: str, prompt: int, lease: int, *, answer_lost: bool
    ) -> None:
        """A call comes."""
        call_id = next(self.ids)
        answer = self.ask(call_id, key, prompt, lease, self.model.epoch or 1)
        if answer[0] != OK:
            return
        day = f"{answer[2] // 10000:04}-{answer[2] // 100 % 100:02}-{answer[2] % 100:02}"
        call = Running(call_id, key, day, prompt + answer[1])
        self.hold_limits(call)
        self.admitted.append(Admitted(self.true_ms, key, call.reserved, call))
        if answer_lost:
            self.unused[call_id] = call
        else:
            self.gateways[process].running[call_id] = call
        again = self.ask(call_id, key, prompt, lease, self.model.epoch or 1)
        assert again[:3] == answer[:3], "the same call has another answer"

    @precondition(lambda self: self.unused)
    @rule(where=SOMEWHERE)
    def give_up(self, where: int) -> None:
        """An admission that nobody uses is released, and acknowledged twice."""
        call = pick(self.unused, where)
        del self.unused[call.id]
        self.admitted = [one for one in self.admitted if one.call is not call]
        for _ in PROCESSES:
            self.release(call)

    @rule(key=st.sampled_from(KEYS), prompt=st.integers(0, 120))
    def late(self, key: str, prompt: int) -> None:
        """An admission arrives when it has been given up."""
        call = Running(next(self.ids), key, "", 0)
        self.release(call)
        answer = self.ask(call.id, key, prompt, 1, self.model.epoch or 1)
        assert answer[0] == REFUSED, "an admission that was given up is admitted"

    @precondition(lambda self: self.running())
    @rule(where=SOMEWHERE, more=st.integers(0, 200), used=st.integers(0, 300))
    def extend(self, where: int, more: int, used: int) -> None:
        """A call draws a lease, asks again for the same, and uses some of what it has."""
        call = pick(self.running(), where)
        want = call.reserved + more
        for _ in PROCESSES:
            answer = self.tenant.extend(call.id, call.key[2:], want)
            self.same(answer, self.model.extend(call.id, want, gen=self.tenant.gen))
        call.reserved = answer[1]
        call.used = min(call.reserved, call.used + used)

    @precondition(lambda self: self.running())
    @rule(where=SOMEWHERE, short=st.sampled_from([0, 0, 0, 50]))
    def settle(self, where: int, short: int) -> None:
        """A call ends, with what it used, or with more where its estimate was short."""
        call = pick(self.running(), where)
        owner = next(one for one in self.gateways.values() if call.id in one.running)
        call.used = call.cost = call.used + short
        owner.completed[call.id] = owner.running.pop(call.id)
        for cost in (call.cost, call.cost + 7):
            answer = self.tenant.settle(call.id, call.key[2:], cost)
            self.same(answer, self.model.settle(call.id, call.key, cost, gen=self.tenant.gen))
        self.beat([call])

    @rule(process=PROCESS, lost=st.booleans())
    def flush(self, process: int, lost: bool) -> None:  # noqa: FBT001 - a rule's argument
        """What has ended goes to the ledger; Redis hears of it now or later."""
        completed, self.gateways[process].completed = self.gateways[process].completed, {}
        self.charge(completed)
        if lost:
            self.unacknowledged.append(list(completed))
        else:
            self.tell_flushed(list(completed))

    @precondition(lambda self: self.unacknowledged)
    @rule()
    def flush_again(self) -> None:
        """What Redis has not heard is told until it has, and once more."""
        ids = self.unacknowledged.pop()
        for _ in PROCESSES:
            self.tell_flushed(ids + ids)

    @rule(process=PROCESS)
    def crash(self, process: int) -> None:
        """A gateway dies, and comes back knowing nothing."""
        for call in self.gateways[process].calls:
            call.cost = call.reserved if call.cost is None else call.cost
            self.orphans[call.id] = call
        self.gateways[process] = Gateway()

    @precondition(lambda self: self.orphans)
    @rule()
    def adopt(self) -> None:
        """The spool of the dead is flushed: what had not ended is charged as reserved."""
        orphans, self.orphans = self.orphans, {}
        self.charge(orphans)
        self.tell_flushed(list(orphans))

    @rule(ms=st.sampled_from([1, 300, 999, 1000, 5000, 9000, 29_000, 31_000, 61_000, 1_000_000]))
    def wait(self, ms: int) -> None:
        """Time passes; gateways speak for their calls every ten seconds."""
        self.true_ms += ms
        self.set_clock(self.wall_ms + ms)
        if ms > MINUTE_MS:
            self.beat(self.calls())
        elif ms > 1000:
            self.beat(list(self.running().values()))

    @precondition(lambda self: not self.at_months_end)
    @rule()
    def months_end(self) -> None:
        """The month is about to end."""
        self.at_months_end = True
        while self.unacknowledged:
            self.flush_again()
        self.wait(MONTHS_END_MS - BEGIN_MS)

    @rule(ms=st.sampled_from([1, 500, 5000, 61_000, 3_600_000]))
    def step_back(self, ms: int) -> None:
        """Somebody sets Redis' clock back."""
        self.set_clock(self.wall_ms - ms)

    @rule(flushed=st.booleans(), key=st.sampled_from(KEYS))
    def lose(self, flushed: bool, key: str) -> None:  # noqa: FBT001 - a rule's argument
        """Redis is emptied, or comes back as it was; nothing is admitted before it knows all."""
        if flushed:
            self.session.call("FLUSHALL")
            self.session.set_clock(self.wall_ms)
            self.model.lose()
            self.admitted.clear()
        self.tenant.gen = str(int(self.tenant.gen) + 1)
        call = Running("none", key, "2026-11-23", 1)
        epoch = self.model.epoch or 1
        assert self.ask(call.id, key, 1, 1, epoch) == [UNKNOWN]
        gen = self.tenant.gen
        self.same(self.tenant.extend(call.id, "a", 9), self.model.extend(call.id, 9, gen=gen))
        self.same(
            self.tenant.settle(call.id, "a", 9), self.model.settle(call.id, "k:a", 9, gen=gen)
        )
        self.same(self.tenant.flushed([], []), self.model.flushed([], [], gen=gen))
        self.beat([call])
        self.rebuild()
        answer = self.tenant.settle(call.id, "a", 9)
        assert self.same(answer, self.model.settle(call.id, "k:a", 9, gen=gen)) == [GONE]

    @rule(key=st.sampled_from(KEYS))
    def revoke(self, key: str) -> None:
        """Something of the tenant changes; who has not heard of it is not admitted."""
        known = self.model.epoch or 1
        self.tenant.raise_epoch(known + 1)
        self.model.epoch = known + 1
        assert self.ask(next(self.ids), key, 1, 1, known) == [STALE, known + 1]

    @rule(scope=st.sampled_from(("t", *KEYS)), limits=LIMITS)
    def change_limits(self, scope: str, limits: tuple[int, ...]) -> None:
        """An operator sets limits."""
        self.model.limits[scope] = limits
        self.tenant.limits[scope.removeprefix("k:")] = limits

    @rule(key=st.sampled_from(KEYS))
    def read_a_list(self, key: str) -> None:
        """A list is read."""
        self.tenant.epoch = epoch = self.model.epoch or 1
        answer = self.tenant.count(key[2:])
        self.same(answer, self.model.count(key, gen=self.tenant.gen, epoch=epoch))

    # What must hold

    def hold_limits(self, call: Running) -> None:
        """No minute, no moment and no period has more than its limit, with this call in it."""
        minute = [one for one in self.admitted if one.at > self.true_ms - MINUTE_MS]
        for scope in ("t", call.key):
            rpm, tpm, slots, *budgets = self.model.limits_of(scope)
            mine = [one for one in minute if scope in ("t", one.key)]
            assert rpm < 0 or len(mine) + 1 <= rpm, "too many requests in a minute"
            tokens = sum(one.held for one in mine)
            assert tpm < 0 or tokens + call.reserved <= tpm, "too many tokens in a minute"
            running = [one for one in self.running().values() if scope in ("t", one.key)]
            assert slots < 0 or len(running) + 1 <= slots, "too many calls at once"
            for (period, first), budget in zip(periods(call.day), budgets, strict=True):
                used = self.truly_used(scope, period, first) + call.reserved
                assert budget < 0 or used <= budget, "more than the budget has"

    @invariant()
    def never_under_counted(self) -> None:
        """Redis' sums are those of its pendings, and no less than what was truly used."""
        known = self.fields()
        day = day_of(self.wall_ms)
        for scope in ("t", *KEYS):
            for period, first in periods(day):
                term = f"{scope}:{period}" + ("" if period == "total" else f":{first}")
                used = sum(int(known.get(f"{kind}:{term}", 0)) for kind in ("base", "sum"))
                assert used == self.model.spent(scope, period, day), term
                assert used >= self.truly_used(scope, period, first), term

    def teardown(self) -> None:
        """At rest, what is used is what the ledger has."""
        for where in range(len(self.unused)):
            self.give_up(where)
        for process in PROCESSES:
            for _ in range(len(self.gateways[process].running)):
                self.settle(0, 0)
        self.crash(0)
        self.adopt()
        self.flush(1, lost=False)
        while self.unacknowledged:
            self.flush_again()
        day = day_of(self.wall_ms)
        fields = self.fields()
        assert not [name for name in fields if name.startswith("sum:")], fields
        for scope in ("t", *KEYS):
            for period, first in periods(day):
                used = self.model.spent(scope, period, day)
                assert used == self.ledger[scope, period, first], (scope, period)

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
