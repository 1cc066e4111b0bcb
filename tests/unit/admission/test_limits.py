from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.allowance import allowance_of
from neuronetz_twisted.admission.limits import caller_of
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.admission import DEFAULTS
from neuronetz_twisted.testing.calls import made_principal


class CallerTests(SynchronousTestCase):
    def test_whose_counters(self) -> None:
        """The ids of tenant and key, not the prefix, which a rotation changes; and the epoch."""
        who = made_principal(tenant_id=UUID(int=7), key_id=UUID(int=8), epoch=9)
        caller = caller_of(who, allowance_of(who, DEFAULTS))
        self.assertEqual(
            (caller.tenant, caller.key, caller.epoch), (str(UUID(int=7)), str(UUID(int=8)), 9)
        )

    def test_what_holds(self) -> None:
        """Each level has what is set for it; the defaults are the tenant's."""
        who = made_principal(
            tenant_limits=Limits(tpm=500, budget_month=10_000), key_limits=Limits(rpm=5)
        )
        caller = caller_of(who, allowance_of(who, DEFAULTS))
        self.assertEqual(
            caller.tenant_limits,
            Limits(tpm=500, concurrent=DEFAULTS.concurrent, budget_month=10_000),
        )
        self.assertEqual(caller.key_limits, Limits(rpm=5))
