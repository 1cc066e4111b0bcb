"""Medians, ranges and ratios."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.figures import Spread, ratio, spread, worst


class SpreadTests(SynchronousTestCase):
    """How rounds lie."""

    def test_odd(self) -> None:
        """The middle one of three, with the least and the largest."""
        self.assertEqual(spread([9.0, 1.0, 4.0]), Spread(median=4.0, low=1.0, high=9.0))

    def test_even(self) -> None:
        """Between the middle two of four."""
        self.assertEqual(spread([1.0, 2.0, 4.0, 9.0]), Spread(median=3.0, low=1.0, high=9.0))

    def test_none(self) -> None:
        """Nothing of no rounds."""
        self.assertIsNone(spread([]))


class RatioTests(SynchronousTestCase):
    """One figure in units of another."""

    def test_ratio(self) -> None:
        """Six is three times two."""
        self.assertEqual(ratio(6.0, 2.0), 3.0)

    def test_missing(self) -> None:
        """There is none where a side is missing, or where the base is nothing."""
        self.assertEqual([ratio(None, 2.0), ratio(2.0, None), ratio(2.0, 0.0)], [None] * 3)


class WorstTests(SynchronousTestCase):
    """The value that a limit is held against."""

    def test_worst(self) -> None:
        """The largest."""
        self.assertEqual(worst([1.0, 3.0, 2.0]), 3.0)

    def test_missing(self) -> None:
        """What was not measured might be worse."""
        self.assertEqual([worst([1.0, None]), worst([])], [None, None])
