"""The environment as settings: all faults at once, origins, secrets."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.verifier import hash_key
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

    def test_memory_for_each_lane(self) -> None:
        """Argon2 takes no less than 8 KiB for each of its lanes."""
        lanes = {"ARGON2_PARALLELISM": "4"}
        settings = self.settings(**lanes, ARGON2_MEMORY_COST_KIB="32")
        self.assertTrue(hash_key("key", time_cost=1, memory_cost_kib=32, parallelism=4))
        self.assertEqual(settings.argon2_memory_cost_kib, 32)
        (fault,) = self.faults(DATABASE_URL=URL, **lanes, ARGON2_MEMORY_COST_KIB="31")
        self.assertTrue(fault.startswith("ARGON2_MEMORY_COST_KIB: "))

    def test_misfits_are_listed_with_the_others(self) -> None:
        """What does not fit beside another is found also where a third is wrong."""
        faults = self.faults(
            GATEWAY_BIND_PORT="x",
            MODEL_DISCOVERY_CACHE_TTL_S="1",
            ARGON2_MEMORY_COST_KIB="8",
            ARGON2_PARALLELISM="x",
        )
        named = sorted(fault.partition(":")[0] for fault in faults)
        expected = ["ARGON2_PARALLELISM", "DATABASE_URL", "GATEWAY_BIND_PORT"]
        self.assertEqual(named, [*expected, "MODEL_DISCOVERY_CACHE_TTL_S"])

    def test_empty_is_unset(self) -> None:
        """Compose files set empty values; but an empty list is a list."""
        settings = self.settings(GATEWAY_BIND_PORT=" ", GATEWAY_TRUSTED_PROXIES="")
        self.assertEqual((settings.bind_port, settings.trusted_proxies), (8080, ()))

    def test_an_empty_list_outranks(self) -> None:
        """A list that is set and empty is the empty list, whatever a `.env` has."""
        self.file(".env", "GATEWAY_CORS_ORIGINS=https://app.example\n")
        self.assertEqual(self.settings().cors_origins, ("https://app.example",))
        self.assertEqual(self.settings(GATEWAY_CORS_ORIGINS="").cors_origins, ())

    def test_secrets_are_not_shown(self) -> None:
        """Neither passwords nor tokens are in the settings' text."""
        settings = self.settings(
            DATABASE_ADMIN_URL=URL, OLLAMA_AUTH_TOKEN=CANARY, REDIS_URL=f"redis://:{CANARY}@r"
        )
        self.assertNotIn(CANARY, repr(settings))

    def test_backends(self) -> None:
        """Several hosts and their options; a fault has no token, and all are told in one line."""
        token = f'[{{"name":"a","url":"http://a","token":"{CANARY}"}}]'
        settings = self.settings(OLLAMA_BACKENDS=token, OLLAMA_PINNED_OPTIONS='{"*":{"seed":1}}')
        assert settings.ollama_backends is not None
        self.assertEqual([entry.name for entry in settings.ollama_backends], ["a"])
        self.assertNotIn(CANARY, repr(settings))
        faults = self.faults(
            DATABASE_URL=URL,
            OLLAMA_BACKENDS=token.replace("http:", "ftp:").replace('"a"', '""'),
            OLLAMA_PINNED_OPTIONS='{"*":{"seed":"x"}}',
        )
        self.assertEqual(len(faults), 2)
        self.assertIn("backend 1: name must", faults[0])
        self.assertIn("; backend 1: url must", faults[0])
        self.assertNotIn(CANARY, "".join(faults))
        self.assertEqual(faults[1], "OLLAMA_PINNED_OPTIONS: *: seed must be a whole number")

    def test_backends_from_a_file(self) -> None:
        """As any text may be."""
        path = self.file("backends", '[{"name":"a","url":"http://a"}]\n')
        self.assertEqual(len(self.settings(OLLAMA_BACKENDS_FILE=path).ollama_backends or ()), 1)


class DotenvTests(ConfigTestCase):
    def test_read_and_outranked(self) -> None:
        """A .env is read as it is; the environment wins."""
        self.file(".env", "GATEWAY_BIND_PORT=1\nOLLAMA_AUTH_TOKEN=a$HOME\nUNKNOWN=x\nEMPTY\n")
        loaded = load({"DATABASE_URL": URL, "GATEWAY_BIND_PORT": "2"}, self.directory)
        self.assertEqual(loaded.settings.bind_port, 2)
        self.assertEqual(loaded.settings.ollama_auth_token, "a$HOME")
        self.assertEqual(loaded.origins["OLLAMA_AUTH_TOKEN"], ".env")

    def test_unreadable(self) -> None:
        """A .env that is no text is a fault beside the others."""
        (self.directory / ".env").write_bytes(b"DATABASE_URL=\xff")
        faults = self.faults(DATABASE_URL=URL, GATEWAY_BIND_PORT="x")
        self.assertEqual(faults[0], ".env: cannot be read: UnicodeDecodeError")
        self.assertEqual(len(faults), 2)

    def test_forbidden(self) -> None:
        """One that we may not read is a fault, with the system's word for it."""

        def forbidden(*_arguments: object, **_options: object) -> str:
            raise PermissionError

        self.file(".env", "GATEWAY_BIND_PORT=1\n")
        self.patch(Path, "read_text", forbidden)
        self.assertEqual(self.faults(DATABASE_URL=URL), [".env: cannot be read: PermissionError"])

    def test_lines_that_are_none(self) -> None:
        """Each line that cannot be read is named by its number, without its text."""
        self.file(".env", f"A=1\n\n\n{CANARY} two words\nB='x\n# fine\nexport C=1\n={CANARY}\n")
        faults = self.faults(DATABASE_URL=URL)
        self.assertEqual(faults, [f".env: cannot be read: line {line}" for line in (4, 5, 8)])

    def test_folder(self) -> None:
        """A folder of that name, as some keep Python in, is none of ours."""
        (self.directory / ".env").mkdir()
        self.assertEqual(self.settings().bind_port, 8080)

    def test_deleted_directory(self) -> None:
        """A process whose directory was deleted has no .env, and starts."""
        gone = Path(self.mktemp()).absolute()
        gone.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(gone)
        gone.rmdir()
        self.assertEqual(load({"DATABASE_URL": URL}, Path()).settings.bind_port, 8080)


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


class RecordTests(ConfigTestCase):
    KEY = "ab" * 32

    def test_defaults(self) -> None:
        """What the contract says (SPEC 10)."""
        settings = self.settings()
        self.assertEqual(settings.audit_buffer_size, 1000)
        self.assertEqual(settings.audit_spool_max_bytes, 268435456)
        self.assertEqual(settings.audit_durability, "process")
        self.assertEqual((settings.audit_retention_days, settings.prompt_retention_days), (365, 30))
        self.assertIsNone(settings.audit_signing_key)
        self.assertIsNone(settings.prompt_log_master_key)

    def test_keys(self) -> None:
        """From a file as well; never in a repr or in a fault."""
        path = self.file("key", f"{self.KEY}\n")
        settings = self.settings(AUDIT_SIGNING_KEY=self.KEY, PROMPT_LOG_MASTER_KEY_FILE=path)
        self.assertEqual(settings.audit_signing_key, settings.prompt_log_master_key)
        self.assertNotIn(self.KEY, repr(settings))
        (fault,) = self.faults(DATABASE_URL=URL, AUDIT_SIGNING_KEY=self.KEY[1:])
        self.assertTrue(fault.startswith("AUDIT_SIGNING_KEY: must be 32 bytes"))
        self.assertNotIn(self.KEY[1:], fault)

    def test_no_young_records(self) -> None:
        """Records are kept for a month at least."""
        (fault,) = self.faults(DATABASE_URL=URL, AUDIT_LOG_DEFAULT_RETENTION_DAYS="29")
        self.assertTrue(fault.startswith("AUDIT_LOG_DEFAULT_RETENTION_DAYS: "))
