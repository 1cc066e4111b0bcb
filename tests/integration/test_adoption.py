"""Adoption between real processes on one state directory and a real PostgreSQL; all of them die."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.adopter import CALLS, COMPLETED, EXTENDED, RESERVED, USED
from tests.processes import Program, eventually
from tests.servers import admin_connection, new_database

LEFT_OPEN = CALLS - COMPLETED
WITH_LEASE = len([number for number in range(COMPLETED, CALLS) if number % 2])
CHARGED = COMPLETED * USED + WITH_LEASE * EXTENDED + (LEFT_OPEN - WITH_LEASE) * RESERVED
TREE = Path(__file__).parents[2]


class Adoptions(SynchronousTestCase):
    """A writer that was killed with calls under way."""

    def setUp(self) -> None:
        """A state directory and a database; no process yet."""
        self.home = Path(tempfile.mkdtemp(prefix="nz"))
        self.addCleanup(shutil.rmtree, self.home)
        self.root = self.home / "spool"
        urls = new_database(self)
        self.url = urls.url
        self.admin = admin_connection(self, urls.admin_url)
        self.number = 0

    def program(self, *arguments: str, says: str) -> Program:
        """A process of `tests.adopter`, once it has begun."""
        self.number += 1
        output = self.home / f"output-{self.number}"
        environ = {**os.environ, "PYTHONPATH": str(TREE)}
        program = Program([sys.executable, "-m", "tests.adopter", *arguments], environ, output)
        self.addCleanup(program.end)
        eventually(lambda: says in program.output or not program.runs())
        return program

    def adopter(self, dies_at: int = 0) -> Program:
        """A process that adopts."""
        return self.program("adopt", str(self.root), self.url, str(dies_at), says="adopting")

    def writer(self) -> Program:
        """A process that writes, and lives."""
        program = self.program("write", str(self.root), says="written")
        self.assertTrue(program.runs(), program.output)
        return program

    def directories(self) -> int:
        """How many spools there are."""
        return len(list(self.root.glob("*-*")))

    def figures(self) -> tuple[int, int, int, int, int]:
        """Rows, those that are unknown, charged, on the ledger, and the numbers of the chain."""
        row = self.admin.execute(
            """
            SELECT count(*), count(*) FILTER (WHERE outcome = 'unknown'),
                coalesce(sum(charged), 0),
                (SELECT coalesce(sum(tokens), 0) FROM gateway.budget_usage
                    WHERE scope_kind = 'key' AND period = 'day'),
                count(DISTINCT (writer, seq))
            FROM gateway.audit_log
            """
        ).fetchone()
        assert row is not None
        rows, unknown, charged, ledger, links = map(int, row)
        return rows, unknown, charged, ledger, links

    def closed(self) -> set[int]:
        """At which numbers chains were closed."""
        rows = self.admin.execute(
            "SELECT seq FROM gateway.audit_checkpoints WHERE kind = 'closed'"
        ).fetchall()
        return {int(row[0]) for row in rows}

    def check(self, writers: int = 1) -> None:
        """All that was left is where it belongs, once."""
        eventually(lambda: not self.directories(), 20)
        self.assertEqual(
            self.figures(),
            (
                writers * CALLS,
                writers * LEFT_OPEN,
                writers * CHARGED,
                writers * CHARGED,
                writers * CALLS,
            ),
        )
        self.assertEqual(self.closed(), {CALLS})

    def test_killed_writer(self) -> None:
        """Each of its calls has one row; open ones are charged with their last reservation."""
        self.writer().kill()
        self.adopter()
        self.check()

    def test_living_writer(self) -> None:
        """The spool of a process that lives is left alone, by a process that adopts another."""
        alive = self.writer()
        self.writer().kill()
        self.adopter()
        eventually(lambda: self.directories() == 1)
        self.assertEqual(self.figures()[0], CALLS)
        alive.kill()
        self.check(2)

    def test_two_processes_race(self) -> None:
        """Of two that adopt at once exactly one gets each spool, and nothing is double."""
        for _ in range(4):
            self.writer().kill()
        for _ in range(2):
            self.adopter()
        self.check(4)

    def test_killed_while_adopting(self) -> None:
        """Whoever adopts may die at any step, again and again: the next one finishes it."""
        self.writer().kill()
        deaths = (1, 2, 5, LEFT_OPEN, 2, 3, 4, 5, 6)
        for step in deaths:
            adopter = self.adopter(step)
            self.assertEqual(adopter.wait(), -signal.SIGKILL, step)
        self.adopter()
        self.check()
