"""Which paths are ours, to the letter."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.request import ROUTES, UNKNOWN_PATH, routed_path


class RoutedPathTests(SynchronousTestCase):
    def test_routes(self) -> None:
        """Each path of the table is itself."""
        for path in ROUTES:
            self.assertEqual(routed_path(path), path)

    def test_models(self) -> None:
        """A model's id may hold slashes and colons, also encoded; it is kept as it was written."""
        for path in (b"/v1/models/a", b"/v1/models/org/a:7b", b"/v1/models/hf.co%2Fo%2Fa%3AQ4"):
            self.assertEqual(routed_path(path), path)

    def test_unknown(self) -> None:
        """Every other spelling is the one unknown path."""
        for path in (
            b"",
            b"/api",
            b"/api/chat/",
            b"/api%2Fchat",
            b"//api/chat",
            b"/api/Chat",
            b"/v1/models/",
            b"/v1/models//a",
            b"/v1/models/%2Fa",
            b"/v1/models/%ff",
            b"/v1/models/\xff",
            b"/x/v1/models/a",
            b"/unknown",
        ):
            with self.subTest(path=path):
                self.assertEqual(routed_path(path), UNKNOWN_PATH)

    @settings(deadline=None)
    @given(st.binary(max_size=20))
    def test_only_ours(self, path: bytes) -> None:
        """Nothing that a client can write leads anywhere else."""
        known = ROUTES | {UNKNOWN_PATH}
        routed = routed_path(path)
        self.assertTrue(routed in known or routed.startswith(b"/v1/models/"))
