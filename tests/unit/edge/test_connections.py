"""The counts of open connections, and who must go when there are too many."""

from math import inf
from random import Random
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.address import bucket_key
from neuronetz_twisted.edge.connections import TICK_S, ConnectionLimits, Connections
from neuronetz_twisted.edge.excess import LOG_EVERY_S

PROXY = "10.0.0.1"


class Client:
    """A connection as this module sees it."""

    def __init__(self, host: str | None, table: Connections) -> None:
        """Open it."""
        self.host = host
        self.deadline = inf
        self.held_bytes = 0
        self.owes = False
        self.aborted = False
        self.expirations = 0
        self.table = table
        table.enter(self)

    def expired(self) -> None:
        """Count."""
        self.expirations += 1
        self.deadline = inf

    def abort(self) -> None:
        """Note it."""
        self.aborted = True


class ConnectionsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Four in all, two from one address, 100 bytes of heads."""
        self.clock = Clock()
        self.table = Connections(
            self.clock,
            ConnectionLimits(
                total=4,
                per_address=2,
                head_bytes=100,
                unread_bytes=1000,
                exempt=lambda host: host == PROXY,
            ),
        )

    def open(self, host: str | None = PROXY) -> Client | None:
        """One more, if it may be."""
        return Client(host, self.table) if self.table.may_open(host) else None

    def must_open(self, host: str | None = PROXY) -> Client:
        """One more, which may be."""
        client = self.open(host)
        assert client is not None
        return client

    def tearDown(self) -> None:
        """Nothing is left when all have gone."""
        for client in self.table.all():
            self.table.leave(client)
        self.table.stop()
        self.assertEqual(len(self.table), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.table._held, self.table._addresses), (0, {}))
        self.assertEqual(self.table._waiting, {})


class AddressTests(ConnectionsTestCase):
    def test_each_has_its_own(self) -> None:
        """Two from one, and another is still free."""
        first = self.must_open("192.0.2.1")
        self.must_open("192.0.2.1")
        self.assertIsNone(self.open("192.0.2.1"))
        self.must_open("192.0.2.2")
        self.table.leave(first)
        self.must_open("192.0.2.1")

    def test_ipv6_by_network(self) -> None:
        """A host has a whole /64, so that is one address."""
        self.must_open("2001:db8:0:1::1")
        self.must_open("2001:db8:0:1:ffff::2")
        self.assertIsNone(self.open("2001:db8:0:1::3"))
        self.must_open("2001:db8:0:2::1")

    def test_mapped_ipv4(self) -> None:
        """IPv4 on a dual-stack socket is IPv4."""
        self.must_open("192.0.2.1")
        self.must_open("::ffff:192.0.2.1")
        self.assertIsNone(self.open("192.0.2.1"))
        self.must_open("::ffff:192.0.2.2")

    def test_who_is_exempt(self) -> None:
        """Behind a proxy are many; a local socket has no address."""
        for host in (PROXY, PROXY, None, None):
            self.must_open(host)

    def test_full_address_ends_nobody(self) -> None:
        """Who is over his own limit cannot push others out."""
        first = self.must_open("192.0.2.1")
        self.must_open("192.0.2.1")
        self.must_open()
        self.must_open()
        self.assertIsNone(self.open("192.0.2.1"))
        self.assertFalse(first.aborted)


class EvictionTests(ConnectionsTestCase):
    def test_the_one_that_has_waited_longest(self) -> None:
        """It makes room, and is counted no more at once."""
        clients = [self.must_open() for _ in range(4)]
        self.must_open()
        self.assertEqual([one.aborted for one in clients], [True, False, False, False])
        self.assertEqual(len(self.table), 4)
        self.table.leave(clients[0])
        self.assertEqual(len(self.table), 4)

    def test_not_one_that_is_answered(self) -> None:
        """However long ago it came; after its answer it waits anew, behind all others."""
        clients = [self.must_open() for _ in range(4)]
        self.table.answers(clients[0])
        self.table.answers(clients[1])
        self.table.waits(clients[0])
        self.must_open()
        self.must_open()
        self.must_open()
        self.assertEqual([one.aborted for one in clients], [True, False, True, True])

    def test_not_one_that_has_yet_to_read(self) -> None:
        """It waits as long as there is another; where there is none, the oldest goes."""
        clients = [self.must_open() for _ in range(4)]
        clients[0].owes = clients[1].owes = True
        for _ in range(2):
            self.must_open().owes = True
        self.assertEqual([one.aborted for one in clients], [False, False, True, True])
        self.must_open()
        self.assertEqual([one.aborted for one in clients], [True, False, True, True])

    def test_nobody_waits(self) -> None:
        """Then the new one is not let in."""
        for _ in range(4):
            self.table.answers(self.must_open())
        self.assertIsNone(self.open())
        self.assertEqual([one.aborted for one in self.table.all()], [False] * 4)  # type: ignore[attr-defined]

    def test_an_evicted_address_is_free_again(self) -> None:
        """Its place is counted to nobody."""
        self.must_open("192.0.2.1")
        self.must_open("192.0.2.1")
        self.must_open()
        self.must_open()
        self.must_open()
        self.must_open("192.0.2.1")


class HeadBytesTests(ConnectionsTestCase):
    def test_too_many_in_all(self) -> None:
        """The one that has held its bytes for the longest time goes; who holds none stays."""
        first, second, third = (self.must_open() for _ in range(3))
        self.table.holds(second, 60)
        self.table.holds(third, 40)
        self.assertEqual(len(self.table), 3)
        self.table.holds(third, 41)
        self.assertEqual([first.aborted, second.aborted, third.aborted], [False, True, False])
        self.assertEqual((len(self.table), self.table._held), (2, 41))

    def test_oneself(self) -> None:
        """Who alone holds too much goes."""
        one = self.must_open()
        self.table.holds(one, 101)
        self.assertTrue(one.aborted)
        self.assertEqual((len(self.table), self.table._held), (0, 0))

    def test_given_back(self) -> None:
        """What became a request counts no more."""
        one, other = self.must_open(), self.must_open()
        self.table.holds(one, 90)
        self.table.holds(one, 0)
        self.table.holds(other, 90)
        self.assertFalse(one.aborted)


class UnreadTests(ConnectionsTestCase):
    def test_too_many_in_all(self) -> None:
        """The one that has not read for the longest time goes; who has nothing to read stays."""
        first, second, third = (self.must_open() for _ in range(3))
        self.table.unread(second, 700)
        self.table.unread(third, 300)
        self.table.unread(second, 600)
        self.assertEqual(len(self.table), 3)
        self.table.unread(third, 401)
        self.assertEqual([first.aborted, second.aborted, third.aborted], [False, True, False])
        self.assertEqual(len(self.table), 2)

    def test_read(self) -> None:
        """What was read, and what has gone, counts no more."""
        one, other, third = (self.must_open() for _ in range(3))
        self.table.unread(one, 900)
        self.table.unread(one, 0)
        self.table.unread(other, 900)
        self.table.leave(other)
        self.table.unread(other, 900)
        self.table.unread(third, 1000)
        self.assertEqual([one.aborted, other.aborted, third.aborted], [False] * 3)


class DeadlineTests(ConnectionsTestCase):
    def test_each_once(self) -> None:
        """Within a tick of its deadline, and not before."""
        one, other = self.must_open(), self.must_open()
        one.deadline = 10.0
        self.clock.pump([TICK_S] * int(9.9 / TICK_S))
        self.assertEqual(one.expirations, 0)
        self.clock.pump([TICK_S] * 2)
        self.assertEqual((one.expirations, other.expirations), (1, 0))
        self.clock.pump([TICK_S] * 20)
        self.assertEqual(one.expirations, 1)

    def test_one_timer(self) -> None:
        """For all of them, and none where nobody is."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        clients = [self.must_open() for _ in range(3)]
        self.clock.pump([TICK_S] * 5)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for client in clients:
            self.table.leave(client)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_last_one_leaves_in_the_tick(self) -> None:
        """The timer ends with it."""
        one = self.must_open()
        one.deadline = 0.0
        self.patch(one, "expired", lambda: self.table.leave(one))
        self.clock.advance(TICK_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FaultTests(ConnectionsTestCase):
    def test_a_fault_in_one(self) -> None:
        """It is logged, that one is reset, and the others expire all the same."""
        clients = [self.must_open() for _ in range(4)]

        def fault() -> None:
            raise ZeroDivisionError

        for client in clients:
            client.deadline = 0.0
        for client in clients[::2]:
            self.patch(client, "expired", fault)
        self.clock.advance(TICK_S)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual([one.aborted for one in clients], [True, False, True, False])
        self.assertEqual([one.expirations for one in clients], [0, 1, 0, 1])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)


class LogTests(ConnectionsTestCase):
    def setUp(self) -> None:
        """A log."""
        super().setUp()
        self.lines: list[str] = []
        observer = cast("ILogObserver", self.log)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def log(self, event: LogEvent) -> None:
        """Keep a line."""
        self.lines.append(formatEvent(event))

    def told(self) -> list[str]:
        """What was logged since the last time."""
        told, self.lines[:] = self.lines[:], []
        return told

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([TICK_S] * int(seconds / TICK_S))

    def test_one_address(self) -> None:
        """The first at once; a minute later how many there were meanwhile, though none came."""
        line = "192.0.2.1 has 2 connections (GATEWAY_MAX_CONNECTIONS_PER_ADDRESS); {} refused"
        for _ in range(2):
            self.must_open("192.0.2.1")
        for _ in range(5):
            self.open("192.0.2.1")
        self.assertEqual(self.told(), [line.format(1)])
        self.later(LOG_EVERY_S - 1)
        self.open("192.0.2.1")
        self.assertEqual(self.told(), [])
        self.later(1)
        self.assertEqual(self.told(), [line.format(5)])
        self.later(LOG_EVERY_S)
        self.assertEqual(self.told(), [])
        self.open("192.0.2.1")
        self.assertEqual(self.told(), [line.format(1)])

    def test_many_addresses(self) -> None:
        """One is named, the others counted."""
        for host in ("192.0.2.1", "2001:db8::1"):
            self.must_open(host)
            self.must_open(host)
        for host in ("192.0.2.1", "2001:db8::2", "192.0.2.1"):
            self.open(host)
        self.later(LOG_EVERY_S)
        variable = "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS"
        self.assertEqual(
            self.told(),
            [
                f"192.0.2.1 has 2 connections ({variable}); 1 refused",
                f"2001:db8::/64 and others have 2 connections ({variable}); 2 refused",
            ],
        )

    def test_when_all_have_gone(self) -> None:
        """What was not told yet is told in its time, or when the port closes; then ticks end."""
        for stops in (False, True):
            with self.subTest(stops=stops):
                self.setUp()
                for _ in range(2):
                    self.must_open("192.0.2.1")
                for _ in range(3):
                    self.open("192.0.2.1")
                for client in self.table.all():
                    self.table.leave(client)
                self.assertEqual(len(self.told()), 1)
                self.table.stop() if stops else self.later(LOG_EVERY_S)
                (line,) = self.told()
                self.assertIn("; 2 refused", line)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_each_reason(self) -> None:
        """Has a minute of its own, and says what was too much."""
        for _ in range(4):
            self.must_open()
        self.must_open()
        for client in self.table.all():
            self.table.answers(client)
        self.open()
        self.table.leave(self.table.all()[0])
        self.table.holds(self.must_open(), 101)
        total = "there are 4 connections (GATEWAY_MAX_CONNECTIONS)"
        self.assertEqual(
            self.told(),
            [
                f"{total}; 1 closed that waited for a request",
                f"{total}, all of them being answered; 1 refused",
                "more than 100 bytes of unfinished heads; 1 connections closed",
            ],
        )


class RandomTests(ConnectionsTestCase):
    """Whatever the order in which connections come, wait, hold, are answered and go."""

    HOSTS = (
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "192.0.2.2",
        "2001:db8::1",
        "2001:db8::2",
        PROXY,
        None,
    )

    def check(self) -> None:
        """The counts are those of the connections that are open, and within the limits."""
        clients: list[Client] = self.table.all()  # type: ignore[assignment]
        self.assertFalse(any(one.aborted for one in clients))
        self.assertLessEqual(len(self.table), 4)
        held = sum(one.held_bytes for one in clients)
        self.assertEqual(self.table._held, held)
        self.assertLessEqual(held, 100)
        keys = [bucket_key(one.host) for one in clients if one.host is not None]
        self.assertEqual(self.table._addresses, {key: keys.count(key) for key in keys})
        counts = {key: count for key, count in self.table._addresses.items() if key != PROXY}
        self.assertLessEqual(max(counts.values(), default=0), 2)
        self.assertLessEqual(set(self.table._waiting), set(clients))
        ticks = bool(clients) or not self.table._excess.is_told
        self.assertEqual(len(self.clock.getDelayedCalls()), int(ticks))

    def test_counts(self) -> None:
        """They are right after each step."""
        for seed in range(20):
            self.setUp()
            random = Random(seed)
            for _ in range(200):
                clients = self.table.all()
                step = random.choice(["open", "open", "leave", "answers", "waits", "holds", "tick"])
                if step == "open":
                    self.open(random.choice(self.HOSTS))
                elif step == "tick":
                    self.clock.advance(TICK_S)
                elif clients:
                    client = random.choice(clients)
                    if step == "holds":
                        if client in self.table._waiting:
                            self.table.holds(client, random.randrange(60))
                    else:
                        getattr(self.table, step)(client)
                self.check()
