"""Adoption on a clock, with directories in memory that outlive the processes of the test."""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import orjson
from attrs import define, field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.adoption import (
    INTERVAL_S,
    Adoption,
    recover,
    spool_directories,
    unknown_record,
)
from neuronetz_twisted.audit.batches import Backlog, BatchWriter, CheckpointKind
from neuronetz_twisted.audit.dead_letters import DeadLetters
from neuronetz_twisted.audit.flusher import Flusher
from neuronetz_twisted.audit.reader import Damage
from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.signing import Signed
from tests.unit.audit.flushing import (
    OTHER,
    WRITER,
    FakeBacklog,
    FakeSigner,
    in_no_thread,
    no_lines,
)

CALL = UUID("33333333-3333-3333-3333-333333333333")
INTENT = orjson.dumps(
    {"id": str(CALL), "at": 1, "day": "1970-01-01", "route": "/api/chat", "reservation": 100}
)


class Crash(OSError):  # noqa: N818 - states what happens
    """The process ends here."""


@define(eq=False)
class Life:
    """How many steps a process has left; behind the last every step fails."""

    left: float = inf
    steps: int = 0

    def step(self) -> None:
        """Live on, or not."""
        self.steps += 1
        if self.steps > self.left:
            raise Crash


@define(eq=False)
class Directory:
    """What a writer has left: `intents` with what was reserved last, and the finals of some."""

    writer: UUID = WRITER
    intents: list[tuple[bytes, int]] = field(factory=list)
    completed: int = 0
    finals: list[Final] = field(factory=list)
    flushed: int = 0
    owner: Life | None = None
    removed: bool = False

    def append(self, record: bytes) -> None:
        """One more link."""
        link = self.finals[-1].chain_hash if self.finals else chain.start(self.writer)
        link = chain.link(link, record)
        self.finals.append(Final(self.writer, len(self.finals) + 1, link, record))


@frozen
class Open:
    """A call that has no end."""

    intent: bytes
    reservation: int
    orphan: "FakeOrphan"

    def complete(self, record: bytes) -> None:
        """Give it one."""
        self.orphan.life.step()
        self.orphan.directory.append(record)
        self.orphan.directory.completed += 1
        self.orphan.life.step()


@define(eq=False)
class FakeOrphan:
    """A directory that a process has adopted."""

    directory: Directory
    life: Life
    base: tuple[int, bytes] = (0, b"")
    damaged: tuple[Damage, ...] = ()

    @property
    def writer(self) -> UUID:
        """Whose it was."""
        return self.directory.writer

    @property
    def last_seq(self) -> int:
        """The last that was written."""
        return len(self.directory.finals)

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last."""
        finals = self.directory.finals
        return (len(finals), finals[-1].chain_hash) if finals else self.base

    def open_intents(self) -> Sequence[Open]:
        """Those without an end."""
        self.life.step()
        left_open = self.directory.intents[self.directory.completed :]
        return [Open(intent, tokens, self) for intent, tokens in left_open]

    def finals(self, after: int, limit: int) -> list[Final]:
        """Read."""
        self.life.step()
        return self.directory.finals[after : after + limit]

    def flushed(self, seq: int) -> None:
        """The files could go."""
        self.life.step()
        self.directory.flushed = seq

    def close(self) -> None:
        """Leave it; an empty directory is taken away."""
        self.life.step()
        left = self.directory
        left.removed = left.flushed == len(left.finals) and left.completed == len(left.intents)
        self.life.step()
        self.directory.owner = None


@define(eq=False)
class Table:
    """PostgreSQL: what is committed stays."""

    life: Life
    rows: dict[int, bytes] = field(factory=dict)
    charged: int = 0
    statements: list[tuple[str, int]] = field(factory=list)
    tombstones: list[int] = field(factory=list)
    _pending: list[Callable[[], None]] = field(factory=list)

    def run(self, fn: Callable[[Connection], Any]) -> Deferred[Any]:
        """A transaction of a process that may die on both sides of its commit."""

        def transact() -> Any:
            self._pending = []
            answer = fn(cast("Connection", self))
            self.life.step()
            for change in self._pending:
                change()
            self.life.step()
            return answer

        return in_no_thread(transact)

    def begin_nested(self) -> Any:
        """No savepoint is gone back to here."""
        return FakeConnectionContext()

    def write(self, _: Connection, finals: Sequence[Final]) -> None:
        """Rows that are new, and their charge."""
        for final in finals:
            charged = int(row_of(final)["charged"])
            self._pending.append(partial(self._add, final, charged))

    def write_tombstones(self, _: Connection, finals: Sequence[Final]) -> None:
        """None is expected."""
        self.tombstones += [final.seq for final in finals]

    def write_checkpoint(self, _: Connection, signed: Signed) -> None:
        """A statement."""
        self._pending.append(lambda: self.statements.append((signed.kind, signed.seq)))

    def _add(self, final: Final, charged: int) -> None:
        if final.seq not in self.rows:
            self.rows[final.seq] = final.record
            self.charged += charged


class FakeConnectionContext:
    """A savepoint."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""


@define(eq=False)
class MortalSigner(FakeSigner):
    """Signs, until the process dies."""

    life: Life = field(factory=Life)

    def sign(self, *, kind: CheckpointKind, writer: UUID, seq: int, chain_hash: bytes) -> Signed:
        """A statement."""
        self.life.step()
        return super().sign(kind=kind, writer=writer, seq=seq, chain_hash=chain_hash)

    def publish(self, signed: Signed) -> None:
        """A line of the file."""
        self.life.step()
        super().publish(signed)


class Crashes(SynchronousTestCase):
    """A writer died with two calls open and one complete; so do those who adopt it."""

    def live(self, directory: Directory, table: Table, life: Life) -> None:
        """One process, from its start until it has nothing to do any more or is dead."""
        clock = Clock()
        table.life = life
        batches = BatchWriter(
            rows=table,
            lines=no_lines,
            signer=MortalSigner(life=life),
            letters=DeadLetters(Path("unused")),
        )
        flusher = Flusher(
            clock,
            table,
            batches,
            FakeBacklog(OTHER),
            in_thread=in_no_thread,
            told=lambda _: None,
        )

        def adopt(_: Path) -> FakeOrphan | None:
            life.step()
            if directory.removed or directory.owner is not None:
                return None
            directory.owner = life
            return FakeOrphan(directory, life)

        root = Path(self.mktemp())
        (root / str(WRITER)).mkdir(parents=True)
        adoption = Adoption(clock, root=root, adopt=adopt, flusher=flusher, in_thread=in_no_thread)
        flusher.startService()
        adoption.startService()
        clock.pump([0.1] * 10)
        self.successResultOf(adoption.stopService() or Deferred())
        stopped = flusher.stopService()
        clock.pump([1.0] * 12)
        self.successResultOf(stopped)
        # The kernel gives back the lock of a process that is gone.
        directory.owner = None

    def test_every_moment(self) -> None:
        """Wherever it dies, twice: one row and charge per call, a closed chain, no directory."""
        died = 0
        while True:
            directory = Directory(intents=[(INTENT, 100), (INTENT, 300)])
            directory.append(unknown_record(INTENT, 7))
            table = Table(Life())
            first = Life(left=died)
            self.live(directory, table, first)
            self.live(directory, table, Life(left=died // 2))
            self.live(directory, table, Life())
            self.flushLoggedErrors(Crash)
            self.assertTrue(directory.removed, died)
            rows = [row_of(Final(WRITER, seq, b"", table.rows[seq])) for seq in (1, 2, 3)]
            self.assertEqual(len(table.rows), 3)
            self.assertEqual([row["charged"] for row in rows], [7, 100, 300])
            self.assertEqual(table.charged, 407)
            self.assertEqual([final.record for final in directory.finals], [*table.rows.values()])
            self.assertEqual(set(table.statements), {("closed", 3)})
            self.assertEqual(table.tombstones, [])
            if first.steps <= died:
                break
            died += 1
        self.assertGreater(died, 12)


@define
class Collector:
    """A flusher that keeps what it is given."""

    adopted: list[Backlog] = field(factory=list)

    def adopt(self, backlog: Backlog) -> None:
        """Keep it."""
        self.adopted.append(backlog)


class Looking(SynchronousTestCase):
    """An adoption that is started by the test."""

    def setUp(self) -> None:
        """Two directories of writers, of which none is free."""
        self.clock = Clock()
        self.root = Path(self.mktemp())
        for name in (str(OTHER), str(WRITER), "limit.lock", "11111111", str(WRITER).upper()):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.free: dict[UUID, FakeOrphan | Exception | None] = {}
        self.asked: list[str] = []
        self.held: list[Deferred[None]] = []
        self.slow = False
        self.flusher = Collector()
        self.adoption = Adoption(
            self.clock,
            root=self.root,
            adopt=self.adopt,
            flusher=self.flusher,
            in_thread=self.in_thread,
        )

    def in_thread(self, work: Callable[[], Any], /) -> Deferred[Any]:
        """At once, or when the test says so."""
        if not self.slow:
            return in_no_thread(work)
        held: Deferred[Any] = Deferred()
        self.held.append(held)
        return held.addCallback(lambda _: work())

    def adopt(self, directory: Path) -> FakeOrphan | None:
        """What the test has put there."""
        self.asked.append(directory.name)
        found = self.free.pop(UUID(directory.name), None)
        if isinstance(found, Exception):
            raise found
        return found

    def test_start_and_intervals(self) -> None:
        """It looks at its start, then every 30 s, at directories of writers only."""
        self.adoption.startService()
        self.assertEqual(self.asked, [str(WRITER), str(OTHER)])
        self.clock.advance(INTERVAL_S - 0.1)
        self.assertEqual(len(self.asked), 2)
        self.clock.advance(0.1)
        self.assertEqual(len(self.asked), 4)
        self.assertIsNotNone(self.adoption.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_free_one(self) -> None:
        """It goes to the flusher to be closed, its calls ended, and is told of."""
        directory = Directory(intents=[(INTENT, 100)])
        self.free[WRITER] = FakeOrphan(directory, Life())
        with capturedLogs() as events:
            self.adoption.startService()
        self.assertEqual([each.writer for each in self.flusher.adopted], [WRITER])
        self.assertEqual(len(directory.finals), 1)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [f"adopted the records of {WRITER}; 1 calls had no end"],
        )
        self.adoption.stopService()

    def test_one_that_cannot_be_read(self) -> None:
        """It is told of once, by its path, until it is well again, and the others are adopted."""
        self.free = {WRITER: OSError("unreadable"), OTHER: FakeOrphan(Directory(OTHER), Life())}
        with capturedLogs() as events:
            self.adoption.startService()
        self.assertEqual(len(self.flusher.adopted), 1)
        self.assertEqual(
            formatEvent(events[0]), f"the spool {self.root / str(WRITER)} cannot be adopted"
        )
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.free = {WRITER: OSError("unreadable")}
        self.clock.advance(INTERVAL_S)
        self.assertEqual(self.flushLoggedErrors(OSError), [])
        self.clock.pump([INTERVAL_S] * 2)
        self.free = {WRITER: OSError("unreadable")}
        self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(self.adoption.faults, 2)
        self.adoption.stopService()

    def test_one_that_stays_faulty(self) -> None:
        """It is read less and less often, an hour apart in the end; the others as before."""
        times: list[float] = []

        def fail(directory: Path) -> None:
            if directory.name == str(WRITER):
                times.append(self.clock.seconds())
                raise OSError("unreadable")
            self.asked.append(directory.name)

        self.adoption._adopt = fail
        self.adoption.startService()
        self.clock.pump([INTERVAL_S] * 480)
        self.assertEqual([time / INTERVAL_S for time in times[:5]], [0, 1, 3, 7, 15])
        self.assertEqual([times[-1] - times[-2], times[-2] - times[-3]], [3600, 3600])
        self.assertEqual(len(self.asked), 481)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.adoption.stopService()

    def test_faulty_one_is_gone(self) -> None:
        """A directory that was taken away and comes back is tried at once."""

        def fail(directory: Path) -> None:
            raise OSError(directory.name)

        (self.root / str(OTHER)).rmdir()
        self.adoption._adopt = fail
        self.adoption.startService()
        self.clock.pump([INTERVAL_S] * 3)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        path = self.root / str(WRITER)
        path.rmdir()
        self.clock.advance(INTERVAL_S)
        path.mkdir()
        self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.adoption.stopService()

    def test_no_root(self) -> None:
        """Not even a lost root ends the loop; it is told of once, until it is there again."""
        gone = self.root.rename(self.root.with_name("gone"))
        with capturedLogs() as events:
            self.adoption.startService()
            self.clock.pump([INTERVAL_S] * 10)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(formatEvent(events[0]), f"spools in {self.root} cannot be looked after")
        gone.rename(self.root)
        self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.asked), 2)
        self.root.rename(gone)
        self.clock.advance(INTERVAL_S)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(self.adoption.faults, 2)
        self.adoption.stopService()

    def test_stop_while_adopting(self) -> None:
        """What is being adopted becomes the flusher's before the stop is over; no other does."""
        self.free = {
            WRITER: FakeOrphan(Directory(), Life()),
            OTHER: FakeOrphan(Directory(OTHER), Life()),
        }
        self.slow = True
        self.adoption.startService()
        self.held.pop(0).callback(None)
        stopped = self.adoption.stopService()
        assert stopped is not None
        self.assertNoResult(stopped)
        self.held.pop(0).callback(None)
        self.successResultOf(stopped)
        self.assertEqual([each.writer for each in self.flusher.adopted], [WRITER])

    def test_cancelled(self) -> None:
        """Who cannot wait for the stop cancels it, whatever is being done."""
        for steps in (0, 1):
            self.slow = True
            self.adoption.startService()
            for _ in range(steps):
                self.held.pop(0).callback(None)
            stopped = self.adoption.stopService()
            assert stopped is not None
            stopped.cancel()
            self.failureResultOf(stopped, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.held.clear()

    def test_never_started(self) -> None:
        """There is nothing to stop."""
        self.assertIsNone(self.adoption.stopService())


class Recovery(SynchronousTestCase):
    """What is made of one directory."""

    def test_taken(self) -> None:
        """A directory of a living process is left as it is."""
        self.assertIsNone(recover(lambda _: None, Path("somewhere")))

    def test_lock_is_released(self) -> None:
        """Where a call cannot be ended the directory is free again for the next attempt."""
        life = Life()
        directory = Directory(intents=[(b"no JSON", 1)], owner=life)
        orphan = FakeOrphan(directory, life)
        self.assertRaises(ValueError, recover, lambda _: orphan, Path("somewhere"))
        self.assertIsNone(directory.owner)

    def test_unknown(self) -> None:
        """Its record is a row: charged what was reserved last, estimated, without a status."""
        row = row_of(Final(WRITER, 1, b"", unknown_record(INTENT, 300)))
        self.assertEqual(
            {name: row[name] for name in ("id", "outcome", "status", "charged", "estimated")},
            {"id": CALL, "outcome": "unknown", "status": None, "charged": 300, "estimated": True},
        )
        self.assertNotIn(b"reservation", row["record"])

    def test_unknown_is_always_the_same(self) -> None:
        """Whoever makes it, whenever: the chain over it is the same."""
        self.assertEqual(unknown_record(INTENT, 300), unknown_record(INTENT, 300))

    def test_files_beside_directories(self) -> None:
        """A file that is named as a writer is none."""
        root = Path(self.mktemp())
        root.mkdir()
        (root / str(WRITER)).touch()
        (root / str(OTHER)).mkdir()
        self.assertEqual(spool_directories(root), [root / str(OTHER)])
