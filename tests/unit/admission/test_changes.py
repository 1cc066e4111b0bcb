"""What a change of a tenant sets off, and how often."""

from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission import changes
from neuronetz_twisted.admission.allowance import Defaults
from neuronetz_twisted.admission.changes import TenantChanges, change_limits
from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.script_calls import Caller
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.admission import FakeLimiter
from neuronetz_twisted.testing.calls import TENANT, made_principal
from neuronetz_twisted.testing.identity import FakeKeyStore, FakePrincipalCache, FakeVerifier


class LimitsTests(SynchronousTestCase):
    def test_change_limits(self) -> None:
        """The limiter is told whose call it is and all that holds for him, the defaults with it."""
        told: list[tuple[str, Caller]] = []
        defaults = Defaults(rpm=1, tpm=2, concurrent=3, max_body_bytes=4, max_predict=5)
        principal = made_principal(
            epoch=8, tenant_limits=Limits(budget_day=6), key_limits=Limits(rpm=7)
        )
        change_limits(lambda *change: told.append(change), defaults, "id", principal)
        caller = Caller(
            tenant=principal.tenant,
            key=principal.key,
            epoch=8,
            tenant_limits=Limits(tpm=2, concurrent=3, budget_day=6),
            key_limits=Limits(rpm=7),
        )
        self.assertEqual(told, [("id", caller)])


class TenantChangesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Nothing has changed yet."""
        clock = Clock()
        self.identifier = Identifier(
            store=FakeKeyStore(),
            cache=FakePrincipalCache(clock.seconds),
            verifier=FakeVerifier(),
            failures=FailureBuckets(limit=20),
            clock=clock,
            now=clock.seconds,
        )
        self.limiter = FakeLimiter()
        self.confirmed: list[tuple[UUID, int]] = []
        self.changes = TenantChanges(self.identifier, self.limiter, self.confirm)

    def confirm(self, tenant_id: UUID, epoch: int) -> "Deferred[None]":
        """Note a look at the running answers."""
        self.confirmed.append((tenant_id, epoch))
        return succeed(None)

    def test_everyone_is_told(self) -> None:
        """The identifier, Redis and the running answers."""
        self.changes(TENANT, 3)
        self.assertEqual(self.limiter.told, [(TENANT, 3)])
        self.assertEqual(self.confirmed, [(TENANT, 3)])
        self.assertTrue(self.identifier._epochs.outdated(made_principal(epoch=2)))
        self.assertFalse(self.identifier._epochs.outdated(made_principal(epoch=3)))

    def test_repeats(self) -> None:
        """Redis hears of each epoch once; running answers are looked at each time."""
        for epoch in (3, 3, 2, 4):
            self.changes(TENANT, epoch)
        self.assertEqual(self.limiter.told, [(TENANT, 3), (TENANT, 4)])
        self.assertEqual(len(self.confirmed), 4)

    def test_redis_away(self) -> None:
        """What Redis did not hear is told at the next report."""
        self.limiter.away = True
        self.changes(TENANT, 3)
        self.limiter.away = False
        self.changes(TENANT, 3)
        self.assertEqual(self.limiter.told, [(TENANT, 3)])

    def test_late_answer(self) -> None:
        """An older epoch that is acknowledged last does not hide the newer one."""
        self.limiter.gate.held = True
        self.changes(TENANT, 3)
        self.changes(TENANT, 4)
        self.limiter.gate._waiting.reverse()
        self.limiter.gate.release_all()
        self.changes(TENANT, 4)
        self.assertEqual(self.limiter.told, [(TENANT, 3), (TENANT, 4)])

    def test_memory_is_bounded(self) -> None:
        """Tenants beyond the bound cost a repeat, not memory."""
        self.patch(changes, "MAX_TOLD", 2)
        for number in range(5):
            self.changes(UUID(int=number), 1)
        self.assertLessEqual(len(self.changes._told), 2)

    def test_bugs_are_logged(self) -> None:
        """Neither step's fault keeps the other from its work."""
        self.changes = TenantChanges(
            self.identifier, self.limiter, lambda _t, _e: fail(ZeroDivisionError())
        )
        self.changes(TENANT, 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.limiter.told, [(TENANT, 3)])
