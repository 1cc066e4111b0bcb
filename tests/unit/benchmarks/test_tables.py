"""Figures and tables as people read them."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.figures import Spread
from benchmarks.results import Results
from benchmarks.tables import (
    Column,
    against,
    measured,
    middle,
    number,
    table,
    times,
    with_range,
    workload_table,
)


class NumberTests(SynchronousTestCase):
    """Three digits that count."""

    def test_sizes(self) -> None:
        """Each size has the decimals that matter."""
        shown = [number(value) for value in (0.0, 0.123, 1.234, 12.34, 123.4, 45678.9, -2.5)]
        self.assertEqual(shown, ["0", "0.12", "1.23", "12.3", "123", "45 679", "-2.50"])

    def test_missing(self) -> None:
        """What was not measured is a dash."""
        self.assertEqual([number(None), times(None), with_range(None)], ["-", "-", "-"])

    def test_range(self) -> None:
        """A median has its range, unless all rounds look the same."""
        self.assertEqual(with_range(Spread(median=2.0, low=1.0, high=30.0)), "2.00 (1.00-30.0)")
        self.assertEqual(with_range(Spread(median=2.0, low=2.0, high=2.001)), "2.00")


class TableTests(SynchronousTestCase):
    """Markdown."""

    def test_figures(self) -> None:
        """Figures are set to the right, and the first column is not."""
        self.assertEqual(table(["", "a"], [["x", "1"]]), "|  | a |\n| --- | ---: |\n| x | 1 |\n")

    def test_words(self) -> None:
        """Words are not."""
        self.assertIn("| --- | --- |", table(["", "a"], [["x", "y"]], figures=False))


class WorkloadTableTests(SynchronousTestCase):
    """One row for each lane."""

    def setUp(self) -> None:
        """Two lanes of one workload; `b` is the base."""
        self.results = Results(labels={"b": "Base", "c": "Missing", "a": "Ours"})
        for value in (10.0, 30.0, 20.0):
            self.results.add("w", "a", {"cost": value})
        self.results.add("w", "b", {"cost": 5.0})

    def row(self, column: Column) -> list[str]:
        """The cells of a column, from the top."""
        lines = workload_table(self.results, "w", [column]).splitlines()[2:]
        return [line.split(" | ")[1].removesuffix(" |") for line in lines]

    def test_order(self) -> None:
        """Rows stand as the labels do; a lane that was not measured has none."""
        lines = workload_table(self.results, "w", [middle("", "cost")]).splitlines()[2:]
        self.assertEqual([line.split(" | ")[0] for line in lines], ["| Base", "| Ours"])

    def test_measured(self) -> None:
        """A figure with its range, in the unit of the table."""
        self.assertEqual(self.row(measured("", "cost", 0.1)), ["0.50", "2.00 (1.00-3.00)"])

    def test_unknown_figure(self) -> None:
        """A figure that no round has is a dash."""
        self.assertEqual(self.row(middle("", "other")), ["-", "-"])

    def test_against(self) -> None:
        """A lane in units of the first base that was measured."""
        self.assertEqual(self.row(against("", "cost", lambda _: ["c", "b"])), ["1.00 x", "4.00 x"])
