"""The clock of a gateway's host is set while it works: limits go by Redis' clock (SPEC 7)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.limit_clocks import step_clock
from tests.limits_house import shared_house

HOUR_S = 3600.0
DAYS_S = 40 * 86_400.0


class ClockTests(SynchronousTestCase):
    def test_an_hour_on(self) -> None:
        """An hour fast: nothing more is admitted, nothing stands still."""
        step_clock(self, shared_house(), HOUR_S, 4.0)

    def test_an_hour_back(self) -> None:
        """An hour slow: the same."""
        step_clock(self, shared_house(), -HOUR_S, 4.0)

    def test_another_month(self) -> None:
        """Weeks off in either direction: what is charged is charged to Redis' day."""
        step_clock(self, shared_house(), DAYS_S, 2.0)
        step_clock(self, shared_house(), -DAYS_S, 2.0)
