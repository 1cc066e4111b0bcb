"""The flusher on a clock: when it asks the database, and what it makes of the answers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.batches import BatchWriter
from neuronetz_twisted.audit.dead_letters import DeadLetters
from neuronetz_twisted.audit.flusher import GATHER_S, STOP_S, Flusher, Lag
from neuronetz_twisted.audit.lanes import CHECKPOINT_S, MAX_BATCH
from neuronetz_twisted.audit.reader import Damage
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.segments import Span
from neuronetz_twisted.back_off import LONGEST_DELAY_S
from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.ledger import Flushed
from tests.unit.audit.flushing import (
    OTHER,
    WRITER,
    FakeBacklog,
    FakeDatabase,
    FakeRows,
    FakeSigner,
    in_no_thread,
    no_lines,
)

AWAY = DatabaseUnavailable("away")
TENANT = str(UUID(int=1))


def call_of(writer: UUID, seq: int, name: str) -> Final:
    """The record of an admitted call."""
    event = {"id": name, "tenant": TENANT, "key": str(UUID(int=2)), "day": "2031-05-15"}
    return Final(writer, seq, b"%032d" % seq, orjson.dumps(event | {"model": "m"}))


class Flushing(SynchronousTestCase):
    """A flusher that runs, with one spool that is empty."""

    def setUp(self) -> None:
        """Started; pauses are of their full length."""
        self.clock = Clock()
        self.database = FakeDatabase()
        self.rows = FakeRows()
        self.signer = FakeSigner()
        self.hung: list[Deferred[Any]] = []
        self.file_hangs = False
        home = Path(self.mktemp())
        home.mkdir()
        batches = BatchWriter(
            rows=self.rows,
            lines=no_lines,
            signer=self.signer,
            letters=DeadLetters(home / "dead-letter"),
        )
        self.told: list[Flushed] = []
        self.deaf: Exception | None = None
        self.spool = FakeBacklog()
        self.flusher = Flusher(
            self.clock,
            self.database,
            batches,
            self.spool,
            in_thread=self.in_thread,
            told=self.hear,
            chance=lambda: 1.0,
        )
        self.flusher.startService()
        self.addCleanup(self.end)

    def in_thread(self, work: Callable[[], Any], /) -> Deferred[Any]:
        """At once, but for the checkpoint file where the test says so."""
        publishes = isinstance(work, partial) and work.func == self.signer.publish
        if not (publishes and self.file_hangs):
            return in_no_thread(work)
        self.hung.append(Deferred())
        return self.hung[-1].addCallback(lambda _: work())

    def hear(self, flushed: Flushed) -> None:
        """Note it, unless the test says otherwise."""
        if self.deaf is not None:
            raise self.deaf
        self.told.append(flushed)

    def end(self) -> None:
        """No test leaves a timer or a log line that it did not look at."""
        self.database.held, self.database.away = False, None
        stopped = self.flusher.stopService()
        while self.database.kept:
            self.database.answer()
        self.clock.pump([0.5] * 30)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def flush(self, count: int = 1) -> None:
        """So many records are written, and there is time for them to be flushed."""
        self.spool.add(count)
        self.clock.pump([GATHER_S] * 3)


class WithoutFaults(Flushing):
    """The database takes everything."""

    def test_idle(self) -> None:
        """While nothing is written there is no transaction, and nothing is read."""
        self.clock.pump([GATHER_S] * 1000)
        self.assertEqual((self.database.asked, self.spool.readings), (0, 0))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_gathered(self) -> None:
        """What is written within a moment is one transaction, at the moment's end."""
        self.spool.add(1)
        self.clock.advance(GATHER_S / 2)
        self.spool.add(3)
        self.assertEqual(self.database.asked, 0)
        self.assertEqual(self.flusher.lag(), Lag(waiting=4, oldest_s=0.0))
        self.clock.advance(GATHER_S / 2)
        self.assertEqual(self.rows.batches, [[1, 2, 3, 4]])
        self.assertEqual(self.spool.flushed_to, 4)
        self.assertEqual(self.flusher.lag(), Lag(waiting=0, oldest_s=0.0))

    def test_more_than_a_batch(self) -> None:
        """Whole batches follow each other at once; no transaction is larger."""
        self.flush(2 * MAX_BATCH + 7)
        self.assertEqual([len(batch) for batch in self.rows.batches], [MAX_BATCH, MAX_BATCH, 7])

    def test_written_meanwhile(self) -> None:
        """What is written while a transaction runs is in the next one."""
        self.database.held = True
        self.flush()
        self.flush()
        self.assertEqual(self.database.asked, 1)
        self.database.held = False
        self.database.answer()
        self.assertEqual(self.rows.batches, [[1]])
        self.clock.advance(GATHER_S)
        self.assertEqual(self.rows.batches, [[1], [2]])

    def test_never_more_often(self) -> None:
        """Under load there is one transaction per moment, however fast the database is."""
        for _ in range(320):
            self.spool.add(3)
            self.clock.advance(GATHER_S / 32)
        self.assertLessEqual(self.database.asked, 10)
        self.assertGreaterEqual(self.database.asked, 9)

    def test_first_checkpoint(self) -> None:
        """What is never signed is taken for forged, so a writer's first rows are, at once."""
        self.spool.add(2)
        self.clock.advance(GATHER_S)
        self.assertEqual((self.rows.batches, self.rows.kinds), ([[1, 2]], [("checkpoint", 2)]))
        self.assertEqual((self.signer.published, self.database.asked), ([2], 1))

    def test_checkpoint_in_time(self) -> None:
        """A lone record is under a checkpoint a minute later, and then nothing more is done."""
        self.flush()
        self.spool.add(1)
        self.clock.advance(GATHER_S)
        self.clock.advance(CHECKPOINT_S - GATHER_S)
        self.assertEqual(self.rows.kinds, [("checkpoint", 1)])
        self.clock.advance(GATHER_S)
        self.assertEqual(self.rows.kinds, [("checkpoint", 1), ("checkpoint", 2)])
        self.assertEqual(self.signer.published, [1, 2])
        self.clock.pump([CHECKPOINT_S] * 20)
        self.assertEqual(self.database.asked, 3)

    def test_checkpoint_file_comes_last(self) -> None:
        """A statement is in the file only when its transaction is committed."""
        self.database.held = True
        self.flush()
        self.assertEqual((self.database.asked, self.signer.published), (1, []))
        self.database.answer()
        self.assertEqual(self.signer.published, [1])

    def test_checkpoint_file_is_full(self) -> None:
        """What could not be appended is appended with the next, in order."""
        self.signer.full = OSError("no room")
        self.flush(MAX_BATCH)
        self.assertEqual(self.rows.kinds, [("checkpoint", MAX_BATCH)])
        self.assertEqual(self.flusher.faults, 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.signer.full = None
        self.flush(1000)
        self.assertEqual(self.signer.published, [1000, 2000])

    def test_checkpoint_file_hangs(self) -> None:
        """Who holds the file's lock for ever does not hold up the records; the order stays."""
        self.file_hangs = True
        self.flush(1000)
        self.flush(1000)
        self.flush(3)
        self.assertEqual(self.rows.kinds, [("checkpoint", 1000), ("checkpoint", 2000)])
        self.assertEqual(self.spool.flushed_to, 2003)
        self.assertEqual((len(self.hung), self.signer.published), (1, []))
        self.file_hangs = False
        self.hung.pop().callback(None)
        self.assertEqual(self.signer.published, [1000, 2000])

    def test_adopted_spool(self) -> None:
        """It is flushed, its chain closed, and its directory left, without touching our own."""
        self.flush()
        adopted = FakeBacklog(writer=OTHER)
        adopted.add(3)
        self.flusher.adopt(adopted)
        self.clock.advance(GATHER_S)
        self.assertEqual(self.rows.kinds, [("checkpoint", 1), ("closed", 3)])
        self.assertEqual((adopted.flushed_to, adopted.closed), (3, 1))
        self.assertEqual(self.spool.closed, 0)

    def test_adopted_spool_that_lost_its_end(self) -> None:
        """It is over when all that can be read is flushed: nothing of it is looked for again."""
        adopted = FakeBacklog(writer=OTHER, lost=2)
        adopted.add(5)
        self.flusher.adopt(adopted)
        self.clock.advance(GATHER_S)
        self.assertEqual((self.rows.batches, self.rows.kinds), ([[1, 2, 3]], [("closed", 5)]))
        self.assertEqual((adopted.flushed_to, adopted.closed), (5, 1))

    def test_adopted_spool_without_a_readable_record(self) -> None:
        """Also where there is none."""
        adopted = FakeBacklog(writer=OTHER, lost=2)
        adopted.add(2)
        self.flusher.adopt(adopted)
        self.clock.advance(GATHER_S)
        self.assertEqual((self.rows.batches, self.rows.kinds), ([], [("closed", 2)]))
        self.assertEqual((adopted.flushed_to, adopted.closed), (2, 1))

    def test_adopted_spool_that_cannot_be_left(self) -> None:
        """It is not the flusher's any more; whoever adopts it again finds nothing to do."""
        adopted = FakeBacklog(writer=OTHER, unclosed=OSError("read-only"))
        self.flusher.adopt(adopted)
        with capturedLogs() as events:
            self.clock.advance(GATHER_S)
        self.assertEqual(formatEvent(events[0]), f"the spool of {OTHER} could not be closed")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.flush()
        self.assertEqual(adopted.closed, 1)

    def test_calls_are_told(self) -> None:
        """Who waits for it hears of each call in a batch, once it is committed."""
        self.spool.written = [call_of(WRITER, 1, "one"), call_of(WRITER, 2, "two")]
        self.database.held = True
        self.clock.advance(GATHER_S)
        self.assertEqual(self.told, [])
        self.database.answer()
        self.assertEqual(self.told, [Flushed(TENANT, ["one", "two"], ())])

    def test_calls_of_another_are_told(self) -> None:
        """Also those of a spool that was adopted."""
        self.flusher.adopt(FakeBacklog(OTHER, [call_of(OTHER, 1, "one")]))
        self.clock.pump([GATHER_S] * 3)
        self.assertEqual(self.told, [Flushed(TENANT, ["one"], ())])

    def test_calls_that_were_there(self) -> None:
        """A batch whose acknowledgement was lost is written again, and told then."""
        self.spool.written = [call_of(WRITER, 1, "one")]
        self.database.lost = AWAY
        self.clock.advance(GATHER_S)
        self.assertEqual((len(self.rows.batches), self.told), (1, []))
        self.database.lost = None
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(len(self.rows.batches), 2)
        self.assertEqual(self.told, [Flushed(TENANT, ["one"], ())])

    def test_nobody_can_be_told(self) -> None:
        """That is logged, and the records go on."""
        self.deaf = ZeroDivisionError("canary")
        self.spool.written = [call_of(WRITER, 1, "one")]
        self.clock.pump([GATHER_S] * 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.flusher.faults, self.spool.flushed_to), (1, 1))
        self.deaf = None
        self.flush()
        self.assertEqual(self.rows.batches, [[1], [2]])


class WithFaults(Flushing):
    """The database, a spool or a record is not as it should be."""

    def test_away(self) -> None:
        """While the database is away it is asked less and less often; then nothing is missing."""
        self.database.away = AWAY
        self.flush()
        self.spool.add(10)
        self.clock.pump([0.1] * 3000)
        self.assertLessEqual(self.database.asked, 6 + 300 / LONGEST_DELAY_S)
        self.assertGreaterEqual(self.database.asked, 300 / LONGEST_DELAY_S)
        self.assertEqual(self.rows.batches, [])
        lag = self.flusher.lag()
        self.assertEqual(lag.waiting, 11)
        self.assertEqual(round(lag.oldest_s), 300)
        self.database.away = None
        self.clock.advance(LONGEST_DELAY_S)
        self.clock.pump([GATHER_S] * 20)
        self.assertEqual([seq for batch in self.rows.batches for seq in batch], [*range(1, 12)])

    def test_no_busy_loop(self) -> None:
        """Records that are written while the database is away wake nobody."""
        self.database.away = AWAY
        self.flush()
        asked = self.database.asked
        for _ in range(150):
            self.spool.add(1)
            self.clock.advance(0.01)
        self.assertLessEqual(self.database.asked, asked + 3)

    def test_too_slow_for_a_batch(self) -> None:
        """A database that is too slow for a whole batch is given smaller ones."""
        self.spool.add(MAX_BATCH)
        self.database.away = AWAY
        self.clock.advance(GATHER_S)
        self.clock.advance(0.2)
        self.database.away = None
        self.clock.pump([0.4, *[GATHER_S] * 9])
        self.assertEqual([len(batch) for batch in self.rows.batches], [250, 500, 250])

    def test_poison(self) -> None:
        """The guilty record is told of and passed over, and all others are rows within a second."""
        self.rows.poison = {4: ValueError("canary")}
        with capturedLogs() as events:
            self.flush(9)
        self.assertEqual(
            sorted(seq for batch in self.rows.batches for seq in batch), [1, 2, 3, 5, 6, 7, 8, 9]
        )
        self.assertEqual(self.rows.tombstones, [4])
        self.assertEqual((self.flusher.dead, self.spool.flushed_to), (1, 9))
        self.assertEqual(
            [formatEvent(event) for event in events],
            [f"1 records of {WRITER} were refused by the database and are dead letters now"],
        )
        self.assertNotIn("canary", repr(events))

    def test_a_spool_that_cannot_be_read(self) -> None:
        """It is left alone for a while, told of once, and does not hold up the others."""
        self.spool.broken = OSError("unreadable")
        with capturedLogs() as events:
            self.flush()
        self.assertEqual(formatEvent(events[0]), f"the spool of {WRITER} cannot be flushed")
        adopted = FakeBacklog(writer=OTHER)
        adopted.add(600)
        self.flusher.adopt(adopted)
        self.clock.pump([GATHER_S] * 2)
        self.assertEqual(adopted.closed, 1)
        self.clock.pump([0.1] * 100)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(self.spool.left, self.spool.readings, "it goes on elsewhere if need be")
        self.assertLess(self.spool.readings, 12)
        self.assertGreater(self.spool.readings, 4)
        self.spool.broken = None
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(self.spool.flushed_to, 1)
        self.spool.broken = OSError("unreadable")
        self.flush()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1, "a new trouble is told of")

    def test_damage(self) -> None:
        """What cannot be read of a spool is told of once, and what is behind it is flushed."""
        with capturedLogs() as events:
            for path in ("1.seg", "2.seg"):
                self.spool.damaged.append(Damage(Path(path), Span(100, 120)))
                self.flush()
                self.flush()
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                f"records are damaged: bytes 100 to 120 of {path} are passed over"
                for path in ("1.seg", "2.seg")
            ],
        )
        self.assertEqual((self.flusher.faults, self.spool.flushed_to), (2, 4))

    def test_a_tombstone_that_is_refused(self) -> None:
        """It is no reason to lose the record: that spool waits."""
        self.rows.poison = {1: ValueError()}
        self.rows.barren = ValueError()
        self.flush(3)
        self.assertEqual(self.spool.flushed_to, 0)
        self.rows.barren = None
        self.clock.pump([0.1] * 5)
        self.assertEqual(self.spool.flushed_to, 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_written_but_not_to_be_read_yet(self) -> None:
        """Records that the files do not show yet are no reason to run in circles."""
        self.spool.hidden = True
        self.flush()
        self.clock.pump([0.1] * 100)
        self.assertLess(self.spool.readings, 12)
        self.assertGreater(self.spool.readings, 4)
        self.assertEqual(self.database.asked, 0)
        self.spool.hidden = False
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(self.spool.flushed_to, 1)

    def test_a_fault_of_our_own(self) -> None:
        """Nothing ends the loop: a fault in it is logged and counted, and it goes on."""

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        patched = self.patch(FakeBacklog, "flushed", fail)
        self.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.flusher.faults, 1)
        patched.restore()
        self.flush()
        self.clock.advance(1)
        self.assertEqual(self.rows.batches, [[1], [2]])


class Stopping(Flushing):
    """The end of a process."""

    def end(self) -> None:
        """The test has done it."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_everything_is_flushed(self) -> None:
        """The rest is flushed at once, the chain closed, the spool left, and no timer stays."""
        self.spool.add(MAX_BATCH + 200)
        self.successResultOf(self.flusher.stopService())
        self.assertEqual([len(batch) for batch in self.rows.batches], [MAX_BATCH, 200])
        self.assertEqual(self.rows.kinds, [("checkpoint", 1000), ("closed", 1200)])
        self.assertEqual((self.signer.published, self.spool.closed), ([1000, 1200], 1))

    def test_nothing_was_written(self) -> None:
        """A spool that was never used is just left."""
        self.successResultOf(self.flusher.stopService())
        self.assertEqual((self.rows.kinds, self.spool.closed), ([], 1))

    def test_never_started(self) -> None:
        """A flusher that does not run has nothing to stop, also the second time."""
        self.successResultOf(self.flusher.stopService())
        self.successResultOf(self.flusher.stopService())

    def test_database_comes_back(self) -> None:
        """An outage that ends in time costs nothing."""
        self.database.away = AWAY
        self.flush(3)
        stopped = self.flusher.stopService()
        self.clock.pump([0.1] * 40)
        self.assertNoResult(stopped)
        self.database.away = None
        self.clock.pump([0.1] * 50)
        self.successResultOf(stopped)
        self.assertEqual(sum(map(len, self.rows.batches)), 3)

    def test_database_stays_away(self) -> None:
        """After ten seconds the rest is left to the next process, in a spool that is free."""
        self.database.away = AWAY
        self.flush(3)
        with capturedLogs() as events:
            stopped = self.flusher.stopService()
            self.clock.pump([0.1] * 99)
            self.assertNoResult(stopped)
            self.clock.advance(0.2)
        self.successResultOf(stopped)
        self.assertEqual((self.spool.closed, self.spool.flushed_to), (1, 0))
        self.assertEqual([event["count"] for event in events], [3])

    def test_checkpoint_file_hangs_for_a_while(self) -> None:
        """The end waits for the file, so that the last statement is in it too."""
        self.file_hangs = True
        self.flush(3)
        stopped = self.flusher.stopService()
        self.assertNoResult(stopped)
        self.file_hangs = False
        self.hung.pop().callback(None)
        self.successResultOf(stopped)
        self.assertEqual((self.signer.published, self.spool.closed), ([3, 3], 1))

    def test_checkpoint_file_hangs_for_ever(self) -> None:
        """After ten seconds the process ends without it: the database has the statement."""
        self.file_hangs = True
        self.flush(3)
        stopped = self.flusher.stopService()
        self.clock.advance(STOP_S - 0.1)
        self.assertNoResult(stopped)
        self.clock.advance(0.2)
        self.successResultOf(stopped)
        self.assertEqual((self.signer.published, self.spool.closed), ([], 1))

    def test_checkpoint_file_hangs_behind_the_deadline(self) -> None:
        """A statement that is signed when time is up is not waited for at all."""
        self.file_hangs = self.database.held = True
        self.flush()
        stopped = self.flusher.stopService()
        self.clock.advance(STOP_S + 1)
        self.database.answer()
        self.successResultOf(stopped)
        self.assertEqual((self.signer.published, self.spool.flushed_to), ([], 1))

    def test_transaction_under_way(self) -> None:
        """One that runs at the deadline is waited for, since the files must stay as long."""
        self.database.held = True
        self.flush()
        stopped = self.flusher.stopService()
        self.clock.advance(STOP_S + 1)
        self.assertNoResult(stopped)
        self.database.answer()
        self.successResultOf(stopped)
        self.assertEqual((self.spool.flushed_to, self.spool.closed), (1, 1))

    def test_calls_without_an_end(self) -> None:
        """A spool with open calls is put under a checkpoint and left, its chain not closed."""
        self.spool.has_ended = False
        self.flush(2)
        self.spool.add(3)
        stopped = self.flusher.stopService()
        self.clock.advance(GATHER_S)
        self.successResultOf(stopped)
        self.assertEqual(self.rows.kinds, [("checkpoint", 2), ("checkpoint", 5)])
        self.assertEqual((self.signer.published, self.spool.closed), ([2, 5], 1))

    def test_sealed_first(self) -> None:
        """Nothing is closed before the spool is sealed; what is written until then is flushed."""
        self.spool.sealing = Deferred()
        stopped = self.flusher.stopService()
        self.flush()
        self.assertEqual((self.rows.kinds, self.rows.batches), ([("checkpoint", 1)], [[1]]))
        self.spool.add(1)
        self.spool.sealing.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.rows.kinds, [("checkpoint", 1), ("closed", 2)])
        self.assertTrue(self.spool.sealed)

    def test_cancelled_in_a_transaction(self) -> None:
        """Who cannot wait any longer cancels the stop; the spools are left as they are."""
        self.database.held = True
        self.flush()
        stopped = self.flusher.stopService()
        stopped.cancel()
        self.successResultOf(stopped)
        self.assertEqual((self.spool.closed, self.spool.flushed_to), (1, 0))

    def test_cancelled_in_a_pause(self) -> None:
        """The same while the database is away."""
        self.database.away = AWAY
        self.flush()
        stopped = self.flusher.stopService()
        stopped.cancel()
        self.successResultOf(stopped)
        self.assertEqual(self.spool.closed, 1)

    def test_cancelled_before_the_seal(self) -> None:
        """A disk that hangs keeps no loop running."""
        self.spool.sealing = Deferred()
        stopped = self.flusher.stopService()
        stopped.cancel()
        self.failureResultOf(stopped, CancelledError)
        self.assertEqual(self.spool.closed, 0)
