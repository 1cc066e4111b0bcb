import socket
from pathlib import Path
from typing import cast

import psycopg
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.cli.session import NotMigrated, database_faults
from tests.command_line import command

CANARY = "canary-secret"


def told(error: DBAPIError) -> Fault:
    """The fault that a command tells for an error."""
    try:
        with database_faults():
            raise error
    except Fault as fault:
        return fault


def refused(kind: type[psycopg.Error], words: str) -> ProgrammingError:
    """An error of the server, for a statement with a secret."""
    return ProgrammingError("SELECT 1", {"hash": CANARY}, kind(words))


class DatabaseFaultsTests(SynchronousTestCase):
    def test_what_is_missing_means_not_migrated(self) -> None:
        """No schema, table, column, type or role: the same advice."""
        for kind in (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.UndefinedObject,
            psycopg.errors.InvalidSchemaName,
        ):
            self.assertIsInstance(told(refused(kind, "x does not exist")), NotMigrated)
        words = 'connection failed: FATAL:  role "gateway_app" does not exist'
        error = OperationalError(None, None, psycopg.OperationalError(words))
        self.assertIn("run neuronetz-gateway migrate", told(error).message)

    def test_only_the_first_line_is_repeated(self) -> None:
        """Neither the statement nor its parameters nor a detail is told."""
        error = refused(psycopg.errors.CheckViolation, f"violates a check\nDETAIL: {CANARY}")
        self.assertEqual(told(error).message, "the database refuses: violates a check")

    def test_a_connection_that_failed(self) -> None:
        """A server that is away is told apart from one that refuses."""
        error = OperationalError(None, None, psycopg.OperationalError("connection failed: no"))
        self.assertIn("cannot be reached: connection failed: no", told(error).message)


class DatabaseAwayTests(SynchronousTestCase):
    def failing(self, url: str) -> str:
        """The one line that every command says with this database."""
        lines = set()
        for arguments in (["list-tenants"], ["list-keys", "--json"], ["migrate"]):
            result = command(*arguments, DATABASE_URL=url)
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertNotIn(CANARY, result.output)
            lines.add(result.stderr)
        (line,) = lines
        self.assertEqual(line.count("\n"), 1)
        return line

    def test_nobody_listens(self) -> None:
        """One plain line, no traceback and no password."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = cast("int", server.getsockname()[1])
        line = self.failing(f"postgresql://u:{CANARY}@127.0.0.1:{port}/d")
        self.assertIn("cannot be reached", line)
        self.assertIn("refused", line)

    def test_a_url_that_cannot_be_read(self) -> None:
        """A password with special characters makes a port of itself; it is not repeated."""
        line = self.failing(f"postgresql://u:{CANARY}@h:{CANARY}/d")
        self.assertIn("percent-encoded", line)

    def test_nothing_to_embed(self) -> None:
        """Without a PostgreSQL to run, the line says so."""
        result = command(
            "list-tenants",
            DATABASE_URL="embedded:",
            GATEWAY_STATE_DIR=str(Path(self.mktemp()).absolute()),
            GATEWAY_PG_BIN="/nowhere",
        )
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("GATEWAY_PG_BIN=/nowhere", result.stderr)
