import os
import shutil
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.attach import attach
from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.ownership import Ownership
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls


class AttachTests(SynchronousTestCase):
    """Attaching to an owner who runs no real server."""

    def setUp(self) -> None:
        """A state directory that does not exist yet."""
        root = Path(tempfile.mkdtemp(prefix="nz-test-"))  # short enough for sockets
        self.addCleanup(shutil.rmtree, root)
        self.state_dir = root / "state"
        self.layout = Layout.of(self.state_dir)

    def test_no_owner(self) -> None:
        """Where nobody owns the directory there is nothing to attach to, and nothing is made."""
        self.assertIsNone(attach(self.state_dir))
        self.assertFalse(self.state_dir.exists())

    def test_owner_has_announced(self) -> None:
        """The URLs are of the servers that the owner announced."""
        ownership = Ownership.take(self.layout)
        self.addCleanup(ownership.release)
        ownership.announce(["valkey"])
        expected = EmbeddedUrls.of(self.layout, postgres=False, redis=True)
        self.assertEqual(attach(self.state_dir), expected)

    def test_owner_gets_ready(self) -> None:
        """Attaching waits for an owner who is still starting."""
        ownership = Ownership.take(self.layout)
        self.addCleanup(ownership.release)
        soon = threading.Timer(0.05, ownership.announce, [["postgres"]])
        soon.start()
        self.addCleanup(soon.join)
        urls = attach(self.state_dir, deadline_s=10)
        assert urls is not None
        self.assertIsNone(urls.redis_url)
        self.assertIsNotNone(urls.database_url)

    def test_owner_never_ready(self) -> None:
        """An owner who does not get there is named at the deadline."""
        ownership = Ownership.take(self.layout)
        self.addCleanup(ownership.release)
        with self.assertRaisesRegex(EmbeddedError, f"pid {os.getpid()}"):
            attach(self.state_dir, deadline_s=0.05)
