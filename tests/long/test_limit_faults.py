"""Limits and budgets while Redis fails and clocks are set, in full sizes (SPEC 2, R1; SPEC 7)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.limit_clocks import step_clock
from tests.limit_faults import (
    QUARANTINE_S,
    Loss,
    flush_all,
    hold_frozen,
    hold_through,
    restart_redis,
)
from tests.limits_house import lone_house, shared_house

HOUR_S = 3600.0
STREAM_S = 50.0
ROUNDS = 3


class LossTests(SynchronousTestCase):
    def test_two_gateways(self) -> None:
        """Of two gateways each puts back what it has, however Redis lost it, again and again."""
        for _ in range(ROUNDS):
            for loss in (
                Loss(fault=flush_all, quarantine_s=QUARANTINE_S, streams_s=15),
                Loss(fault=restart_redis, quarantine_s=QUARANTINE_S, streams_s=15),
                Loss(
                    fault=restart_redis,
                    is_old_copy=True,
                    quarantine_s=QUARANTINE_S,
                    streams_s=15,
                ),
            ):
                hold_through(self, shared_house(), loss)


class FrozenTests(SynchronousTestCase):
    def test_for_long(self) -> None:
        """Streams with a budget end with the honest error after ten seconds, all others run on."""
        hold_frozen(self, lone_house(), 16.0)

    def test_of_two_gateways(self) -> None:
        """The same of both gateways, for a while that streams outlast."""
        hold_frozen(self, shared_house(), 8.0)


class ClockTests(SynchronousTestCase):
    def test_an_hour(self) -> None:
        """An hour either way, while a stream outlasts its lease."""
        for seconds in (HOUR_S, -HOUR_S):
            step_clock(self, shared_house(), seconds, STREAM_S)
