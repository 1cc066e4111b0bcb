"""`DatabaseThreads` on a real PostgreSQL that is frozen, killed and restarted."""

import threading

from sqlalchemy import make_url
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from tests.database import one, recover, sleep, started
from tests.servers import PrivateServers, private_servers
from tests.waiting import reactor, until


def threads_of(name: str) -> list[str]:
    """The living threads of that pool."""
    return [thread.name for thread in threading.enumerate() if name in thread.name]


class Faults(TestCase):
    """A server of this test's own, treated badly while the service runs."""

    servers: PrivateServers
    url: str

    def setUp(self) -> None:
        """The servers, and the service on them."""
        self.servers = private_servers(self)
        assert self.servers.urls.database_url is not None
        self.url = self.servers.urls.database_url
        self.database = started(self, self.url)

    async def fill_pool(self) -> None:
        """Have every thread and its connection ready."""
        await gatherResults([self.database.run(sleep(0.05)) for _ in range(3)])

    async def test_frozen_server(self) -> None:
        """Calls in flight and new ones fail within two seconds, and then it all works again."""
        await self.fill_pool()
        self.servers.freeze("postgres")
        for _ in range(2):
            began = reactor.seconds()
            asked = [self.database.run(one) for _ in range(6)]
            for call in asked:
                await self.assertFailure(call, DatabaseUnavailable)
            self.assertLess(reactor.seconds() - began, 2.0)
        self.servers.thaw()
        await recover(self.database)

    async def test_frozen_server_does_not_stall_the_reactor(self) -> None:
        """While all threads hang, the reactor turns as ever."""
        await self.fill_pool()
        self.servers.freeze("postgres")
        asked = gatherResults(
            [self.assertFailure(self.database.run(one), DatabaseUnavailable) for _ in range(6)]
        )
        worst, last = 0.0, reactor.seconds()
        while not asked.called:
            await deferLater(reactor, 0.001)
            worst, last = max(worst, reactor.seconds() - last), reactor.seconds()
        await asked
        # A blocked reactor would show the deadline of 1.5 s; a busy machine shows less.
        self.assertLess(worst, 0.5)

    async def test_killed_server(self) -> None:
        """A killed server is an outage at once; restarted, it costs not one error."""
        await self.fill_pool()
        self.servers.kill("postgres")
        await until(lambda: self.servers.has_ended("postgres"))
        began = reactor.seconds()
        await self.assertFailure(self.database.run(one), DatabaseUnavailable)
        self.assertLess(reactor.seconds() - began, 1.0)
        self.servers.restart("postgres")
        await recover(self.database)
        self.assertEqual(await gatherResults([self.database.run(one) for _ in range(6)]), [1] * 6)

    async def test_restart_between_two_calls(self) -> None:
        """Nobody asked while it was away: no call notices."""
        await self.fill_pool()
        self.servers.kill("postgres")
        await until(lambda: self.servers.has_ended("postgres"))
        self.servers.restart("postgres")
        await recover(started(self, self.url))
        self.assertEqual(await gatherResults([self.database.run(one) for _ in range(6)]), [1] * 6)

    async def test_one_line_per_change(self) -> None:
        """An outage is one line in the log and its end another, however many calls fail."""
        await self.fill_pool()
        with capturedLogs() as events:
            self.servers.kill("postgres")
            await until(lambda: self.servers.has_ended("postgres"))
            for _ in range(5):
                await self.assertFailure(self.database.run(one), DatabaseUnavailable)
            self.servers.restart("postgres")
            await recover(self.database)
            await self.database.run(one)
        lines = [formatEvent(event) for event in events if "database" in formatEvent(event)]
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("the database is away: ", lines[0])
        self.assertEqual(lines[1], "the database is back")

    async def test_stop_while_frozen(self) -> None:
        """Stopping ends in time although every session hangs, and leaves no thread."""
        await self.fill_pool()
        self.servers.freeze("postgres")
        asked = [self.database.run(one) for _ in range(3)]
        began = reactor.seconds()
        stopped = self.database.stopService()
        for call in asked:
            await self.assertFailure(call, DatabaseUnavailable)
        await stopped
        self.assertLess(reactor.seconds() - began, 4.0)
        self.assertEqual(threads_of("database"), [])

    async def test_first_connection_to_a_frozen_server(self) -> None:
        """A service that has never been connected refuses in time too."""
        self.servers.freeze("postgres")
        began = reactor.seconds()
        await self.assertFailure(self.database.run(one), DatabaseUnavailable)
        self.assertLess(reactor.seconds() - began, 2.0)
        self.servers.thaw()
        await recover(self.database)

    async def test_wrong_password_is_not_told(self) -> None:
        """The error names the role and never the password."""
        url = make_url(self.url).set(password="canary").render_as_string(hide_password=False)
        with capturedLogs() as events, self.assertRaises(DatabaseUnavailable) as caught:
            await started(self, url).run(one)
        self.assertIn("gateway_app", str(caught.exception))
        self.assertNotIn("canary", str(caught.exception) + repr(events))
