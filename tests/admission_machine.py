"""Any sequence of what may happen to two gateways, one tenant, one Redis and one ledger.

What is asserted beside that Redis answers as the model does not rest on the model: what was truly
used, admitted and run at once.
"""

from itertools import product

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.admission_known import GONE, OK, REFUSED, STALE, UNKNOWN, day_of
from tests.admission_world import (
    BEGIN_MS,
    KEYS,
    MINUTE_MS,
    MONTHS_END_MS,
    PROCESSES,
    AdmissionWorld,
    Admitted,
    Gateway,
    Running,
    periods,
    pick,
)

RATES = st.sampled_from([-1, -1, -1, 12, 5, 2, 0])
TPM = st.sampled_from([-1, -1, -1, 1000, 300, 30])
SLOTS = st.sampled_from([-1, -1, 5, 3, 1])
BUDGETS = st.sampled_from([-1] * 8 + [3000, 1000, 400, 100, 0])
LIMITS = st.tuples(RATES, TPM, SLOTS, BUDGETS, BUDGETS, BUDGETS)
SOMEWHERE = st.integers(0, 10**6)
PROCESS = st.sampled_from(PROCESSES)


class AdmissionMachine(AdmissionWorld):
    """What is used is never more than Redis thinks, and at rest it is the same."""

    # What may happen

    @initialize(begin=st.sampled_from([BEGIN_MS, MONTHS_END_MS]), tenant=LIMITS, key=LIMITS)
    def limit(self, begin: int, tenant: tuple[int, ...], key: tuple[int, ...]) -> None:
        """A day or a month is about to end; limits are set before anybody comes."""
        self.at_months_end = begin == MONTHS_END_MS
        self.wait(begin - self.wall_ms)
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
        call = Running(call_id, key, day, prompt + answer[1], prompt)
        self.hold_limits(call)
        self.admitted.append(Admitted(self.true_ms, key, call.reserved, call))
        if answer_lost:
            self.unused[call_id] = call
        else:
            self.gateways[process].running[call_id] = call
        again = self.ask(call_id, key, prompt, lease, self.model.epoch or 1)
        assert again[:3] == answer[:3], "the same call has another answer"

    @precondition(lambda self: self.known_running())
    @rule(where=SOMEWHERE)
    def duplicate(self, where: int) -> None:
        """An admission comes twice, the second time long after the first."""
        call = pick(self.known_running(), where)
        answer = self.ask(call.id, call.key, call.prompt, 1, self.model.epoch or 1)
        assert answer[:2] == [OK, call.reserved - call.prompt], "the same call has another answer"

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
    @rule(key=st.sampled_from(KEYS), prompt=st.integers(0, 120), over=st.booleans())
    def months_end(self, key: str, prompt: int, over: bool) -> None:  # noqa: FBT001 - as above
        """The month is about to end, and may have ended while a call runs."""
        self.at_months_end = True
        self.wait(MONTHS_END_MS - BEGIN_MS)
        self.admit_one(0, key, prompt, 60, answer_lost=False)
        self.wait(1000 if over else 1)

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
        assert self.ask_once(call.id, key, 1, 1, epoch) == [UNKNOWN]
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

    @rule(key=st.sampled_from(KEYS))
    def look(self, key: str) -> None:
        """Somebody asks what is left."""
        self.same(self.tenant.look(key[2:]), self.model.look(key, gen=self.tenant.gen))

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
        days = {day_of(self.wall_ms), *(call.day for call in self.calls())}
        for scope, day in product(("t", *KEYS), days):
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
