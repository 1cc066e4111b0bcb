"""The ledger's values, as the limiter is told them (SPEC 7).

Here and not in a room: the record writes the ledger, a store reads it, admission counts with it.
"""

from collections.abc import Callable, Sequence

from attrs import frozen


@frozen
class LedgerLine:
    """What the ledger has of one scope and period: `t` or `k:<key id>`, `day`, and its first day.

    `tokens` is the value after the transaction in which it was read.
    """

    scope: str
    period: str
    date: str
    tokens: int


@frozen
class Flushed:
    """Admitted calls of one tenant that the ledger has, by id, and its values with them in it.

    `tenant` is its id as text. The lines are those of the tenant and of the keys that called.
    """

    tenant: str
    ids: Sequence[str]
    lines: Sequence[LedgerLine]


FlushListener = Callable[[Flushed], None]
"""Told of each batch once it is committed, also of one that was there before. It never fails."""
