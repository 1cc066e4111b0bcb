"""Token leases of a budget that a test has in its hand."""

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from neuronetz_twisted.errors import LimitsUnavailable
from neuronetz_twisted.relay.leased import LeaseSource


@define
class FakeLeases:
    """Where leases are drawn: a call may have `budget` tokens in all, None is without an end.

    While it is `held`, draws wait until a test answers or fails them, in order; while it is `away`
    they fail. `asked` has all of them, `granted` what the call was told last that it has.
    """

    size: int = 256
    budget: int | None = None
    held: bool = False
    away: bool = False
    asked: list[tuple[str, int]] = field(factory=list, init=False)
    granted: int = field(default=0, init=False)
    _waiting: list[tuple[int, "Deferred[int]"]] = field(factory=list, init=False)

    @property
    def source(self) -> LeaseSource:
        """As the relay takes it."""
        return LeaseSource(self.size, self._draw)

    @property
    def waiting(self) -> int:
        """How many draws wait."""
        return len(self._waiting)

    def answer(self) -> None:
        """Answer the oldest draw that waits."""
        total, waiting = self._waiting.pop(0)
        waiting.callback(self._grant(total))

    def fail(self, error: Exception) -> None:
        """Let it fail."""
        _, waiting = self._waiting.pop(0)
        waiting.errback(error)

    def flow(self) -> None:
        """Hold no draw any more."""
        self.held = False
        while self._waiting:
            self.answer()

    def _draw(self, request_id: str, total: int) -> "Deferred[int]":
        self.asked.append((request_id, total))
        if self.away:
            return fail(LimitsUnavailable(why="redis"))
        if not self.held:
            return succeed(self._grant(total))
        waiting: Deferred[int] = Deferred()
        self._waiting.append((total, waiting))
        return waiting

    def _grant(self, total: int) -> int:
        self.granted = total if self.budget is None else min(total, self.budget)
        return self.granted


async def _never(request_id: str, total: int) -> int:
    raise AssertionError(f"{request_id} has no budget, and draws {total}")


NO_LEASES = LeaseSource(256, _never)
"""For calls without a budget: they draw none."""
