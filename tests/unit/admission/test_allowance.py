"""What a caller may use, from what is set at each level."""

from attrs import evolve, fields
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.allowance import Allowance, Defaults, allowance_of
from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.testing.calls import made_principal

DEFAULTS = Defaults(rpm=60, tpm=1000, concurrent=8, max_body_bytes=100, max_predict=50)
DEFAULTED = tuple(limit.name for limit in fields(Defaults) if not limit.name.startswith("max_"))
BUDGETS = ("budget_day", "budget_month", "budget_total")

some_limits = st.builds(Limits, **{name: st.none() | st.integers(0, 200) for name in LIMIT_NAMES})


def allowed(tenant: Limits, key: Limits) -> Allowance:
    """What a caller may use for whom this is set."""
    return allowance_of(made_principal(tenant_limits=tenant, key_limits=key), DEFAULTS)


class CountedTests(SynchronousTestCase):
    """Limits that are counted over several calls."""

    def test_nothing_set(self) -> None:
        """The tenant has the defaults, once for all keys; budgets have none."""
        allowance = allowed(Limits(), Limits())
        self.assertEqual(allowance.tenant, Limits(rpm=60, tpm=1000, concurrent=8))
        self.assertEqual(allowance.key, Limits())

    def test_the_tenants_value(self) -> None:
        """It takes the default's place, above or below it, for this limit alone."""
        for value in (1, 60, 5000):
            allowance = allowed(Limits(rpm=value), Limits())
            self.assertEqual(allowance.tenant, Limits(rpm=value, tpm=1000, concurrent=8))
            self.assertEqual(allowance.key, Limits())

    def test_the_keys_value(self) -> None:
        """It takes the default's place too, and then no value of the tenant holds."""
        for value in (1, 60, 5000):
            allowance = allowed(Limits(), Limits(concurrent=value))
            self.assertEqual(allowance.tenant, Limits(rpm=60, tpm=1000))
            self.assertEqual(allowance.key, Limits(concurrent=value))

    def test_both(self) -> None:
        """Both hold, whichever is larger."""
        for tenant, key in ((5, 7), (7, 5)):
            allowance = allowed(Limits(tpm=tenant), Limits(tpm=key))
            self.assertEqual((allowance.tenant.tpm, allowance.key.tpm), (tenant, key))

    def test_nought_is_a_value(self) -> None:
        """Whoever may use nothing gets no default."""
        self.assertEqual(allowed(Limits(rpm=0), Limits()).tenant.rpm, 0)
        allowance = allowed(Limits(), Limits(rpm=0))
        self.assertEqual((allowance.tenant.rpm, allowance.key.rpm), (None, 0))

    @settings(deadline=None)
    @given(some_limits, some_limits)
    def test_any(self, tenant: Limits, key: Limits) -> None:
        """Whatever is set holds at its own level, and no limit but a budget holds nowhere."""
        allowance = allowed(tenant, key)
        for name in (*DEFAULTED, *BUDGETS):
            of_tenant, of_key = getattr(allowance.tenant, name), getattr(allowance.key, name)
            self.assertEqual(of_key, getattr(key, name))
            if getattr(tenant, name) is not None:
                self.assertEqual(of_tenant, getattr(tenant, name))
            elif name in BUDGETS or of_key is not None:
                self.assertIsNone(of_tenant)
            else:
                self.assertEqual(of_tenant, getattr(DEFAULTS, name))


class CapTests(SynchronousTestCase):
    """Caps of a single call."""

    def test_the_least_holds(self) -> None:
        """A level can only lower what is set for everybody, and what the other has set."""
        for tenant, key, body, predict in (
            (Limits(), Limits(), 100, 50),
            (Limits(max_body_bytes=30, max_predict=20), Limits(), 30, 20),
            (Limits(), Limits(max_body_bytes=30, max_predict=20), 30, 20),
            (Limits(max_body_bytes=30), Limits(max_body_bytes=20), 20, 50),
            (Limits(max_body_bytes=20), Limits(max_body_bytes=30), 20, 50),
            (Limits(max_body_bytes=101, max_predict=51), Limits(max_predict=99), 100, 50),
            (Limits(max_body_bytes=0), Limits(), 0, 50),
        ):
            with self.subTest(tenant=tenant, key=key):
                allowance = allowed(tenant, key)
                self.assertEqual((allowance.max_body_bytes, allowance.max_predict), (body, predict))

    def test_no_answer_is_without_end(self) -> None:
        """A cap of nought, which only another program can set, is one token."""
        self.assertEqual(allowed(Limits(max_predict=0), Limits()).max_predict, 1)

    def test_other_defaults(self) -> None:
        """Two gateways with other settings are not mixed up."""
        principal = made_principal()
        self.assertEqual(allowance_of(principal, DEFAULTS).tenant.rpm, 60)
        self.assertEqual(allowance_of(principal, evolve(DEFAULTS, rpm=61)).tenant.rpm, 61)
