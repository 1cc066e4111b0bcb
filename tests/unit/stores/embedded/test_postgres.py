import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.postgres import Postgres


class PlanTests(SynchronousTestCase):
    """What the stub is told; the server itself is met in the integration tests."""

    def setUp(self) -> None:
        """A server description; nothing runs."""
        state_dir = Path(tempfile.mkdtemp(prefix="nz-test-"))  # short enough for sockets
        self.addCleanup(shutil.rmtree, state_dir)
        self.layout = Layout.of(state_dir)
        self.layout.create()
        self.postgres = Postgres(self.layout, Path("/pg"))

    def test_plan(self) -> None:
        """The cluster is made beside its place with SCRAM, and served without a port."""
        plan = self.postgres.plan(os.getpid())
        prepare = plan["prepare"]
        assert prepare is not None
        self.assertEqual(prepare["argv"][0], "/pg/initdb")
        self.assertIn("scram-sha-256", prepare["argv"])
        self.assertEqual(Path(prepare["made"]).parent, Path(prepare["becomes"]).parent)
        self.assertEqual(plan["argv"][:3], ["/pg/postgres", "-D", prepare["becomes"]])
        self.assertIn("listen_addresses=", plan["argv"])
        self.assertTrue(plan["refuses_root"])
        self.assertNotIn(self.layout.password("gateway_admin"), str(plan))

    def test_lost_password(self) -> None:
        """A cluster whose password file is gone is told; a new password would not open it."""
        (self.layout.home / "pg").mkdir()
        with self.assertRaisesRegex(EmbeddedError, "password is gone"):
            self.postgres.plan(os.getpid())
        self.assertFalse(self.layout.has_password("gateway_admin"))
