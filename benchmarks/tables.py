"""Markdown tables, and figures as people read them."""

from collections.abc import Callable, Sequence

from attrs import frozen

from benchmarks.figures import Spread, ratio
from benchmarks.results import Results

NOTHING = "-"

_MILLISECOND = 1.0
_THOUSAND = 1000.0


def number(value: float | None) -> str:
    """Three digits that count; thousands are set apart."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    if abs(value) >= _THOUSAND / 10:
        return f"{value:,.0f}".replace(",", " ")
    if abs(value) >= _MILLISECOND * 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def with_range(found: Spread | None) -> str:
    """A median with its range, or alone where all rounds agree."""
    if found is None:
        return NOTHING
    low, high = number(found.low), number(found.high)
    return number(found.median) if low == high else f"{number(found.median)} ({low}-{high})"


def times(value: float | None) -> str:
    """A ratio."""
    return NOTHING if value is None else f"{number(value)} x"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, figures: bool = True) -> str:
    """A table of Markdown; with `figures`, the columns after the first are set to the right."""
    rule = ["---", *["---:" if figures else "---"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]) + "\n"


Cell = Callable[[Results, str, str], str]
"""What a cell says of a lane in a workload."""


@frozen
class Column:
    """One column of a table about a workload."""

    title: str
    cell: Cell


def measured(title: str, figure: str, scale: float = 1.0) -> Column:
    """A column with the median and the range of one figure, multiplied with `scale`."""

    def cell(results: Results, workload: str, lane: str) -> str:
        found = results.spread(workload, lane, figure)
        return with_range(None if found is None else scaled(found, scale))

    return Column(title, cell)


def scaled(found: Spread, scale: float) -> Spread:
    """A spread in another unit."""
    return Spread(median=found.median * scale, low=found.low * scale, high=found.high * scale)


def middle(title: str, figure: str) -> Column:
    """A column with the median of one figure."""
    return Column(title, lambda results, *place: number(results.median(*place, figure)))


def against(title: str, figure: str, bases: Callable[[str], Sequence[str]]) -> Column:
    """A column with the median of a lane in units of that of another.

    `bases` names those which may serve for a lane; the first that was measured does.
    """

    def cell(results: Results, workload: str, lane: str) -> str:
        medians = [results.median(workload, base, figure) for base in bases(lane)]
        base = next((found for found in medians if found is not None), None)
        return times(ratio(results.median(workload, lane, figure), base))

    return Column(title, cell)


def workload_table(results: Results, workload: str, columns: Sequence[Column]) -> str:
    """One row for each lane of a workload."""
    head = ["", *[column.title for column in columns]]
    rows = [
        [results.labels[lane], *[column.cell(results, workload, lane) for column in columns]]
        for lane in results.lanes(workload)
    ]
    return table(head, rows)
