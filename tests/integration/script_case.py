"""What a test of the scripts of admission needs: a server, a tenant on it, and a clock to set."""

from uuid import uuid4

from twisted.trial.unittest import TestCase

from tests.admission_known import OK
from tests.integration.killable_redis import KillableRedis
from tests.script_session import REAL, RedisSession, ScriptSet, TenantScripts

NOON_S = 1_795_435_200
"""2026-11-23, 12:00 UTC."""

TODAY = "2026-11-23"


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


class TenantTestCase(ScriptTestCase):
    """Tests of one tenant, on Redis' own clock or on one that the test sets."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Have a tenant that Redis knows."""
        await super().setUp()
        self.tenant = self.known_tenant(REAL)

    def known_tenant(self, scripts: ScriptSet) -> TenantScripts:
        """A tenant whose ledger is empty."""
        tenant = TenantScripts(self.session, str(uuid4()), scripts)
        self.now_s = float(NOON_S)
        self.session.set_clock(NOON_S * 1000)
        self.assertEqual(tenant.rebuild([]), [OK])
        return tenant

    def later(self, seconds: float) -> None:
        """Move the clock that the test sets."""
        self.now_s += seconds
        self.session.set_clock(int(self.now_s * 1000))
