"""The scripts of limits on a real server: each rule alone, and all of them against a model."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import TestCase

from tests.admission_machine import AdmissionMachine
from tests.figures import EXACT
from tests.integration.killable_redis import KillableRedis
from tests.script_session import RedisSession

EXAMPLES = settings(
    max_examples=2000 if EXACT else 40,
    stateful_step_count=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class ScriptTestCase(TestCase):
    """Tests that have a server of their own."""

    timeout = 900

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Start it."""
        self.server = KillableRedis()
        self.addCleanup(self.server.clean_up)
        await self.server.start()
        self.session = RedisSession(str(self.server.target().path))
        self.addCleanup(self.session.close)


class ModelTests(ScriptTestCase):
    def test_any_sequence(self) -> None:
        """Whatever happens, in any order: Redis answers as the model, and nothing is lost."""

        class Machine(AdmissionMachine):
            session = self.session

        run_state_machine_as_test(Machine, settings=EXAMPLES)
