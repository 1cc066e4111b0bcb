"""Who may use which models."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.models import effective, may_use, principal_of
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.identity import made_key, record_of
from neuronetz_twisted.vocabulary import KeyRecord, ModelInfo, Principal


def record(
    *,
    tenant: set[str] | None = None,
    tenant_all: bool = False,
    key: set[str] | None = None,
    key_all: bool | None = None,
) -> KeyRecord:
    """Make a row with these models set."""
    return evolve(
        record_of(made_key(1)),
        tenant_models=frozenset(tenant or ()),
        tenant_allow_all_models=tenant_all,
        key_models=None if key is None else frozenset(key),
        key_allow_all_models=key_all,
    )


def model(name: str) -> ModelInfo:
    """Make an installed model."""
    return ModelInfo(name=name, listing={}, details={}, backends=("default",))


INSTALLED = {name: model(name) for name in ("a:latest", "b:latest", "c:latest")}


class RightsTests(SynchronousTestCase):
    def assertMay(self, record: KeyRecord, *expected: str) -> Principal:
        """Exactly these may be used, by both ways of asking."""
        principal = principal_of(record)
        self.assertEqual(tuple(m.name for m in effective(principal, INSTALLED.values())), expected)
        asked = [*INSTALLED, "d:latest"]
        self.assertEqual(
            tuple(name for name in asked if may_use(principal, name, INSTALLED)), expected
        )
        return principal

    def test_nothing_set_is_nothing_allowed(self) -> None:
        """A tenant without models uses none."""
        self.assertMay(record())

    def test_the_tenants_models(self) -> None:
        """A key without its own has the tenant's, as far as they are installed."""
        self.assertMay(record(tenant={"a:latest", "d:latest"}), "a:latest")
        self.assertMay(record(tenant_all=True), *INSTALLED)

    def test_the_keys_models_replace_the_tenants(self) -> None:
        """A key's own list, also an empty one, is the list."""
        self.assertMay(record(tenant={"a:latest"}, key={"b:latest"}), "b:latest")
        self.assertMay(record(tenant={"a:latest"}, key=set()))

    def test_allow_all_of_the_key_wins(self) -> None:
        """Set at the key, allow-all is the key's, either way."""
        self.assertMay(record(key_all=True), *INSTALLED)
        self.assertMay(record(tenant_all=True, tenant={"a:latest"}, key_all=False), "a:latest")

    def test_stored_names_are_read_as_ollama_reads_them(self) -> None:
        """A list written by a person in other spellings means the same; nonsense falls away."""
        principal = self.assertMay(
            record(tenant={"A", "library/b", "x:cloud"}), *list(INSTALLED)[:2]
        )
        self.assertEqual(principal.models, {"a:latest", "b:latest"})

    def test_the_principal_carries_the_records_identity(self) -> None:
        """Key, tenant, scopes, expiry and epoch are the row's."""
        row = evolve(record(), expires_at=12.5, epoch=7)
        principal = principal_of(row)
        for name in ("tenant_id", "key_id", "prefix", "scopes", "expires_at", "epoch"):
            self.assertEqual(getattr(principal, name), getattr(row, name))

    def test_the_principal_carries_the_limits_of_both_levels(self) -> None:
        """As they are set: what follows from them is another's matter."""
        row = evolve(record(), tenant_limits=Limits(rpm=5), key_limits=Limits(tpm=7))
        principal = principal_of(row)
        self.assertEqual(principal.tenant_limits, Limits(rpm=5))
        self.assertEqual(principal.key_limits, Limits(tpm=7))
