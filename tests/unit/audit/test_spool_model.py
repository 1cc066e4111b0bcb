"""A spool through any sequence of calls, faults, deaths and adoptions, against a list."""

from uuid import UUID, uuid4

import orjson
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.orphan import adopt
from neuronetz_twisted.audit.record import Final  # noqa: TC001 - as below
from neuronetz_twisted.audit.slot import Slot  # noqa: TC001 - hypothesis reads annotations
from neuronetz_twisted.audit.spool import Spool
from neuronetz_twisted.errors import AuditUnavailable
from tests.unit.audit.spools import LIMITS, SpoolTestCase, Threads, final, id_in, intent

SIZES = st.sampled_from([0, 100, 3000, 7000])
SOMEWHERE = st.integers(0, 10**6)


class SpoolMachine(RuleBasedStateMachine):
    """What was begun ends exactly once, in an unbroken chain, whatever dies in between."""

    case: SpoolTestCase
    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.case.setUp()
        self.open: dict[UUID, tuple[Slot, int]] = {}
        self.waiting: set[UUID] = set()
        self.expected: set[UUID] = set()
        self.flushed: dict[UUID, list[Final]] = {}
        self.broke = False
        self.spool = self.made()

    def made(self) -> Spool:
        """The spool of a new process."""
        return self.case.made(
            evolve(LIMITS, max_bytes=16 << 16, buffer_records=10**6), durable=self.durable
        )

    @rule(size=SIZES)
    def begin(self, size: int) -> None:
        """A call is admitted, or refused."""
        request = uuid4()
        try:
            slot = self.spool.open(str(request), intent(request, size))
        except AuditUnavailable:
            return
        self.open[request] = (slot, 100)

    def one(self, where: int) -> UUID:
        """One of the open calls."""
        return list(self.open)[where % len(self.open)]

    @precondition(lambda self: self.open)
    @rule(where=SOMEWHERE, tokens=st.integers(1, 10**9))
    def extend(self, where: int, tokens: int) -> None:
        """A call gets a further lease, or is refused it."""
        request = self.one(where)
        slot, _ = self.open[request]
        try:
            slot.extend(tokens)
        except AuditUnavailable:
            return
        self.open[request] = (slot, tokens)

    @precondition(lambda self: self.open)
    @rule(where=SOMEWHERE, size=SIZES)
    def complete(self, where: int, size: int) -> None:
        """A call ends."""
        request = self.one(where)
        self.open.pop(request)[0].complete(final(request, size))
        self.expected.add(request)

    @rule(size=SIZES)
    def note(self, size: int) -> None:
        """A request is refused on record."""
        request = uuid4()
        if self.spool.note(final(request, size)):
            self.expected.add(request)

    @rule(seconds=st.sampled_from([0.005, 1.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.case.clock.advance(seconds)

    @rule()
    def break_a_file(self) -> None:
        """The next write fails."""
        self.broke = True
        tape, real = self.spool._tape, self.spool._tape._pwrite

        def once(fd: int, data: bytes, offset: int) -> int:
            tape._pwrite = real
            return real(fd, data[: len(data) // 2], offset)

        if tape._pwrite == self.case.disks._pwrite:
            tape._pwrite = once

    @rule(broken=st.booleans())
    def disk(self, broken: bool) -> None:  # noqa: FBT001 - a rule's argument
        """The disk takes nothing, or takes all again."""
        self.case.disks.broken = broken

    @rule(unsynced=st.booleans())
    def syncs(self, unsynced: bool) -> None:  # noqa: FBT001 - a rule's argument
        """The disk fails to sync, or syncs again."""
        self.case.disks.unsynced = unsynced

    @rule(late=st.booleans())
    def threads(self, late: bool) -> None:  # noqa: FBT001 - a rule's argument
        """Threads are late, or work at once."""
        self.case.threads.at_once = not late
        self.case.threads.run()

    @rule(limit=st.integers(1, 20))
    def flush(self, limit: int) -> None:
        """The flusher takes a batch."""
        done = self.flushed.setdefault(self.spool.writer, [])
        try:
            done += self.spool.finals(len(done), limit)
        except OSError:
            self.spool.leave_failed()
        else:
            self.spool.flushed(len(done))

    @precondition(lambda self: not self.spool._waiting)
    @rule()
    def die(self) -> None:
        """The process dies, and another adopts what it left."""
        self.heal()
        self.case.die(self.spool)
        self.case.clock, self.case.threads = Clock(), Threads()
        self.adopt()
        self.spool = self.made()

    def heal(self) -> None:
        """All faults are over."""
        disks = self.case.disks
        disks.broken = disks.unsynced = False
        self.case.threads.at_once = True

    def adopt(self) -> None:
        """Another process ends what was left."""
        orphan = adopt(self.spool._directory.path)
        assert orphan is not None
        left = {id_in(each.intent): each for each in orphan.open_intents()}
        assert set(left) == set(self.open), (left, self.open)
        for request, each in left.items():
            assert each.reservation == self.open[request][1]
            each.complete(final(request))
        self.expected |= set(self.open)
        self.open.clear()
        done = self.flushed.setdefault(orphan.writer, [])
        done += orphan.finals(len(done), 10**6)
        orphan.flushed(len(done))
        assert self.broke or orphan.damaged == ()
        orphan.close()
        assert not self.spool._directory.path.exists()

    def teardown(self) -> None:
        """All is flushed once, and every chain is whole."""
        self.heal()
        self.case.threads.run()
        self.case.clock.pump([1, 0.005, 1, 0.005])
        for slot, _ in self.open.values():
            slot.complete(final(UUID(slot.request_id)))
        self.expected |= set(self.open)
        self.case.clock.pump([1, 0.005, 1, 0.005])
        self.spool.leave_failed()
        done = self.flushed.setdefault(self.spool.writer, [])
        done += self.spool.finals(len(done), 10**6)
        assert not self.spool._waiting
        self.spool.flushed(len(done))
        self.case.clock.pump([1, 0.005, 1, 0.005])
        assert self.spool.denies is None, self.spool.denies
        sealing = Deferred.fromCoroutine(self.spool.seal())
        self.case.clock.pump([0.005] * 3)
        self.case.successResultOf(sealing)
        self.spool.close()
        self.spool._directory._lock = -1
        assert not self.spool._directory.path.exists()
        records = [final.record for finals in self.flushed.values() for final in finals]
        ids = [orjson.loads(record)["id"] for record in records]
        assert sorted(ids) == sorted(map(str, self.expected))
        for writer, finals in self.flushed.items():
            chain_hash = chain.start(writer)
            for seq, each in enumerate(finals, 1):
                chain_hash = chain.link(chain_hash, each.record)
                assert (each.seq, each.chain_hash) == (seq, chain_hash)


class ModelTests(SpoolTestCase):
    def run_machine(self, *, durable: bool) -> None:
        """Run the machine in one durability."""
        machine = type("Machine", (SpoolMachine,), {"case": self, "durable": durable})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=60,
                derandomize=True,
                database=None,
                deadline=None,
            ),
        )
        self.flushLoggedErrors(OSError)

    def test_process(self) -> None:
        """Nothing is lost and nothing doubled where records survive the process."""
        self.run_machine(durable=False)

    def test_disk(self) -> None:
        """Nothing is lost and nothing doubled where records survive the machine."""
        self.run_machine(durable=True)
