"""What a model host says of its models, cut down."""

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.upstream.tags import details_of, listings_of, version_of

FORMAT = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "8B",
    "quantization_level": "Q4_K_M",
}


class VersionTests(SynchronousTestCase):
    def test_versions(self) -> None:
        """Three numbers, with what builds append."""
        for text, expected in (
            ("0.17.1", (0, 17, 1)),
            ("v0.30.0", (0, 30, 0)),
            ("0.31.2-rc1", (0, 31, 2)),
            ("0.31.2+dirty", (0, 31, 2)),
            ("0.31.2.4", (0, 31, 2)),
        ):
            with self.subTest(text=text):
                self.assertEqual(version_of(orjson.dumps({"version": text})), expected)

    def test_nonsense(self) -> None:
        """Anything else is no version of an Ollama."""
        for body in (
            b"",
            b"[]",
            b"{}",
            b'{"version":3}',
            b'{"version":"0.17"}',
            b'{"version":"0.17.1rc1"}',
            b'{"version":"9999999.0.0"}',
        ):
            with self.subTest(body=body), self.assertRaises(UpstreamNonsense):
                version_of(body)


class ListingsTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """By canonical name, under Ollama's own, with the fields that a tenant may see."""
        entry = {
            "name": "Llama3:latest",
            "model": "ignored",
            "modified_at": "2026-01-01T00:00:00Z",
            "size": 5,
            "digest": "abc",
            "details": {"family": "llama", "parent_model": "/srv/blobs/x", "path": "x"},
            "path": "/srv/ollama",
        }
        expected = {
            "llama3:latest": {
                "name": "Llama3:latest",
                "model": "Llama3:latest",
                "modified_at": "2026-01-01T00:00:00Z",
                "size": 5,
                "digest": "abc",
                "details": {"parent_model": "", "family": "llama"},
            }
        }
        self.assertEqual(listings_of(orjson.dumps({"models": [entry]}), 9), expected)

    def test_left_out(self) -> None:
        """Models that run elsewhere, and entries that no request could name."""
        entries = [
            {"name": "a:cloud"},
            {"name": "b:1b-cloud"},
            {"name": "c", "remote_host": "https://ollama.com"},
            {"name": "d", "remote_model": "d"},
            {"name": "not a name"},
            {"name": 3},
            {},
            "x",
            {"name": "kept", "size": "many", "digest": None},
        ]
        listings = listings_of(orjson.dumps({"models": entries}), 9)
        expected = {"name": "kept", "model": "kept", "details": {"parent_model": ""}}
        self.assertEqual(listings, {"kept:latest": expected})

    def test_empty(self) -> None:
        """No models is an answer; Go writes null for an empty list."""
        for body in (b"{}", b'{"models":null}', b'{"models":[]}'):
            with self.subTest(body=body):
                self.assertEqual(listings_of(body, 9), {})

    def test_nonsense(self) -> None:
        """What is no list, or too long a one."""
        for body in (b"", b"[]", b'{"models":{}}', b'{"models":[{},{},{}]}'):
            with self.subTest(body=body), self.assertRaises(UpstreamNonsense):
                listings_of(body, 2)


class DetailsTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """Only what SPEC 3 lists, and only of its type."""
        shown = {
            "details": FORMAT,
            "model_info": {"general.architecture": "llama"},
            "capabilities": ["completion"],
            "parameters": "stop x",
            "modified_at": "2026-01-01T00:00:00Z",
        }
        hidden = dict.fromkeys(
            ("system", "template", "license", "modelfile", "messages", "remote_host"), "secret"
        )
        self.assertEqual(details_of(orjson.dumps({**shown, **hidden})), shown)
        nothing = {"details": {"parent_model": ""}}
        self.assertEqual(details_of(b'{"capabilities":"completion","details":[]}'), nothing)

    def test_format(self) -> None:
        """How a model is stored, without what it was made from and without what else there is."""
        told = {**FORMAT, "parent_model": "/srv/blobs/sha256-1", "adapter": "/srv/x"}
        body = orjson.dumps({"details": told})
        self.assertEqual(details_of(body), {"details": FORMAT})
        (listing,) = listings_of(
            orjson.dumps({"models": [{"name": "a", "details": told}]}), 9
        ).values()
        self.assertEqual(listing["details"], FORMAT)
        wrong = dict.fromkeys(told, 7)
        self.assertEqual(
            details_of(orjson.dumps({"details": wrong})), {"details": {"parent_model": ""}}
        )
