"""What the ledger has taken and Redis does not know yet, by tenant. Pure.

Batches that wait are put together: the ids one behind the other, of the lines of the ledger the
largest, since its values only grow.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from attrs import define, field, frozen

from neuronetz_twisted.ledger import LedgerLine

MOST_IDS = 1000
"""How many calls one script ends: it holds up Redis for all others meanwhile."""


@frozen
class Flush:
    """What one script is told."""

    ids: Sequence[str]
    lines: Sequence[LedgerLine]


@define
class _Waiting:
    ids: dict[str, None] = field(factory=dict)
    lines: dict[tuple[str, str, str], LedgerLine] = field(factory=dict)


@define
class Flushes:
    """All that waits."""

    _tenants: dict[str, _Waiting] = field(factory=dict, init=False)

    def add(self, tenant: str, ids: Iterable[str], lines: Iterable[LedgerLine]) -> None:
        """Take a batch that was committed."""
        waiting = self._tenants.setdefault(tenant, _Waiting())
        waiting.ids.update(dict.fromkeys(ids))
        for line in lines:
            place = (line.scope, line.period, line.date)
            known = waiting.lines.get(place)
            if known is None or known.tokens < line.tokens:
                waiting.lines[place] = line

    def next(self, tenant: str) -> Flush | None:
        """What to tell of a tenant, the oldest first; None where nothing waits.

        All lines go with each portion: a call must not end before the value that has it is there.
        """
        waiting = self._tenants.get(tenant)
        if waiting is None:
            return None
        return Flush(list(islice(waiting.ids, MOST_IDS)), list(waiting.lines.values()))

    def told(self, tenant: str, flush: Flush) -> None:
        """Redis has acknowledged a flush."""
        waiting = self._tenants[tenant]
        for request_id in flush.ids:
            waiting.ids.pop(request_id, None)
        for line in flush.lines:
            place = (line.scope, line.period, line.date)
            if not waiting.ids and waiting.lines.get(place) == line:
                del waiting.lines[place]
        if not waiting.ids and not waiting.lines:
            del self._tenants[tenant]
