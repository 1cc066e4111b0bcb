import json
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.command_line import command, json_of
from tests.http_peer import peer

TAGS = json.dumps(
    {
        "models": [
            {"name": "Qwen3:8B", "size": 5, "digest": "d", "details": {"parameter_size": "8B"}},
            {"name": "llama3.2:latest", "size": 3},
            {"name": "far:cloud", "remote_host": "https://example.invalid"},
        ]
    }
).encode()


def ollama(case: SynchronousTestCase, version: str = "0.18.0") -> str:
    """The URL of a model host with that version."""
    return peer(
        case,
        {
            "/api/version": (200, json.dumps({"version": version}).encode()),
            "/api/tags": (200, TAGS),
        },
    ).url


class ProbeTests(SynchronousTestCase):
    def test_a_good_host(self) -> None:
        """Version, latency and the models that can be used, with status 0."""
        url = ollama(self)
        record = json_of(
            command("probe-ollama", "--json", DATABASE_URL="embedded:", OLLAMA_BASE_URL=url)
        )
        self.assertGreater(record.pop("latency_ms"), 0)
        self.assertEqual(
            record,
            {
                "url": url,
                "usable": True,
                "version": "0.18.0",
                "min_version": "0.17.1",
                "models": ["llama3.2:latest", "qwen3:8b"],
            },
        )

    def test_a_table_for_a_person(self) -> None:
        """Without --json the same is a table."""
        result = command("probe-ollama", DATABASE_URL="embedded:", OLLAMA_BASE_URL=ollama(self))
        self.assertEqual(result.exit_code, 0)
        self.assertRegex(result.stdout, r"usable +yes")

    def test_an_old_host(self) -> None:
        """An Ollama below OLLAMA_MIN_VERSION is named as such, with status 1."""
        result = command(
            "probe-ollama",
            "--json",
            DATABASE_URL="embedded:",
            OLLAMA_BASE_URL=ollama(self, "0.9.10"),
        )
        self.assertEqual(result.exit_code, 1)
        self.assertFalse(json.loads(result.stdout)["usable"])
        self.assertIn("0.9.10", result.stderr)
        self.assertIn("older than 0.17.1", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_the_token_is_sent_and_not_told(self) -> None:
        """The host gets its token; a refusal says which variable to look at."""
        here = peer(self, {"/api/version": (401, b"")})
        result = command(
            "probe-ollama",
            DATABASE_URL="embedded:",
            OLLAMA_BASE_URL=here.url,
            OLLAMA_AUTH_TOKEN="canary-token",
        )
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(here.seen[0][1]["Authorization"], "Bearer canary-token")
        self.assertIn("OLLAMA_AUTH_TOKEN", result.stderr)
        self.assertNotIn("canary-token", result.output)

    def test_nobody_there(self) -> None:
        """A host that does not answer is named with the reason."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
        result = command("probe-ollama", DATABASE_URL="embedded:", OLLAMA_BASE_URL=url)
        self.assertEqual(result.exit_code, 1)
        self.assertIn(f"{url} does not answer: Connection refused", result.stderr)

    def test_no_ollama(self) -> None:
        """Another server, or one that is ill, cannot be used."""
        for status, body, words in (
            (200, b"<html>", "does not answer like an Ollama"),
            (500, b"", "answers 500"),
        ):
            here = peer(self, {"/api/version": (status, body), "/api/tags": (200, TAGS)})
            result = command("probe-ollama", DATABASE_URL="embedded:", OLLAMA_BASE_URL=here.url)
            self.assertEqual(result.exit_code, 1)
            self.assertIn(words, result.stderr)
            self.assertRegex(result.stdout, r"usable +no")


class ListModelsTests(SynchronousTestCase):
    def test_what_discovery_would_find(self) -> None:
        """The models of the host by canonical name, without those that run elsewhere."""
        models = json_of(
            command("list-models", "--json", DATABASE_URL="embedded:", OLLAMA_BASE_URL=ollama(self))
        )
        self.assertEqual([model["name"] for model in models], ["llama3.2:latest", "qwen3:8b"])
        self.assertEqual(models[1]["details"], {"parent_model": "", "parameter_size": "8B"})

    def test_a_table_for_a_person(self) -> None:
        """What is not known of a model is a dash."""
        result = command("list-models", DATABASE_URL="embedded:", OLLAMA_BASE_URL=ollama(self))
        self.assertRegex(result.stdout, r"qwen3:8b +8B +- +5 +-")

    def test_an_old_host_has_none(self) -> None:
        """Discovery takes nothing from an Ollama that is too old, and neither do we."""
        result = command(
            "list-models", DATABASE_URL="embedded:", OLLAMA_BASE_URL=ollama(self, "0.17.0")
        )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("older than", result.stderr)
