"""What may be set to limit a tenant or a key (SPEC 7).

Here and not in `vocabulary.py`, since it is also the form in which operators set and see limits.
What follows for a caller from both levels is `admission/allowance.py`.
"""

from attrs import asdict, fields, frozen


@frozen(kw_only=True, cache_hash=True)
class Limits:
    """What is set at one level, tenant or key; None is "not set here".

    `rpm` and `tpm` per minute, `concurrent` requests, `max_body_bytes` in bytes, `max_predict` and
    the budgets in tokens.
    """

    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None
    max_body_bytes: int | None = None
    max_predict: int | None = None
    budget_day: int | None = None
    budget_month: int | None = None
    budget_total: int | None = None

    def as_row(self) -> dict[str, int | None]:
        """The limits by the names of their columns."""
        return asdict(self)


LIMIT_NAMES: tuple[str, ...] = tuple(limit.name for limit in fields(Limits))
"""The names of all limits, which are those of their columns too."""

NOTHING_SET = Limits()

LARGEST_LIMIT = 2**31 - 1
"""What the column of a limit holds (SPEC 12)."""

LARGEST_BUDGET = 10**12
"""Far above what model hosts make in a year, and far below where Lua's numbers lose digits."""
