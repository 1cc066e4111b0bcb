"""The model hosts of the settings."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.backend_list import BackendEntry
from neuronetz_twisted.upstream.backends import backends_of, entries_of
from tests.unit.settings import SETTINGS


class BackendsTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """One backend, without a token."""
        (backend,) = backends_of(SETTINGS)
        self.assertEqual(backend.name, "default")
        self.assertEqual(backend.address_of("/api/chat"), b"http://127.0.0.1:11434/api/chat")
        self.assertIsNone(backend.token_header)

    def test_token(self) -> None:
        """A token goes out in its header behind its scheme, and is not shown."""
        for scheme, value in (("Bearer", b"Bearer canary"), ("", b"canary")):
            with self.subTest(scheme=scheme):
                settings = evolve(
                    SETTINGS,
                    ollama_auth_token="canary",
                    ollama_auth_header="X-Token",
                    ollama_auth_scheme=scheme,
                )
                (backend,) = backends_of(settings)
                self.assertEqual(backend.token_header, (b"X-Token", value))
                self.assertNotIn("canary", repr(backend))

    def test_several(self) -> None:
        """OLLAMA_BACKENDS names all of them; slots that are not said are those of the settings."""
        entries = (
            BackendEntry(name="a", url="http://a", token="canary", header="X-Key", scheme=""),
            BackendEntry(name="b", url="http://b", slots=3),
        )
        settings = evolve(
            SETTINGS,
            ollama_backends=entries,
            ollama_auth_token="other",
            ollama_max_connections=7,
        )
        a, b = backends_of(settings)
        self.assertEqual((a.name, a.slots, a.token_header), ("a", 7, (b"X-Key", b"canary")))
        self.assertEqual((b.name, b.slots, b.token_header), ("b", 3, None))
        self.assertEqual(entries_of(settings), entries)
