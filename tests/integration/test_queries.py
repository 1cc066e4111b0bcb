"""What the service asks beside keys, on a real PostgreSQL; keys are in `test_keys`."""

from sqlalchemy import text
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.operator_queries import create_tenant
from neuronetz_twisted.stores.queries import changed_tenants
from tests.servers import new_database


class ChangedTenants(SynchronousTestCase):
    """The reading that the listener makes."""

    def test_window(self) -> None:
        """Within the window only what changed in it, without one everything."""
        engine = service_engine(new_database(self).url, application_name="test")
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            acme, other = (create_tenant(connection, name) for name in ("acme", "other"))
            connection.execute(
                text("UPDATE tenants SET changed_at = now() - interval '61 s' WHERE id = :id"),
                {"id": acme},
            )
            self.assertEqual(changed_tenants(connection), [(other, 1)])
            self.assertEqual(changed_tenants(connection, 30), [(other, 1)])
            self.assertCountEqual(changed_tenants(connection, None), [(acme, 1), (other, 1)])
