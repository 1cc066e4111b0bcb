"""Installed and loaded models."""

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.catalogue import Catalogue, Model, canonical_name
from mock_ollama.names import parse_name


class NameTests(SynchronousTestCase):
    def test_canonical(self) -> None:
        """All spellings of a model are one: case, default registry, namespace and tag."""
        for name in ("llama3.2", "LLaMA3.2:Latest", "registry.ollama.ai/library/llama3.2:latest"):
            with self.subTest(name=name):
                self.assertEqual(canonical_name(name), "llama3.2:latest")

    def test_others_stay_apart(self) -> None:
        """Another tag, namespace or host is another model."""
        for name in ("llama3.2:1b", "me/llama3.2:latest", "hf.co/me/llama3.2:latest"):
            with self.subTest(name=name):
                self.assertEqual(canonical_name(name), name)

    def test_full_name(self) -> None:
        """A full name has registry and namespace, as capability errors print it."""
        self.assertEqual(Model("a:b").full_name, "registry.ollama.ai/library/a:b")
        self.assertEqual(Model("me/a:b").full_name, "registry.ollama.ai/me/a:b")
        self.assertEqual(Model("hf.co/me/a:b").full_name, "hf.co/me/a:b")


class CatalogueTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Install two models."""
        self.catalogue = Catalogue()
        self.catalogue.install(["llama3.2", "nomic-embed-text"])

    def test_digest_follows_the_name(self) -> None:
        """A digest is 64 hexadecimal digits that depend on the name alone."""
        first, second = (tag["digest"] for tag in self.catalogue.tags())
        self.assertNotEqual(first, second)
        self.assertEqual(first, Model("llama3.2:latest").digest)
        self.assertRegex(first, "^[0-9a-f]{64}$")

    def test_install_replaces(self) -> None:
        """Installing replaces the list."""
        self.catalogue.install(["other"])
        self.assertIsNone(self.catalogue.find(parse_name("llama3.2")))
