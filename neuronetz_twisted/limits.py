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


@frozen(kw_only=True)
class SetLimits:
    """What is set for a key and for its tenant, read at once, as of the tenant's `epoch`."""

    epoch: int
    tenant: Limits
    key: Limits


@frozen(kw_only=True)
class Grant:
    """What one call was admitted with, in tokens.

    `prompt` is the estimate of its prompt, `lease` what its answer may have at first, and
    `num_predict` what the model host is told; `asked_predict` is what it would have been told but
    for budgets. With `has_budget` nothing is relayed that no lease covers. `day` is the UTC day
    that is charged, as `2026-11-23`. `fields` are the header lines that show what is left.
    """

    prompt: int
    lease: int
    num_predict: int
    asked_predict: int
    has_budget: bool
    day: str
    fields: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def reservation(self) -> int:
        """The most that the call may cost before it draws a further lease."""
        return self.prompt + (self.lease if self.has_budget else self.num_predict)


NOTHING_SET = Limits()

LARGEST_LIMIT = 2**31 - 1
"""What the column of a limit holds (SPEC 12)."""

LARGEST_BUDGET = 10**12
"""Far above what model hosts make in a year, and far below where Lua's numbers lose digits."""
