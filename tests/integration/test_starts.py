"""The gateway as a process that cannot start, or is stopped while it does (SPEC 14)."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import Program, eventually
from tests.servers import DatabaseUrls, admin_connection, new_database

# The advisory lock of `migrations/env.py`, which may never change.
LOCK = 0x6E65_7572_6F6E_6574
WAITERS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
PROMPT_S = 2.5
"""Less than a migration waits for its locks."""


class StartTests(SynchronousTestCase):
    def launch(self, urls: DatabaseUrls) -> Program:
        """Start a gateway that migrates first, with a Redis that is not there."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        twistd = Path(sys.executable).parent / "twistd"
        arguments = [str(twistd), "-n", "--pidfile=", "neuronetz", "--migrate"]
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": urls.url,
            "DATABASE_ADMIN_URL": urls.admin_url,
            "REDIS_URL": f"unix://{home}/redis.sock",
            "OLLAMA_BASE_URL": "http://127.0.0.1:1",
            "GATEWAY_STATE_DIR": str(home / "state"),
            "GATEWAY_BIND_HOST": "127.0.0.1",
            "GATEWAY_BIND_PORT": "0",
        }
        program = Program(arguments, environ, home / "gateway.log")
        self.addCleanup(program.end)
        return program

    def refusal(self, urls: DatabaseUrls) -> str:
        """The one line of a gateway that does not start."""
        program = self.launch(urls)
        self.assertEqual(program.wait(), 1)
        self.assertNotIn("Traceback", program.output)
        self.assertNotIn('"failure"', program.output)
        (line,) = (line for line in program.output.splitlines() if not line.startswith("{"))
        return line

    def test_no_server(self) -> None:
        """Nobody listens at the database's address."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        url = f"postgresql+psycopg://u:canary@127.0.0.1:{port}/d"
        line = self.refusal(DatabaseUrls(url=url, admin_url=url))
        self.assertIn("the gateway cannot start: the database cannot be reached: ", line)
        self.assertNotIn("canary", line)

    def test_newer_database(self) -> None:
        """A newer version was here."""
        urls = new_database(self)
        admin = admin_connection(self, urls.admin_url)
        admin.execute("UPDATE gateway.alembic_version SET version_num = '9999'")
        self.assertIn("newer than this version knows", self.refusal(urls))

    def test_role_that_may_not(self) -> None:
        """The owner's URL is not the owner's."""
        url = new_database(self, migrated=False).url
        self.assertIn("permission denied", self.refusal(DatabaseUrls(url=url, admin_url=url)))

    def test_stopped_while_it_waits(self) -> None:
        """A migration that waits for another one does not keep the process from ending."""
        urls = new_database(self, migrated=False)
        admin = admin_connection(self, urls.admin_url)
        admin.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        program = self.launch(urls)
        eventually(lambda: admin.execute(WAITERS).fetchall(), 30)
        began = time.monotonic()
        self.assertIn(program.terminate(), {0, -signal.SIGTERM})
        self.assertLess(time.monotonic() - began, PROMPT_S)
        self.assertIn("stopped before the start was complete", program.output)

    def test_other_migration_that_does_not_end(self) -> None:
        """It is waited for, and then the line says so."""
        urls = new_database(self, migrated=False)
        admin = admin_connection(self, urls.admin_url)
        admin.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        self.assertIn("another migration of this database is running", self.refusal(urls))
