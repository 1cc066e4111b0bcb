"""One spool's place: when it is due, how much of it, and how far PostgreSQL is behind."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.batches import Batch
from neuronetz_twisted.audit.lanes import CHECKPOINT_S, MAX_BATCH, Lane
from neuronetz_twisted.back_off import BackOff
from tests.unit.audit.flushing import WRITER, FakeBacklog, FakeSigner


def batch(seq: int, records: int, *, signed: bool = False, closed: bool = False) -> Batch:
    """What a transaction did."""
    hashed = b"%d" % seq
    statement = FakeSigner().sign(kind="checkpoint", writer=WRITER, seq=seq, chain_hash=hashed)
    return Batch(
        seq=seq,
        chain_hash=hashed,
        records=records,
        dead=0,
        signed=statement if signed else None,
        closed=closed,
    )


class Places(SynchronousTestCase):
    """A lane whose files begin behind record 20."""

    def setUp(self) -> None:
        """Nothing is waiting."""
        self.backlog = FakeBacklog(base=(20, b"twenty"))
        self.lane = Lane(self.backlog, BackOff(lambda: 1.0))

    def test_nothing_waits(self) -> None:
        """A lane without records is never due, has nothing left to do and is not behind."""
        self.lane.look(100.0)
        self.assertFalse(self.lane.is_due(1e9))
        self.assertTrue(self.lane.is_done)
        self.assertEqual((self.lane.waiting, self.lane.oldest_s(200.0)), (0, 0.0))

    def test_begins_where_the_files_do(self) -> None:
        """The first order is behind what was flushed before."""
        self.backlog.add(3)
        order = self.lane.order(100.0)
        self.assertEqual((order.after, order.chain_hash, order.limit), (20, b"twenty", MAX_BATCH))
        self.assertEqual(self.lane.waiting, 3)
        self.assertTrue(self.lane.is_due(0.0))
        self.assertFalse(self.lane.is_done)

    def test_more(self) -> None:
        """Behind a whole batch there is more; behind less than one there is not."""
        self.backlog.add(MAX_BATCH + 3)
        self.assertTrue(self.lane.done(batch(20 + MAX_BATCH, MAX_BATCH), 101.0))
        self.assertFalse(self.lane.done(batch(23 + MAX_BATCH, 3), 102.0))

    def test_closing(self) -> None:
        """Who is closing has something to do until it is closed, also without records."""
        self.lane.closing = True
        self.assertTrue(self.lane.is_due(0.0))
        self.assertFalse(self.lane.is_done)
        self.assertFalse(self.lane.done(batch(20, 0, closed=True), 103.0))

    def test_time_of_checkpoints(self) -> None:
        """The first record after a checkpoint starts its time; the checkpoint ends it."""
        self.backlog.add(2)
        self.lane.done(batch(21, 1), 500.0)
        self.lane.done(batch(22, 1), 520.0)
        self.assertFalse(self.lane.is_due(500.0 + CHECKPOINT_S - 0.1))
        self.assertFalse(self.lane.order(500.0 + CHECKPOINT_S - 0.1).overdue)
        self.assertTrue(self.lane.is_due(500.0 + CHECKPOINT_S))
        self.assertFalse(self.lane.is_done)
        order = self.lane.order(500.0 + CHECKPOINT_S)
        self.assertEqual((order.overdue, order.unsigned), (True, 2))
        self.lane.done(batch(22, 0, signed=True), 560.0)
        self.assertFalse(self.lane.is_due(900.0))
        self.assertTrue(self.lane.is_done)
        order = self.lane.order(900.0)
        self.assertEqual((order.overdue, order.unsigned), (False, 0))

    def test_last_checkpoint(self) -> None:
        """At the end of the process a checkpoint does not wait for its time."""
        self.lane.ending = True
        self.assertFalse(self.lane.is_due(500.0))
        self.backlog.add(1)
        self.lane.done(batch(21, 1), 500.0)
        self.assertTrue(self.lane.order(500.0).overdue)
        self.assertTrue(self.lane.is_due(500.0))

    def test_size_follows_the_database(self) -> None:
        """A batch that was too much is halved, down to one record, and grows again."""
        for _ in range(12):
            self.lane.smaller()
        self.assertEqual(self.lane.order(0).limit, 1)
        self.lane.done(batch(21, 1), 1.0)
        self.assertEqual(self.lane.order(0).limit, 2)
        for _ in range(12):
            self.lane.done(batch(22, 1), 1.0)
        self.assertEqual(self.lane.order(0).limit, MAX_BATCH)

    def test_what_cannot_be_read_yet(self) -> None:
        """Records that are written but not to be had are asked for less and less often."""
        self.backlog.add(2)
        for now, later in ((100.0, 100.2), (101.0, 101.4)):
            self.assertFalse(self.lane.done(batch(20, 0), now))
            self.assertFalse(self.lane.is_due(later - 0.01))
            self.assertTrue(self.lane.is_due(later))
        self.lane.done(batch(21, 1), 102.0)
        self.lane.hold_off(103.0)
        self.assertTrue(self.lane.is_due(103.2))

    def test_oldest(self) -> None:
        """What waits has waited since it was noticed, and never looks younger than it is."""
        self.backlog.add(2)
        self.lane.look(100.0)
        self.assertEqual(self.lane.oldest_s(101.0), 1.0)
        self.backlog.add(2)
        self.lane.look(102.0)
        self.lane.done(batch(21, 1), 103.0)
        self.lane.look(103.0)
        self.assertEqual(self.lane.oldest_s(103.0), 3.0, "one of the first two still waits")
        self.lane.done(batch(22, 1), 104.0)
        self.lane.look(104.0)
        self.assertEqual(self.lane.oldest_s(104.0), 4.0, "written behind the mark of 100 s")
        self.lane.done(batch(24, 2), 105.0)
        self.assertEqual(self.lane.oldest_s(105.0), 0.0)
        self.lane.look(105.0)
        self.backlog.add(1)
        self.lane.look(200.0)
        self.assertEqual(self.lane.oldest_s(201.0), 1.0)
