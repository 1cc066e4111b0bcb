import socket
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.cli.session import database_faults
from neuronetz_twisted.stores.faults import DatabaseFault
from neuronetz_twisted.stores.records import NoSuchTenant
from tests.command_line import command

CANARY = "canary-secret"


class DatabaseFaultsTests(SynchronousTestCase):
    def test_one_line_each(self) -> None:
        """What the database and what the operator's queries refuse is told in their own words."""
        for error in (DatabaseFault("the database is odd"), NoSuchTenant("x", ["acme"])):
            with self.assertRaises(Fault) as caught, database_faults():
                raise error
            self.assertEqual(caught.exception.message, str(error))


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
