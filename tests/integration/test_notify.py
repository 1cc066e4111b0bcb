"""Every change is heard within a second, with the listener and its server under attack (SPEC 5)."""

from uuid import UUID

import psycopg
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from neuronetz_twisted.stores import notify
from neuronetz_twisted.stores.notify import RevocationListener
from neuronetz_twisted.stores.postgres import DatabaseThreads
from tests.servers import admin_connection, new_database, private_servers
from tests.waiting import reactor, until

PREFIX = "nz_aaaaaaaaa"
ROWS = f"""
INSERT INTO gateway.tenants (name) VALUES ('acme'), ('other');
INSERT INTO gateway.api_keys (tenant_id, name, scopes)
    SELECT id, 'laptop', '{{chat}}' FROM gateway.tenants WHERE name = 'acme';
INSERT INTO gateway.api_key_credentials (prefix, key_id, secret_hash)
    SELECT '{PREFIX}', id, 'hash' FROM gateway.api_keys;
"""
REVOKE = f"INSERT INTO gateway.revocations (prefix) VALUES ('{PREFIX}')"
# Those whose last statement was LISTEN; the service's other sessions end theirs with COMMIT.
LISTENERS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'
"""


class Heard:
    """The receiver: the largest epoch of each tenant, and how many were told."""

    def __init__(self) -> None:
        self.epochs: dict[UUID, int] = {}
        self.told = 0

    def __call__(self, tenant_id: UUID, epoch: int) -> None:
        """Keep the largest, as every receiver does."""
        self.told += 1
        self.epochs[tenant_id] = max(epoch, self.epochs.get(tenant_id, 0))


class ListenerCase(TestCase):
    """A listener on a database, and what it heard."""

    def listen(self, url: str, admin: psycopg.Connection) -> None:
        """Start all that a test needs."""
        self.admin = admin
        self.admin.execute(ROWS)
        self.heard = Heard()
        self.database = DatabaseThreads(reactor, url, pool_size=2, overflow=4)
        self.listener = RevocationListener(reactor, self.database, self.heard)
        self.database.startService()
        self.addCleanup(self.database.stopService)
        self.listener.startService()
        self.addCleanup(self.listener.stopService)

    def epochs(self) -> dict[UUID, int]:
        """The truth."""
        return dict(self.admin.execute("SELECT id, epoch FROM gateway.tenants").fetchall())

    def listeners(self) -> list[int]:
        """The server processes of sessions that listen."""
        return [pid for (pid,) in self.admin.execute(LISTENERS).fetchall()]

    async def is_listening(self) -> int:
        """Wait for the listener's session; its server process."""
        await until(self.listeners)
        return self.listeners()[0]

    async def hears_all(self, within_s: float) -> None:
        """Wait until the truth was heard."""
        await until(lambda: self.heard.epochs == self.epochs(), within_s)


class Changes(ListenerCase):
    """On the shared server."""

    def setUp(self) -> None:
        """A listener."""
        urls = new_database(self)
        self.listen(urls.url, admin_connection(self, urls.admin_url))

    async def test_all_tenants_at_first(self) -> None:
        """After the start every tenant's epoch is heard, however old."""
        self.admin.execute("UPDATE gateway.tenants SET changed_at = now() - interval '1 year'")
        await self.hears_all(within_s=2)
        self.assertEqual(len(self.heard.epochs), 2)

    async def test_lost_notification(self) -> None:
        """A change whose notification never came is read within a second."""
        await self.is_listening()
        await self.hears_all(within_s=2)
        self.admin.execute("ALTER TABLE gateway.tenants DISABLE TRIGGER notify_of_epoch")
        self.admin.execute("UPDATE gateway.api_keys SET status = 'disabled'")
        await self.hears_all(within_s=1)

    async def test_late_commit(self) -> None:
        """A transaction that began before another and commits after it is heard too."""
        await self.is_listening()
        self.admin.execute("ALTER TABLE gateway.tenants DISABLE TRIGGER notify_of_epoch")
        with psycopg.connect(self.admin.info.dsn, password=self.admin.info.password) as slow:
            slow.execute("UPDATE gateway.api_keys SET status = 'disabled'")
            self.admin.execute(
                "UPDATE gateway.tenants SET status = 'disabled' WHERE name = 'other'"
            )
            await self.hears_all(within_s=1)
        await self.hears_all(within_s=1)

    async def test_backend_killed_just_before(self) -> None:
        """The listener's session is ended, then a key is revoked: heard within a second."""
        pid = await self.is_listening()
        await self.hears_all(within_s=2)
        self.admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        self.admin.execute(REVOKE)
        await self.hears_all(within_s=1)
        await until(lambda: self.listeners() and pid not in self.listeners())

    async def test_change_while_it_was_deaf_for_long(self) -> None:
        """A new connection is followed by a look at all tenants, whenever they changed."""
        pid = await self.is_listening()
        await self.hears_all(within_s=2)
        self.admin.execute(
            "ALTER TABLE gateway.tenants DISABLE TRIGGER notify_of_epoch;"
            "UPDATE gateway.tenants SET epoch = epoch + 1, changed_at = now() - interval '1 hour'"
        )
        self.admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        await self.hears_all(within_s=2)

    async def test_strange_notifications(self) -> None:
        """What anybody else sends on our channels harms nothing."""
        await self.is_listening()
        for payload in ("", "x", "x y", "11111111-1111-1111-1111-111111111111", "\u00fc 7"):
            for channel in ("tenant_changed", "key_revoked"):
                self.admin.execute("SELECT pg_notify(%s, %s)", (channel, payload))
        self.admin.execute(REVOKE)
        await self.hears_all(within_s=1)
        self.assertEqual(len(self.listeners()), 1)

    async def test_stop_leaves_nothing(self) -> None:
        """After stopping no session listens and nothing more is heard."""
        await self.is_listening()
        self.listener.stopService()
        await until(lambda: not self.listeners())
        told = self.heard.told
        self.admin.execute(REVOKE)
        await self.database.stopService()
        self.assertEqual(self.heard.told, told)


class Notified(ListenerCase):
    """Without any reading after the first two but those that a notification sets off."""

    async def test_revocation(self) -> None:
        """A bare row in `revocations` is heard although nobody reads regularly."""
        self.patch(notify, "POLL_S", 3600.0)
        urls = new_database(self)
        self.listen(urls.url, admin_connection(self, urls.admin_url))
        # Two tenants, at the start and again once connected.
        await until(lambda: self.heard.told == 4)
        self.admin.execute(REVOKE)
        await self.hears_all(within_s=1)


class Faults(ListenerCase):
    """On a server of this test's own."""

    def setUp(self) -> None:
        """A listener that hears."""
        self.servers = private_servers(self)
        self.urls = self.servers.urls
        assert self.urls.database_url is not None
        self.listen(self.urls.database_url, self.administer())

    def administer(self) -> psycopg.Connection:
        """A session as the superuser."""
        assert self.urls.database_admin_url is not None
        return admin_connection(self, self.urls.database_admin_url)

    async def test_killed_server(self) -> None:
        """After a crash and a restart changes are heard again; outage and end are one line each."""
        await self.is_listening()
        await self.hears_all(within_s=2)
        with capturedLogs() as events:
            self.servers.kill("postgres")
            await until(lambda: self.servers.has_ended("postgres"))
            # Long enough for several attempts of each kind.
            await deferLater(reactor, 2.0)
            self.servers.restart("postgres")
            await until(self.can_connect)
            self.admin = self.administer()
            self.admin.execute(REVOKE)
            await self.hears_all(within_s=6)
            await self.is_listening()
        told = [formatEvent(e) for e in events if e["log_level"] > LogLevel.debug]
        self.assertEqual(len(told), 2, told)
        self.assertIn("the database is away: ", told[0])
        self.assertEqual(told[1], "the database is back")

    async def test_frozen_server(self) -> None:
        """A server that hangs for seconds and comes back loses no change."""
        await self.is_listening()
        await self.hears_all(within_s=2)
        self.servers.freeze("postgres")
        await deferLater(reactor, 3.0)
        self.servers.thaw()
        self.admin.execute(REVOKE)
        await self.hears_all(within_s=5)

    async def test_stop_while_frozen(self) -> None:
        """Stopping does not wait for a server that hangs."""
        await self.is_listening()
        self.servers.freeze("postgres")
        began = reactor.seconds()
        self.listener.stopService()
        await self.database.stopService()
        self.assertLess(reactor.seconds() - began, 4.0)

    def can_connect(self) -> bool:
        """Whether the restarted server answers."""
        try:
            self.administer().close()
        except psycopg.OperationalError:
            return False
        return True
