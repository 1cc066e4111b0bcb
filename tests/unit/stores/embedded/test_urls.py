import shutil
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls


class UrlTests(SynchronousTestCase):
    """The form that attaching code relies on."""

    def setUp(self) -> None:
        """A layout of this test."""
        state_dir = Path(tempfile.mkdtemp(prefix="nz-test-"))  # short enough for sockets
        self.addCleanup(shutil.rmtree, state_dir)
        self.layout = Layout.of(state_dir)
        self.layout.create()

    def test_forms(self) -> None:
        """Each URL has its role, password and place."""
        urls = EmbeddedUrls.of(self.layout, postgres=True, redis=True)
        run = str(self.layout.run_dir())
        for url, role in (
            (urls.database_url, "gateway_app"),
            (urls.database_admin_url, "gateway_admin"),
        ):
            parts = urlsplit(str(url))
            self.assertEqual((parts.scheme, parts.path), ("postgresql+psycopg", "/gateway"))
            self.assertEqual(parts.username, role)
            self.assertEqual(parts.password, self.layout.password(role))
            self.assertEqual(parse_qs(parts.query), {"host": [run]})
            self.assertNotIn("/", parts.query)
        self.assertEqual(
            urls.redis_url, f"unix://:{self.layout.password('valkey')}@{run}/valkey.sock"
        )

    def test_what_was_not_asked_for(self) -> None:
        """A server that does not run has no URL, and gets no password."""
        urls = EmbeddedUrls.of(self.layout, postgres=False, redis=False)
        self.assertEqual(urls, EmbeddedUrls(None, None, None))
        self.assertEqual(list(self.layout.home.iterdir()), [])

    def test_repr(self) -> None:
        """Nothing of a URL is shown."""
        urls = EmbeddedUrls("postgresql://a:secret@/", "postgresql://b:secret@/", "unix://secret")
        self.assertEqual(repr(urls), "EmbeddedUrls()")
