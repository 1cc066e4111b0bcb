"""What a model host says of its models, cut down."""

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.upstream.tags import details_of, listings_of, version_of


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
            "details": {"family": "llama"},
            "path": "/root/.ollama",
        }
        expected = {
            "llama3:latest": {
                "name": "Llama3:latest",
                "model": "Llama3:latest",
                "modified_at": "2026-01-01T00:00:00Z",
                "size": 5,
                "digest": "abc",
                "details": {"family": "llama"},
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
        self.assertEqual(listings, {"kept:latest": {"name": "kept", "model": "kept"}})

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
            "details": {"family": "llama"},
            "model_info": {"general.architecture": "llama"},
            "capabilities": ["completion"],
            "parameters": "stop x",
            "modified_at": "2026-01-01T00:00:00Z",
        }
        hidden = dict.fromkeys(
            ("system", "template", "license", "modelfile", "messages", "remote_host"), "secret"
        )
        self.assertEqual(details_of(orjson.dumps({**shown, **hidden})), shown)
        self.assertEqual(details_of(b'{"capabilities":"completion","details":[]}'), {})
