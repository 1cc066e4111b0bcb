"""Changes of limits, on a real PostgreSQL as role gateway_app."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.limit_queries import Changes, set_key_limits, set_tenant_limits
from neuronetz_twisted.stores.operator_queries import (
    create_key,
    create_tenant,
    list_keys,
    list_tenants,
)
from neuronetz_twisted.vocabulary import Scope
from tests.servers import new_database

EVERY = Limits(**dict.fromkeys(LIMIT_NAMES, 2**31 - 1))


class LimitQueries(SynchronousTestCase):
    """One transaction, rolled back at the end."""

    def setUp(self) -> None:
        """Two tenants, of which one has two keys."""
        engine = service_engine(new_database(self).url, application_name="test")
        self.addCleanup(engine.dispose)
        self.connection = connection = engine.connect()
        self.addCleanup(connection.close)
        self.tenant, _ = (create_tenant(connection, name) for name in ("acme", "other"))
        self.key, _ = (
            create_key(
                connection,
                tenant="acme",
                name=name,
                scopes=[Scope.CHAT],
                prefix=f"nz_{name * 9}",
                secret_hash="hash",
            )
            for name in ("a", "b")
        )

    def limits(self) -> tuple[list[Limits], list[Limits]]:
        """Those of both tenants and of both keys."""
        return (
            [tenant.limits for tenant in list_tenants(self.connection)],
            [key.limits for key in list_keys(self.connection)],
        )

    def test_changes(self) -> None:
        """Only what is named changes, of that one alone; None unsets; who has none gets some."""
        changes: tuple[tuple[Changes, Limits], ...] = (
            ({"rpm": 5, "tpm": 7}, Limits(rpm=5, tpm=7)),
            ({"rpm": None, "max_predict": 9}, Limits(tpm=7, max_predict=9)),
            (EVERY.as_row(), EVERY),
            ({"budget_total": 10**12}, evolve(EVERY, budget_total=10**12)),
        )
        for change, expected in changes:
            set_tenant_limits(self.connection, self.tenant, change)
            self.assertEqual(self.limits()[0], [expected, Limits()])
        self.assertEqual(self.limits()[1], [Limits(), Limits()])
        for change, expected in changes:
            set_key_limits(self.connection, self.key, change)
            self.assertEqual(self.limits()[1], [expected, Limits()])
