"""Limits and budgets with four gateways on one Redis, in full sizes (SPEC 7)."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.limit_crashes import keep_slot, kill_gateway
from tests.limit_scenarios import (
    Streams,
    count_burst,
    hold_budget,
    hold_rpm,
    hold_slots,
    spend_all,
)
from tests.limits_house import LimitsHouse, own_house

GATEWAYS = 4
CLIENTS = 500
LEASE = 256
MINUTES_S = 190.0
LEASES_S = 92.0


class RateTests(SynchronousTestCase):
    def house(self) -> LimitsHouse:
        """Four gateways."""
        return own_house(self, GATEWAYS)

    def test_requests_per_minute(self) -> None:
        """Of 500 clients no more than 60 are answered in any minute, and 60 in the first."""
        hold_rpm(self, self.house(), clients=CLIENTS, rpm=60, for_s=MINUTES_S)

    def test_slots(self) -> None:
        """Of 500 at once the model host sees 8."""
        hold_slots(self, self.house(), clients=CLIENTS, slots=8, waves=10)

    def test_burst(self) -> None:
        """1000 at once count as 1000, and no more than a limit below that get in."""
        house = self.house()
        count_burst(self, house, clients=1000)
        hold_rpm(self, house, clients=1000, rpm=900)


class BudgetTests(SynchronousTestCase):
    def hold(self, streams: Streams, **fields: Any) -> None:
        """All streams, over four gateways with leases of their size."""
        house = own_house(self, GATEWAYS, TOKEN_LEASE=str(streams.lease))
        hold_budget(self, house, streams, **fields)

    def test_streams(self) -> None:
        """100 streams on a budget for ten, without a wish for their length."""
        self.hold(Streams(count=100, tokens=600, delay_ms=40, paid=10, lease=LEASE))

    def test_streams_of_openai(self) -> None:
        """The same in the other dialect, with a wish."""
        path = "/v1/chat/completions"
        streams = Streams(count=100, tokens=600, delay_ms=40, paid=10, lease=LEASE, path=path)
        self.hold(streams, max_tokens=4000)

    def test_small_leases(self) -> None:
        """The same with leases that let all hundred in; every other one comes to its end."""
        streams = Streams(count=100, tokens=600, delay_ms=50, paid=10, lease=16, short=30)
        self.hold(streams)

    def test_leases_of_one(self) -> None:
        """The same with leases of one token, in both dialects."""
        for path in ("/api/chat", "/v1/chat/completions"):
            streams = Streams(
                count=100, tokens=600, delay_ms=100, paid=10, lease=1, short=20, path=path
            )
            self.hold(streams)

    def test_short_answers(self) -> None:
        """Answers that end before their lease use no more than they have."""
        house = own_house(self, GATEWAYS)
        spend_all(self, house, Streams(count=100, tokens=20, delay_ms=5, paid=100, lease=LEASE))


class SlotTests(SynchronousTestCase):
    def test_killed(self) -> None:
        """A gateway is killed with 50 streams: nothing of them is left after 31 s."""
        kill_gateway(self, streams=50)

    def test_three_leases(self) -> None:
        """A stream that lasts for three leases of its slot keeps it all the time."""
        keep_slot(self, own_house(self, 2), LEASES_S)
