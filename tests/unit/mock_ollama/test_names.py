"""Model names in all their spellings."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.names import Reference, parse_name, read_reference
from mock_ollama.refused import Refused


def read(text: str) -> Reference:
    """Read a name that is there."""
    reference = read_reference(text)
    if reference is None:
        raise AssertionError(f"{text!r} names nothing")
    return reference


class NameTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """Absent parts are the defaults, and the shortest name leaves those out."""
        for text, full, shortest in (
            ("m", "registry.ollama.ai/library/m:latest", "m:latest"),
            ("m:t", "registry.ollama.ai/library/m:t", "m:t"),
            ("me/m", "registry.ollama.ai/me/m:latest", "me/m:latest"),
            ("hf.co/me/m:Q4", "hf.co/me/m:Q4", "hf.co/me/m:Q4"),
            ("host:5000/me/m", "host:5000/me/m:latest", "host:5000/me/m:latest"),
            (
                "https://Registry.Ollama.AI/Library/M",
                "Registry.Ollama.AI/Library/M:latest",
                "M:latest",
            ),
            (" m\u2003", "registry.ollama.ai/library/m:latest", "m:latest"),
            ("m:local", "registry.ollama.ai/library/m:latest", "m:latest"),
            ("m:t:LOCAL", "registry.ollama.ai/library/m:t", "m:t"),
        ):
            with self.subTest(text=text):
                name = read(text).name
                self.assertEqual((name.full, name.shortest), (full, shortest))

    def test_cloud(self) -> None:
        """Suffixes that mean ollama.com."""
        for text in ("m:cloud", "m:20b-cloud", "m:t:cloud", "m: Cloud ", "m:20B-CLOUD"):
            with self.subTest(text=text):
                self.assertTrue(read(text).is_cloud)
        for text in ("m-cloud", "cloud", "m:cloudy", "me/m-cloud:latest", "m:local"):
            with self.subTest(text=text):
                self.assertFalse(read(text).is_cloud)

    def test_invalid(self) -> None:
        """Characters and lengths that Ollama does not allow, and parts that are missing."""
        for text in (
            "a b", "m:", ":t", "/m", "me/", "m@sha256", "m\u00e9", ".m", "-m", "m:t/", "m\\n",
            "m" * 81, "m:" + "t" * 81, "n" * 81 + "/m", "h" * 351 + "/n/m", "n.s/m", "h/n/m:t:u",
            "a/b/c/d:t", "m\x1c", "m:-cloud", ":cloud",
        ):  # fmt: skip
            with self.subTest(text=text):
                refused = self.assertRaises(Refused, read_reference, text)
                self.assertEqual((refused.status, refused.text), (400, "invalid model name"))

    def test_longest(self) -> None:
        """Each part at its longest is valid."""
        text = f"{'h' * 350}/{'n' * 80}/{'m' * 80}:{'t' * 80}"
        self.assertEqual(read(text).name.full, text)

    def test_conflict(self) -> None:
        """Two sources are refused."""
        for text in ("m:cloud:local", "m:local:cloud", "m:t-cloud:local"):
            with self.subTest(text=text):
                self.assertIn("not both", self.assertRaises(Refused, read_reference, text).text)

    def test_blank(self) -> None:
        """Nothing but blanks names nothing."""
        for text in ("", " ", "\u00a0\t\u3000"):
            self.assertIsNone(read_reference(text))

    @given(st.text("aZ09_-.:/@ \u00e9", max_size=20))
    def test_shortest_means_the_same(self, text: str) -> None:
        """The shortest form of a valid name is the same name."""
        name = parse_name(text)
        if name.is_valid:
            again = parse_name(name.shortest)
            self.assertEqual(again.full.lower(), name.full.lower())
