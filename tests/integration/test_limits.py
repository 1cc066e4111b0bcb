"""Limits and budgets with two gateways on one Redis (SPEC 7).

Small sizes; `tests/long/test_limits.py` has the full ones.
"""

from twisted.trial.unittest import SynchronousTestCase

from tests.limit_scenarios import (
    Streams,
    count_burst,
    hold_budget,
    hold_rpm,
    hold_slots,
    leave,
    lower_budget,
    spend_all,
)
from tests.limits_house import shared_house

LEASE = 16


class RateTests(SynchronousTestCase):
    def test_requests_per_minute(self) -> None:
        """Many clients of two gateways get as many answers as the limit says, and no more."""
        hold_rpm(self, shared_house(), clients=100, rpm=60)

    def test_slots(self) -> None:
        """The model host never sees more calls at once than there are slots."""
        hold_slots(self, shared_house(), clients=60, slots=8)

    def test_burst(self) -> None:
        """As many requests at once count as so many."""
        count_burst(self, shared_house(), clients=100)


class BudgetTests(SynchronousTestCase):
    def test_streams(self) -> None:
        """Streams on a budget for a few of them are cut before it is passed."""
        house = shared_house()
        streams = Streams(count=20, tokens=60, delay_ms=10, paid=10, lease=LEASE, short=6)
        hold_budget(self, house, streams)

    def test_streams_of_openai(self) -> None:
        """The same in the other dialect, with an end that its clients know."""
        house = shared_house()
        path = "/v1/chat/completions"
        streams = Streams(count=20, tokens=60, delay_ms=10, paid=5, lease=LEASE, path=path)
        hold_budget(self, house, streams, max_tokens=1000)

    def test_not_streamed(self) -> None:
        """The same for answers in one piece, in both dialects."""
        for path in ("/api/chat", "/api/generate", "/v1/chat/completions"):
            streams = Streams(count=10, tokens=60, delay_ms=10, paid=3, lease=LEASE, path=path)
            hold_budget(self, shared_house(), streams, stream=False)

    def test_clients_gone(self) -> None:
        """Who goes in the middle pays for what was read, and holds nothing any more."""
        leave(self, shared_house(), clients=8)

    def test_leases_of_one(self) -> None:
        """The same with leases of a single token."""
        house = shared_house()
        stack = house.beside(TOKEN_LEASE="1")
        self.addCleanup(house.remove, stack)
        streams = Streams(count=10, tokens=30, delay_ms=20, paid=3, lease=1)
        hold_budget(self, house, streams, stacks=[stack])

    def test_lowered(self) -> None:
        """A budget that is lowered to what is used cuts what runs, within a lease of each."""
        lower_budget(
            self, shared_house(), Streams(count=4, tokens=200, delay_ms=100, paid=0, lease=LEASE)
        )

    def test_short_answers(self) -> None:
        """What answers do not use of their leases is there for others, up to the last."""
        house = shared_house()
        streams = Streams(count=10, tokens=5, delay_ms=1, paid=10, lease=LEASE)
        spend_all(self, house, streams)
