import json
import socket

from click.testing import Result
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
        (record,) = json_of(
            command("probe-ollama", "--json", DATABASE_URL="embedded:", OLLAMA_BASE_URL=url)
        )
        self.assertGreater(record.pop("latency_ms"), 0)
        self.assertEqual(
            record,
            {
                "name": "default",
                "url": url,
                "fault": None,
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
        (record,) = json.loads(result.stdout)
        self.assertFalse(record["usable"])
        self.assertEqual(record["version"], "0.9.10")
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


class SeveralTests(SynchronousTestCase):
    """Three hosts: a good one, one that is away, one that is too old."""

    def setUp(self) -> None:
        """They are named in OLLAMA_BACKENDS."""
        self.good, self.old = ollama(self), ollama(self, "0.17.0")
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.away = f"http://127.0.0.1:{server.getsockname()[1]}"
        self.backends = [
            {"name": "good", "url": self.good, "token": "canary-token", "slots": 3},
            {"name": "away", "url": self.away, "header": "X-Key"},
            {"name": "old", "url": self.old},
        ]

    def ask(self, *words: str) -> Result:
        """Give a command."""
        told = json.dumps(self.backends)
        return command(*words, DATABASE_URL="embedded:", OLLAMA_BACKENDS=told)

    def test_list(self) -> None:
        """All of them in order, as they are configured; no token is shown."""
        result = self.ask("list-backends", "--json")
        records = json_of(result)
        self.assertEqual([record["name"] for record in records], ["good", "away", "old"])
        self.assertEqual([record["slots"] for record in records], [3, 64, 64])
        self.assertEqual([record["token"] for record in records], ["***", None, None])
        self.assertEqual(records[1]["header"], "X-Key")
        self.assertNotIn("canary", result.output)
        shown = self.ask("list-backends").stdout
        self.assertRegex(shown, r"good +http\S+ +\*\*\* +Authorization +3")

    def test_list_and_ask(self) -> None:
        """With --probe each says how it is; that one is away is no failure of the command."""
        records = json_of(self.ask("list-backends", "--probe", "--json"))
        self.assertEqual([record["usable"] for record in records], [True, False, False])
        self.assertEqual(records[0]["models"], ["llama3.2:latest", "qwen3:8b"])
        self.assertIn("does not answer", records[1]["fault"])
        self.assertEqual(records[2]["version"], "0.17.0")
        shown = self.ask("list-backends", "--probe").stdout
        self.assertRegex(shown, r"good .* 0\.18\.0 +[0-9.]+ ms +2 +-")
        self.assertRegex(shown, r"away .* - +- +0 +http")

    def test_probe(self) -> None:
        """Every host is told of; the status says that not all can be used, and why."""
        result = self.ask("probe-ollama", "--json")
        self.assertEqual(result.exit_code, 1)
        records = json.loads(result.stdout)
        self.assertEqual([record["usable"] for record in records], [True, False, False])
        self.assertIn("does not answer", result.stderr)
        self.assertIn("older than", result.stderr)

    def test_models(self) -> None:
        """Those of the hosts that can be used, with a note on the others."""
        result = self.ask("list-models", "--json")
        self.assertEqual([model["backends"] for model in json_of(result)], [["good"], ["good"]])
        self.assertEqual(result.stderr.count("note: "), 2)

    def test_models_of_none(self) -> None:
        """Where no host can be used that is a failure."""
        del self.backends[0]
        result = self.ask("list-models", "--json")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))


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
        self.assertRegex(result.stdout, r"qwen3:8b +8B +- +5 +- +default")

    def test_an_old_host_has_none(self) -> None:
        """Discovery takes nothing from an Ollama that is too old, and neither do we."""
        result = command(
            "list-models", DATABASE_URL="embedded:", OLLAMA_BASE_URL=ollama(self, "0.17.0")
        )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("older than", result.stderr)
