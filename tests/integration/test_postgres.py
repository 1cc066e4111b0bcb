"""Transactions of `DatabaseThreads` on a real PostgreSQL that is well."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import TestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.tables import tenants
from neuronetz_twisted.stores.threads import TooManyCalls
from tests.database import add_tenant, one, recover, sleep, started
from tests.servers import admin_connection, new_database
from tests.waiting import reactor, until

SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'neuronetz-gateway' AND datname = current_database()
"""


def count(connection: Connection) -> int:
    """How many tenants there are."""
    return connection.execute(select(func.count()).select_from(tenants)).scalar_one()


class Transactions(TestCase):
    """What happens to a function that is run."""

    def setUp(self) -> None:
        """A database and the service on it."""
        self.urls = new_database(self)
        self.admin = admin_connection(self, self.urls.admin_url)
        self.database = started(self, self.urls.url)

    def sessions(self) -> int:
        """How many connections the service has."""
        row = self.admin.execute(SESSIONS).fetchone()
        assert row is not None
        return int(row[0])

    async def test_commits(self) -> None:
        """What a function did is there for the next one, and its value comes back."""
        tenant_id = await self.database.run(add_tenant)
        self.assertIsInstance(tenant_id, UUID)
        self.assertEqual(await self.database.run(count), 1)

    async def test_rolls_back(self) -> None:
        """A function that raises leaves nothing, and its error is the caller's."""

        def half(connection: Connection) -> None:
            add_tenant(connection)
            raise KeyError("half way")

        with self.assertRaises(KeyError):
            await self.database.run(half)
        self.assertEqual(await self.database.run(count), 0)

    async def test_faults_of_the_query_pass_through(self) -> None:
        """A broken constraint or a typing error is no outage."""
        with self.assertRaises(ProgrammingError):
            await self.database.run(lambda connection: connection.execute(text("SELECT nothing")))

        def twice(connection: Connection) -> None:
            for _ in range(2):
                connection.execute(insert(tenants).values(name="acme"))

        with self.assertRaises(IntegrityError):
            await self.database.run(twice)

    async def test_error_shows_no_parameters(self) -> None:
        """The text of an error holds no value that was sent: it may be a hash."""
        with self.assertRaises(ProgrammingError) as caught:
            await self.database.run(
                lambda connection: connection.execute(text("SELECT nothing, :v"), {"v": "canary"})
            )
        self.assertNotIn("canary", str(caught.exception))

    async def test_waits_for_a_lock_for_a_second(self) -> None:
        """A row that somebody else holds is an outage of that call, not of its thread."""
        await self.database.run(add_tenant)
        with self.admin.transaction():
            self.admin.execute("UPDATE gateway.tenants SET name = 'held'")
            with self.assertRaisesRegex(DatabaseUnavailable, "lock timeout"):
                await self.database.run(
                    lambda connection: connection.execute(tenants.update().values(name="mine"))
                )
        self.assertEqual(await self.database.run(one), 1)

    async def test_read_only_server_is_unavailable(self) -> None:
        """A standby that took over, or a full disk's emergency mode, is an outage."""
        name = self.admin.info.dbname
        self.admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        with self.assertRaisesRegex(DatabaseUnavailable, "read-only"):
            await self.database.run(add_tenant)

    async def test_slow_query_is_given_up(self) -> None:
        """At the deadline the caller has its error and the thread comes back."""
        database = started(self, self.urls.url, pool_size=1, overflow=0, deadline_s=0.3)
        began = reactor.seconds()
        with self.assertRaises(DatabaseUnavailable):
            await database.run(sleep(60))
        self.assertLess(reactor.seconds() - began, 1.0)
        await recover(database)

    async def test_connection_of_its_own(self) -> None:
        """Where connections are not kept, each is gone behind its transaction."""
        database = started(self, self.urls.url, keep=False)
        self.assertIsInstance(await database.run(add_tenant), UUID)
        await until(lambda: self.sessions() == 0)
        self.assertEqual(await database.run(count), 1)

    async def test_too_many_are_refused_at_once(self) -> None:
        """Threads and overflow are full: the next call fails in the same turn."""
        database = started(self, self.urls.url, pool_size=2, overflow=1)
        running = [database.run(sleep(0.3)) for _ in range(3)]
        self.failureResultOf(database.run(one), TooManyCalls)
        await gatherResults(running)
        self.assertEqual(await database.run(one), 1)

    async def test_no_more_connections_than_threads(self) -> None:
        """However much is asked, the server sees as many sessions as there are threads."""
        await gatherResults([self.database.run(sleep(0.05)) for _ in range(6)])
        self.assertLessEqual(self.sessions(), 3)

    async def test_cancelled_transaction_is_whole(self) -> None:
        """Cancelling gives up the answer; what was begun is finished."""

        def slowly(connection: Connection) -> None:
            add_tenant(connection)
            sleep(0.2)(connection)

        asked = self.database.run(slowly)
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        await self.database.stopService()
        row = self.admin.execute("SELECT count(*) FROM gateway.tenants").fetchone()
        self.assertEqual(row, (1,))

    async def test_stop_leaves_nothing(self) -> None:
        """Stopping waits for what is in flight, closes every session and refuses from then on."""
        slow = self.database.run(sleep(0.2))
        stopped = self.database.stopService()
        self.failureResultOf(self.database.run(one), DatabaseUnavailable)
        await stopped
        self.successResultOf(slow)
        await until(lambda: self.sessions() == 0)

    async def test_ended_sessions_cost_no_error(self) -> None:
        """After the server ended all idle sessions, calls succeed at the first attempt."""
        await gatherResults([self.database.run(sleep(0.05)) for _ in range(3)])
        self.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'neuronetz-gateway' AND datname = current_database()"
        )
        await until(lambda: self.sessions() == 0)
        for _ in range(3):
            self.assertEqual(await self.database.run(one), 1)

    async def test_dedicated_connection(self) -> None:
        """A connection outside of the pool is the caller's: prepared, in role, in autocommit."""
        seen: list[Any] = []
        connection = await self.database.dedicated(
            lambda fresh: seen.extend(fresh.execute("SELECT current_user").fetchall())
        )
        self.addCleanup(connection.close)
        self.assertEqual(seen, [("gateway_app",)])
        self.assertTrue(connection.autocommit)

    async def test_dedicated_connection_that_nobody_takes(self) -> None:
        """One that is cancelled while it is made is closed again."""
        asked = self.database.dedicated(lambda fresh: fresh.execute("SELECT pg_sleep(0.1)"))
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        await self.database.stopService()
        await until(lambda: self.sessions() == 0)
