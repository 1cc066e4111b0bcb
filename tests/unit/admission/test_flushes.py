from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.flushes import MOST_IDS, Flushes
from neuronetz_twisted.ledger import Flushed, LedgerLine
from tests.unit.admission.scripted_redis import DAY, LINE

LATER = LedgerLine("t", "day", DAY, 900)
OTHER = LedgerLine("k:K", "day", DAY, 100)


class FlushesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have nothing to tell."""
        self.flushes = Flushes()

    def next(self, tenant: str = "T") -> Flushed:
        """What there is to tell."""
        flush = self.flushes.next(tenant)
        assert flush is not None
        return flush

    def test_batches_are_put_together(self) -> None:
        """Ids behind each other, each once; of the lines the largest."""
        self.flushes.add(Flushed("T", ["a", "b"], [LATER]))
        self.flushes.add(Flushed("T", ["b", "c"], [LINE, OTHER]))
        self.assertEqual(self.next(), Flushed("T", ["a", "b", "c"], [LATER, OTHER]))
        self.assertIsNone(self.flushes.next("U"))

    def test_told(self) -> None:
        """What was acknowledged is not told again."""
        self.flushes.add(Flushed("T", ["a"], [LINE]))
        self.flushes.told(self.next())
        self.assertIsNone(self.flushes.next("T"))

    def test_more_meanwhile(self) -> None:
        """What came while a script was under way is told with the next."""
        self.flushes.add(Flushed("T", ["a"], [LINE, OTHER]))
        under_way = self.next()
        self.flushes.add(Flushed("T", ["b"], [LATER]))
        self.flushes.told(under_way)
        self.assertEqual(self.next(), Flushed("T", ["b"], [LATER, OTHER]))

    def test_a_value_that_grew_meanwhile(self) -> None:
        """A line that is another by now is still to be told, though no id is left."""
        self.flushes.add(Flushed("T", [], [LINE]))
        under_way = self.next()
        self.flushes.add(Flushed("T", [], [LATER]))
        self.flushes.told(under_way)
        self.assertEqual(self.next(), Flushed("T", [], [LATER]))

    def test_portions(self) -> None:
        """Many calls are told in several scripts, each with all lines."""
        ids = [str(number) for number in range(MOST_IDS + 1)]
        self.flushes.add(Flushed("T", ids, [LINE]))
        first = self.next()
        self.assertEqual(first, Flushed("T", ids[:MOST_IDS], [LINE]))
        self.flushes.told(first)
        self.assertEqual(self.next(), Flushed("T", ids[MOST_IDS:], [LINE]))
