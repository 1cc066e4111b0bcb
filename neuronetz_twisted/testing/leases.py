"""Token leases of a budget that a test has in its hand."""

from attrs import define, field
from twisted.internet.defer import Deferred, fail

from neuronetz_twisted.errors import LimitsUnavailable
from neuronetz_twisted.relay.leased import LeaseSource
from neuronetz_twisted.testing.identity import Gate


@define
class FakeLeases:
    """Where leases are drawn: a call may have `budget` tokens in all, None is without an end.

    What was asked is in `asked`; answers wait at the `gate`. While it is `away` nobody can say.
    """

    size: int = 256
    budget: int | None = None
    away: bool = False
    gate: Gate = field(factory=Gate)
    asked: list[tuple[str, int]] = field(factory=list, init=False)
    granted: int = field(default=0, init=False)

    @property
    def source(self) -> LeaseSource:
        """As the relay takes it."""
        return LeaseSource(self.size, self._draw)

    def _draw(self, request_id: str, total: int) -> "Deferred[int]":
        self.asked.append((request_id, total))
        if self.away:
            return fail(LimitsUnavailable(why="redis"))
        return self.gate.answer(lambda: self._grant(total))

    def _grant(self, total: int) -> int:
        self.granted = total if self.budget is None else min(total, self.budget)
        return self.granted


async def _never(request_id: str, total: int) -> int:
    raise AssertionError(f"{request_id} has no budget, and draws {total}")


NO_LEASES = LeaseSource(256, _never)
"""For calls without a budget: they draw none."""
