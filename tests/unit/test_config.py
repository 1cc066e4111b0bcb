"""The environment as settings: all faults at once, origins, secrets."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.config import ConfigError, Settings, load, variables

CANARY = "canary-password"
URL = f"postgresql+psycopg://gateway:{CANARY}@db/gateway"


class ConfigTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """An empty directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def settings(self, **environ: str) -> Settings:
        """Load, with a database."""
        return load({"DATABASE_URL": URL, **environ}, self.directory).settings

    def faults(self, **environ: str) -> list[str]:
        """The faults of an environment."""
        with self.assertRaises(ConfigError) as caught:
            load(environ, self.directory)
        faults: list[str] = caught.exception.faults
        return faults

    def file(self, name: str, text: str) -> str:
        """Write a file; its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)


class LoadTests(ConfigTestCase):
    def test_defaults(self) -> None:
        """Only the database must be named."""
        loaded = load({"DATABASE_URL": URL}, self.directory)
        self.assertEqual(loaded.settings.bind_port, 8080)
        self.assertEqual(loaded.settings.trusted_proxies, ("127.0.0.1", "caddy"))
        self.assertEqual(loaded.settings.ollama_min_version, (0, 17, 1))
        self.assertIsNone(loaded.settings.endpoint)
        self.assertEqual(loaded.origins["GATEWAY_BIND_PORT"], "default")
        self.assertEqual(loaded.origins["DATABASE_URL"], "environment")

    def test_every_variable(self) -> None:
        """Each has a name of its own, a help text, and a default that its parser takes."""
        names = [known.name for _, known in variables()]
        self.assertEqual(len(names), len(set(names)))
        for _, known in variables():
            with self.subTest(name=known.name):
                self.assertTrue(known.help)
                if known.default is not None:
                    known.parse(known.default)

    def test_all_faults_at_once(self) -> None:
        """Every variable that is off has its line; no value is quoted."""
        faults = self.faults(
            GATEWAY_BIND_PORT="65536",
            OLLAMA_BASE_URL="ftp://canary",
            REDIS_URL="canary",
            MAX_NUM_PREDICT="canary",
        )
        named = sorted(fault.partition(":")[0] for fault in faults)
        expected = ["DATABASE_URL", "GATEWAY_BIND_PORT", "MAX_NUM_PREDICT"]
        self.assertEqual(named, [*expected, "OLLAMA_BASE_URL", "REDIS_URL"])
        self.assertNotIn("canary", "".join(faults))

    def test_times_that_do_not_fit(self) -> None:
        """A list that dies before it is asked anew would be a gap each time."""
        (fault,) = self.faults(
            DATABASE_URL=URL, MODEL_DISCOVERY_REFRESH_S="60", MODEL_DISCOVERY_CACHE_TTL_S="59"
        )
        self.assertIn("MODEL_DISCOVERY_CACHE_TTL_S", fault)

    def test_empty_is_unset(self) -> None:
        """Compose files set empty values; but an empty list is a list."""
        settings = self.settings(GATEWAY_BIND_PORT=" ", GATEWAY_TRUSTED_PROXIES="")
        self.assertEqual((settings.bind_port, settings.trusted_proxies), (8080, ()))

    def test_secrets_are_not_shown(self) -> None:
        """Neither passwords nor tokens are in the settings' text."""
        settings = self.settings(
            DATABASE_ADMIN_URL=URL, OLLAMA_AUTH_TOKEN=CANARY, REDIS_URL=f"redis://:{CANARY}@r"
        )
        self.assertNotIn(CANARY, repr(settings))


class DotenvTests(ConfigTestCase):
    def test_read_and_outranked(self) -> None:
        """A .env is read as it is; the environment wins."""
        self.file(".env", "GATEWAY_BIND_PORT=1\nGATEWAY_BIND_HOST=a$HOME\nUNKNOWN=x\nEMPTY\n")
        loaded = load({"DATABASE_URL": URL, "GATEWAY_BIND_PORT": "2"}, self.directory)
        self.assertEqual(loaded.settings.bind_port, 2)
        self.assertEqual(loaded.settings.bind_host, "a$HOME")
        self.assertEqual(loaded.origins["GATEWAY_BIND_HOST"], ".env")


class FileTests(ConfigTestCase):
    def test_read(self) -> None:
        """A secret may come from a file; the line feed at its end is none of it."""
        path = self.file("secret", f"{URL}\n")
        loaded = load({"DATABASE_URL_FILE": path}, self.directory)
        self.assertEqual(loaded.settings.database_url, URL)
        self.assertEqual(loaded.origins["DATABASE_URL"], f"file {path}")

    def test_faults(self) -> None:
        """Both forms at once, a missing, empty or unreadable file."""
        empty = self.file("empty", " \n")
        binary = self.directory / "binary"
        binary.write_bytes(b"\xff")
        for environ in (
            {"DATABASE_URL": URL, "DATABASE_URL_FILE": empty},
            {"DATABASE_URL_FILE": empty},
            {"DATABASE_URL_FILE": str(binary)},
            {"DATABASE_URL_FILE": str(self.directory)},
            {"DATABASE_URL_FILE": str(self.directory / "missing")},
        ):
            with self.subTest(environ=environ):
                (fault,) = self.faults(**environ)
                self.assertTrue(fault.startswith("DATABASE_URL: "))
                self.assertNotIn(CANARY, fault)
