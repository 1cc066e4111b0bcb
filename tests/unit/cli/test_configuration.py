from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.configuration import masked
from tests.command_line import command, json_of

CANARY = "canary-secret"


class MaskedTests(SynchronousTestCase):
    def test_a_word_is_hidden_whole(self) -> None:
        """Of a token nothing is shown."""
        self.assertEqual(masked(CANARY), "***")

    def test_embedded_is_no_secret(self) -> None:
        """It says where, and holds nothing."""
        self.assertEqual(masked("embedded:"), "embedded:")

    def test_a_url_shows_its_place_only(self) -> None:
        """Account, host, port and database stay readable, passwords do not."""
        for url, shown in (
            ("postgresql+psycopg://u:pw@h:1/d", "postgresql+psycopg://u:***@h:1/d"),
            ("postgresql+psycopg://u:p@w/x:y@h/d", "postgresql+psycopg://u:***@h/d"),
            ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
            ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
            ("redis://h:1/0", "redis://h:1/0"),
            ("unix://:pw@/a/b.sock?db=1", "unix://:***@/a/b.sock?db=1"),
            (
                "postgresql+psycopg:///d?host=/run&password=pw&sslpassword=pw",
                "postgresql+psycopg:///d?host=/run&password=***&sslpassword=***",
            ),
        ):
            self.assertEqual(masked(url), shown)


class ConfigTests(SynchronousTestCase):
    def settings(self, **environ: str) -> dict[str, dict[str, str]]:
        """What `config` says with these variables, by name."""
        records = json_of(command("config", "--json", **environ))
        return {record["name"]: record for record in records}

    def test_values_as_they_would_be_written(self) -> None:
        """Defaults appear as text that the variable itself would take."""
        found = self.settings(DATABASE_URL="embedded:")
        self.assertEqual(found["OLLAMA_MIN_VERSION"]["value"], "0.17.1")
        self.assertEqual(found["GATEWAY_TRUSTED_PROXIES"]["value"], "127.0.0.1,caddy")
        self.assertEqual(found["GATEWAY_CORS_ORIGINS"]["value"], "")
        self.assertEqual(found["OLLAMA_CONNECT_TIMEOUT_S"]["value"], "5")
        self.assertEqual(found["HIDE_TIMINGS"]["value"], "false")
        self.assertIsNone(found["GATEWAY_ENDPOINT"]["value"])

    def test_backends(self) -> None:
        """Backends have tokens, so nothing of them is shown; what is pinned is no secret."""
        found = self.settings(
            DATABASE_URL="embedded:",
            OLLAMA_BACKENDS=f'[{{"name":"a","url":"http://a","token":"{CANARY}"}}]',
            OLLAMA_PINNED_OPTIONS='{"*": {"num_ctx": 8192}}',
        )
        self.assertEqual(found["OLLAMA_BACKENDS"]["value"], "***")
        self.assertEqual(found["OLLAMA_PINNED_OPTIONS"]["value"], '{"*":{"num_ctx":8192}}')

    def test_origins(self) -> None:
        """Each value tells where it comes from."""
        secret = Path(self.mktemp())
        secret.write_text(f"postgresql://u:{CANARY}@h/d\n")
        dotenv = Path(".env")
        dotenv.write_text("GATEWAY_LOG_LEVEL=DEBUG\n")
        self.addCleanup(dotenv.unlink)
        found = self.settings(DATABASE_URL_FILE=str(secret), GATEWAY_BIND_PORT="81")
        self.assertEqual(found["GATEWAY_BIND_HOST"]["origin"], "default")
        self.assertEqual(found["GATEWAY_BIND_PORT"]["origin"], "environment")
        self.assertEqual(found["GATEWAY_LOG_LEVEL"]["origin"], ".env")
        self.assertEqual(found["DATABASE_URL"]["origin"], f"file {secret}")
        self.assertEqual(found["DATABASE_URL"]["value"], "postgresql+psycopg://u:***@h/d")

    def test_no_secret_is_shown(self) -> None:
        """Neither form prints a password or a token."""
        environ = {
            "DATABASE_URL": f"postgresql://u:{CANARY}@h/d",
            "DATABASE_ADMIN_URL": f"postgresql://u:{CANARY}@h/d",
            "REDIS_URL": f"redis://:{CANARY}@h/0",
            "OLLAMA_AUTH_TOKEN": CANARY,
        }
        for arguments in (["config"], ["config", "--json"]):
            result = command(*arguments, **environ)
            self.assertEqual(result.exit_code, 0)
            self.assertIn("***", result.stdout)
            self.assertNotIn(CANARY, result.output)

    def test_all_faults_at_once(self) -> None:
        """A line for each fault, status 2, nothing on the standard output."""
        result = command("config", GATEWAY_BIND_PORT="x", OLLAMA_BASE_URL=f"ftp://u:{CANARY}@h")
        self.assertEqual(result.exit_code, 2)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 3)
        for name, line in zip(
            ("GATEWAY_BIND_PORT", "OLLAMA_BASE_URL", "DATABASE_URL"), lines, strict=True
        ):
            self.assertTrue(line.startswith(f"neuronetz-gateway: {name}: "), line)
        self.assertNotIn(CANARY, result.stderr)
