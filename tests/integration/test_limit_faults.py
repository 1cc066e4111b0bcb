"""Limits and budgets while Redis forgets, ends or stands still (SPEC 2, R1; SPEC 7).

Small sizes; `tests/long/test_limit_faults.py` has the full ones.
"""

from twisted.trial.unittest import SynchronousTestCase

from tests.limit_faults import (
    QUARANTINE_S,
    Loss,
    flush_all,
    flush_scripts,
    hold_frozen,
    hold_through,
    restart_redis,
)
from tests.limits_house import lone_house, shared_house


class LossTests(SynchronousTestCase):
    def test_emptied(self) -> None:
        """All keys are gone: what the ledger has is counted again, and what runs."""
        hold_through(self, lone_house(), Loss(fault=flush_all))

    def test_scripts_forgotten(self) -> None:
        """All scripts are gone: they are loaded again, and nobody notices."""
        hold_through(self, lone_house(), Loss(fault=flush_scripts))

    def test_ended(self) -> None:
        """Redis ends and is empty when it is back."""
        hold_through(self, lone_house(), Loss(fault=restart_redis))

    def test_old_copy(self) -> None:
        """Redis ends and has what it had long ago: none of that is believed."""
        hold_through(self, lone_house(), Loss(fault=restart_redis, is_old_copy=True))

    def test_two_gateways(self) -> None:
        """Of two gateways each puts back what it has, before anybody is admitted."""
        loss = Loss(fault=flush_all, quarantine_s=QUARANTINE_S, streams_s=15)
        hold_through(self, shared_house(), loss)


class FrozenTests(SynchronousTestCase):
    def test_short(self) -> None:
        """Streams with a budget wait for Redis, and go on when it does."""
        hold_frozen(self, lone_house(), 6.0)
