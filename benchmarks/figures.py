"""Medians, ranges and ratios of what rounds have shown."""

from collections.abc import Sequence
from statistics import median

from attrs import frozen


@frozen(kw_only=True)
class Spread:
    """The median of some rounds with the least and the largest of them."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """How the values of several rounds lie; None where there are none."""
    if not values:
        return None
    return Spread(median=median(values), low=min(values), high=max(values))


def ratio(of: float | None, to: float | None) -> float | None:
    """How many times `to` is in `of`; None where one is missing or nothing."""
    if of is None or to is None or to == 0:
        return None
    return of / to


def difference(of: float | None, less: float | None) -> float | None:
    """What remains of one value without another; None where one is missing."""
    return None if of is None or less is None else of - less


def worst(values: Sequence[float | None]) -> float | None:
    """The largest; None where there is none, or where one of them is missing."""
    there = [value for value in values if value is not None]
    return max(there) if there and len(there) == len(values) else None
