"""What a killed gateway held is free again, and is charged (SPEC 7, 9)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.limit_crashes import kill_gateway


class KillTests(SynchronousTestCase):
    def test_killed(self) -> None:
        """Its slots are free after 31 s, its calls on record, and Redis has what the ledger has."""
        kill_gateway(self, streams=10)
