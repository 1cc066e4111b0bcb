"""Which paths are ours, to the letter."""

from string import ascii_letters, digits
from urllib.parse import unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.request import ROUTES, UNKNOWN_PATH, routed_path

NAME_BYTES = frozenset(f"{ascii_letters}{digits}_.:/-".encode())


class RoutedPathTests(SynchronousTestCase):
    def test_routes(self) -> None:
        """Each path of the table is itself."""
        for path in ROUTES:
            self.assertEqual(routed_path(path), path)

    def test_models(self) -> None:
        """A model's id may hold slashes and colons, also encoded; it is kept as it was written."""
        for path in (
            b"/v1/models/a",
            b"/v1/models/_a-b.c/",
            b"/v1/models/org/a:7b",
            b"/v1/models/hf.co%2Fo%2Fa%3AQ4",
            b"/v1/models/%61",
        ):
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
            b"/v1/models/a%0A",
            b"/v1/models/%0Aa",
            b"/v1/models/a\n",
            b"/v1/models/a%00",
            b"/v1/models/a%20b",
            b"/v1/models/a%3Fb",
            b"/v1/models/a%2561",
            b"/v1/models/a%",
            b"/v1/models/a%zz",
            b"/v1/models/.a",
            b"/v1/models/-a",
            b"/v1/models/:a",
            b"/v1/models/a;b",
            b"/v1/models/%E2%84%AA",
            b"/x/v1/models/a",
            b"/unknown",
        ):
            with self.subTest(path=path):
                self.assertEqual(routed_path(path), UNKNOWN_PATH)

    @settings(deadline=None)
    @given(st.binary(max_size=20), st.sampled_from([b"", b"/v1/models/", b"/v1/models/a"]))
    def test_only_ours(self, path: bytes, begin: bytes) -> None:
        """Nothing that a client can write leads anywhere else."""
        routed = routed_path(begin + path)
        if routed not in ROUTES | {UNKNOWN_PATH}:
            head, _, tail = routed.partition(b"/v1/models/")
            self.assertEqual(head, b"")
            self.assertTrue(set(unquote_to_bytes(tail)) <= NAME_BYTES)
