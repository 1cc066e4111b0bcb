"""Rows of gateways in a real PostgreSQL, as role gateway_app; one of them a process that dies."""

import os
import sys
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from attrs import evolve
from twisted.trial.unittest import TestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.instances import (
    KEPT,
    SEEN,
    Instances,
    Process,
    others,
    renew,
    this_process,
)
from tests.database import started
from tests.processes import Program
from tests.servers import admin_connection, new_database
from tests.waiting import reactor, until

TREE = Path(__file__).parents[2]
MARGIN = timedelta(seconds=10)

PROGRAM = """
import sys
from twisted.internet import reactor
from neuronetz_twisted.stores.instances import Instances, this_process
from neuronetz_twisted.stores.postgres import DatabaseThreads
database = DatabaseThreads(reactor, sys.argv[1], pool_size=1, overflow=1)
for service in (database, Instances(reactor, database, this_process())):
    service.startService()
reactor.run()
"""


class InstancesTests(TestCase):
    def setUp(self) -> None:
        """A database of this test's own, without a gateway."""
        urls = new_database(self)
        self.url = urls.url
        self.admin = admin_connection(self, urls.admin_url)
        self.database = started(self, urls.url)

    def rows(self) -> int:
        """How many gateways have a row."""
        row = self.admin.execute("SELECT count(*) FROM gateway.instances").fetchone()
        assert row is not None
        return int(row[0])

    def age(self, age: timedelta) -> None:
        """Have all rows renewed so long ago."""
        self.admin.execute("UPDATE gateway.instances SET heartbeat_at = now() - %s", (age,))

    async def gateway(self, own: Process) -> Instances:
        """One that runs, and has its row."""
        made, before = Instances(reactor, self.database, own), self.rows()
        made.startService()
        self.addCleanup(made.stopService)
        await until(lambda: self.rows() > before)
        return made

    async def test_one(self) -> None:
        """Its own row is no other; it goes with its stop."""
        gateway = await self.gateway(this_process())
        self.assertFalse(await gateway.others())
        await gateway.stopService()
        self.assertEqual(self.rows(), 0)

    async def test_elsewhere(self) -> None:
        """Two on different hosts see each other, until one stops."""
        first = await self.gateway(this_process())
        second = await self.gateway(Process(host="elsewhere", pid=1))
        self.assertTrue(await first.others())
        self.assertTrue(await second.others())
        await second.stopService()
        self.assertFalse(await first.others())

    async def test_not_seen(self) -> None:
        """One that has not renewed its row for half a minute is not waited for."""
        gateway = await self.gateway(this_process())
        other = Process(host="elsewhere", pid=1)
        await self.database.run(partial(renew, own=other, since=None))
        self.age(SEEN - MARGIN)
        self.assertTrue(await gateway.others())
        self.age(SEEN + MARGIN)
        self.assertFalse(await gateway.others())

    async def test_killed(self) -> None:
        """One that was killed on this host counts as long as its process lives, and no longer."""
        gateway = await self.gateway(this_process())
        output = Path(tempfile.mkdtemp(prefix="nz")) / "output"
        environ = {**os.environ, "PYTHONPATH": str(TREE)}
        program = Program([sys.executable, "-c", PROGRAM, self.url], environ, output)
        self.addCleanup(program.end)
        await until(lambda: self.rows() > 1)
        self.assertTrue(await gateway.others())
        program.kill()
        program.wait()
        self.assertFalse(await gateway.others())
        self.assertEqual(self.rows(), 2)

    async def test_predecessor(self) -> None:
        """One that had our pid on our host is dead."""
        gateway = await self.gateway(this_process())
        await self.gateway(this_process())
        self.assertFalse(await gateway.others())

    async def test_long_dead(self) -> None:
        """The rows of those that were killed go after an hour, with anybody's heartbeat."""
        own, dead, silent = this_process(), this_process(), this_process()
        for each, age in ((dead, KEPT + MARGIN), (silent, KEPT - MARGIN)):
            await self.database.run(partial(renew, own=each, since=None))
            self.admin.execute(
                "UPDATE gateway.instances SET heartbeat_at = now() - %s WHERE id = %s",
                (age, each.id),
            )
        await self.gateway(own)
        found = self.admin.execute("SELECT id FROM gateway.instances").fetchall()
        self.assertEqual({row[0] for row in found}, {own.id, silent.id})

    async def test_behind_an_outage(self) -> None:
        """Rows that nobody could renew while the database was away are as fresh as they were."""
        own, other = this_process(), Process(host="elsewhere", pid=1)
        await self.database.run(partial(renew, own=other, since=None))
        at = await self.database.run(partial(renew, own=own, since=None))
        away = 2 * KEPT
        self.age(away)
        ask = partial(others, own=own, since=at - away)
        self.assertEqual(await self.database.run(ask), [other])
        await self.database.run(partial(renew, own=own, since=at - away))
        self.assertEqual(await self.database.run(ask), [other])
        self.assertEqual(await self.database.run(partial(others, own=own, since=at)), [])

    async def test_away(self) -> None:
        """Without the database nobody knows."""
        gateway = Instances(reactor, self.database, evolve(this_process(), id=uuid4()))
        await self.database.stopService()
        with self.assertRaises(DatabaseUnavailable):
            await gateway.others()
