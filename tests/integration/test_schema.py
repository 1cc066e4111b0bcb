"""A service on a database that is not migrated: it says so once, and heals by itself (SPEC 14)."""

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from neuronetz_twisted.stores import migrate
from neuronetz_twisted.stores.faults import NotMigrated, WrongSchema
from neuronetz_twisted.stores.notify import RevocationListener
from tests.database import one, started
from tests.servers import admin_connection, new_database, private_servers
from tests.waiting import reactor, until

ADVICE = "run neuronetz-gateway migrate"
UNMIGRATED = f"the database is not migrated: {ADVICE}"


class Schemas(TestCase):
    """On a database of each test's own."""

    def serve(self, *, migrated: bool) -> None:
        """Start the service on it."""
        self.urls = new_database(self, migrated=migrated)
        self.database = started(self, self.urls.url)

    async def refusal(self) -> str:
        """Why a call is refused."""
        with self.assertRaises(WrongSchema) as caught:
            await self.database.run(one)
        return str(caught.exception)

    def set_revision(self, revision: str) -> psycopg.Connection:
        """Let the database be at another revision."""
        admin = admin_connection(self, self.urls.admin_url)
        admin.execute("UPDATE gateway.alembic_version SET version_num = %s", (revision,))
        return admin

    async def test_empty(self) -> None:
        """Calls are refused with the advice, until somebody follows it."""
        self.serve(migrated=False)
        for _ in range(2):
            self.assertEqual(await self.refusal(), UNMIGRATED)
        migrate.upgrade(self.urls.admin_url)
        self.assertEqual(await self.database.run(one), 1)

    async def test_older(self) -> None:
        """The line names both revisions; those before the role had any right are named as none."""
        self.serve(migrated=True)
        self.set_revision("0002")
        self.assertEqual(
            await self.refusal(), f"the database is at 0002, this version needs 0005: {ADVICE}"
        )
        self.serve(migrated=False)
        migrate.upgrade(self.urls.admin_url, "0002")
        self.assertEqual(await self.refusal(), UNMIGRATED)

    async def test_newer(self) -> None:
        """A database that a newer version has migrated is not read from."""
        self.serve(migrated=True)
        self.set_revision("9999")
        self.assertEqual(
            await self.refusal(),
            "the database is at revision 9999, newer than this version knows",
        )

    async def test_newer_while_it_runs(self) -> None:
        """Who has begun on the right revision goes on beside a newer gateway."""
        self.serve(migrated=True)
        await self.database.run(one)
        self.set_revision("9999")
        self.assertEqual(await self.database.run(one), 1)

    async def test_taken_back_while_it_runs(self) -> None:
        """A table that is gone makes the next call look what became of the schema."""
        self.serve(migrated=True)
        count = text("SELECT count(*) FROM tenants")
        await self.database.run(lambda connection: connection.execute(count).scalar_one())
        migrate.downgrade(self.urls.admin_url, "base")
        with self.assertRaises(ProgrammingError):
            await self.database.run(lambda connection: connection.execute(count))
        self.assertEqual(await self.refusal(), UNMIGRATED)

    async def test_listener(self) -> None:
        """Its reading is never done, which makes the gateway not ready; one line says why."""
        self.serve(migrated=False)
        listener = RevocationListener(reactor, self.database, lambda *_: None)
        with capturedLogs() as events:
            listener.startService()
            self.addCleanup(listener.stopService)
            # Long enough for several readings.
            await deferLater(reactor, 1.2)
            self.assertEqual(listener.silence_s, float("inf"))
            migrate.upgrade(self.urls.admin_url)
            await until(lambda: listener.silence_s < 1, 2)
        told = [formatEvent(e) for e in events if e["log_level"] > LogLevel.debug]
        self.assertEqual(told, [UNMIGRATED, "the database is back"])


class NoRole(TestCase):
    """On a server where nothing of ours has ever been."""

    async def test_missing_role(self) -> None:
        """The role that the migration makes is not there: the same advice."""
        urls = private_servers(self).urls
        admin_url = str(urls.database_admin_url)
        migrate.downgrade(admin_url, "base")
        admin_connection(self, admin_url).execute("DROP ROLE gateway_app")
        database = started(self, admin_url)
        await self.assertFailure(database.run(one), NotMigrated)
        await self.assertFailure(database.dedicated(lambda _: None), NotMigrated)
        migrate.upgrade(admin_url)
        self.assertEqual(await database.run(one), 1)
