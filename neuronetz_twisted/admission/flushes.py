"""What the ledger has taken and Redis does not know yet, by tenant. Pure.

Batches that wait are put together: the ids one behind the other, of the lines of the ledger the
largest, since its values only grow.
"""

from itertools import islice

from attrs import define, field

from neuronetz_twisted.ledger import Flushed, LedgerLine

MOST_IDS = 1000
"""How many calls one script ends: it holds up Redis for all others meanwhile."""


@define
class _Waiting:
    ids: dict[str, None] = field(factory=dict)
    lines: dict[tuple[str, str, str], LedgerLine] = field(factory=dict)


@define
class Flushes:
    """All that waits."""

    _tenants: dict[str, _Waiting] = field(factory=dict, init=False)

    def add(self, flushed: Flushed) -> None:
        """Take a batch that was committed."""
        waiting = self._tenants.setdefault(flushed.tenant, _Waiting())
        waiting.ids.update(dict.fromkeys(flushed.ids))
        for line in flushed.lines:
            place = (line.scope, line.period, line.date)
            known = waiting.lines.get(place)
            if known is None or known.tokens < line.tokens:
                waiting.lines[place] = line

    def next(self, tenant: str) -> Flushed | None:
        """What to tell of a tenant, the oldest first; None where nothing waits.

        All lines go with each portion: a call must not end before the value that has it is there.
        """
        waiting = self._tenants.get(tenant)
        if waiting is None:
            return None
        ids = list(islice(waiting.ids, MOST_IDS))
        return Flushed(tenant, ids, list(waiting.lines.values()))

    def told(self, flush: Flushed) -> None:
        """Redis has acknowledged a flush."""
        waiting = self._tenants[flush.tenant]
        for request_id in flush.ids:
            waiting.ids.pop(request_id, None)
        for line in flush.lines:
            place = (line.scope, line.period, line.date)
            if not waiting.ids and waiting.lines.get(place) == line:
                del waiting.lines[place]
        if not waiting.ids and not waiting.lines:
            del self._tenants[flush.tenant]
