"""How many clients there may be at once, through the site: who is let in, and who must go."""

from random import Random

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.connections import TICK_S, ConnectionLimits
from neuronetz_twisted.edge.excess import LOG_EVERY_S
from neuronetz_twisted.testing.http import PEER, MemoryConnection
from neuronetz_twisted.testing.upstream import chat_frame
from tests.unit.edge.house import KEY, House
from tests.unit.edge.plain import PlainSite, SlowReader, reply
from tests.unit.edge.surface import CHAT

TOTAL = 6
PER_ADDRESS = 2
PROXY = "192.0.2.7"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def ipv4(last: int) -> IPv4Address:
    """A peer."""
    return IPv4Address("TCP", f"192.0.2.{last}", 1024 + last)


def ipv6(host: str) -> IPv6Address:
    """A peer."""
    return IPv6Address("TCP", host, 1024)


class CapsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Six connections, two from one address, 1000 bytes of heads."""
        self.house = House(
            ConnectionLimits(
                total=TOTAL,
                per_address=PER_ADDRESS,
                head_bytes=1000,
                exempt=lambda host: host == PROXY,
            )
        )
        self.clients: list[MemoryConnection] = []

    def tearDown(self) -> None:
        """When all have gone, nobody is counted."""
        for client in self.clients:
            client.leave()
        self.house.site.connections.stop()
        self.assertEqual(self.house.site.channels, [])
        self.assertEqual(self.house.clock.getDelayedCalls(), [])
        connections = self.house.site.connections
        self.assertEqual((connections._held, connections._addresses), (0, {}))

    def connect(self, peer: IAddress = PEER) -> MemoryConnection:
        """One more client."""
        client = MemoryConnection(self.house.site, peer)
        self.clients.append(client)
        return client

    def refused(self, peer: IAddress = PEER) -> None:
        """One more would be too many."""
        client = self.connect(peer)
        self.assertEqual((client.reset, client.value()), (True, b""))
        self.assertNotIn(client.protocol, self.house.site.channels)

    def served(self, client: MemoryConnection) -> None:
        """It is answered."""
        client.send(HEALTH)
        self.assertEqual(client.answer().status, 200)


class AddressTests(CapsTestCase):
    def test_per_address(self) -> None:
        """Not more than so many; one that goes makes room, and others are served."""
        first = self.connect(ipv4(1))
        self.connect(ipv4(1))
        self.refused(ipv4(1))
        self.served(self.connect(ipv4(2)))
        first.leave()
        self.served(self.connect(ipv4(1)))

    def test_networks(self) -> None:
        """IPv6 by /64, and IPv4 as IPv4 however it is written."""
        self.connect(ipv6("2001:db8::1"))
        self.connect(ipv6("2001:db8::2:3"))
        self.refused(ipv6("2001:db8::4"))
        self.connect(ipv6("2001:db8:0:1::1"))
        self.connect(ipv6("::ffff:192.0.2.1"))
        self.connect(ipv4(1))
        self.refused(ipv6("::ffff:192.0.2.1"))

    def test_who_has_no_limit_of_its_own(self) -> None:
        """Proxies and local sockets have only that of all."""
        for _ in range(TOTAL // 2):
            self.connect(IPv4Address("TCP", PROXY, 1))
            self.connect(UNIXAddress("/run/x"))
        self.assertEqual(len(self.house.site.connections), TOTAL)

    def test_an_idle_connection_counts(self) -> None:
        """Also between two requests."""
        for _ in range(PER_ADDRESS):
            self.served(self.connect(ipv4(1)))
        self.refused(ipv4(1))


class TotalTests(CapsTestCase):
    def full(self) -> None:
        """As many as there may be, each from its own address."""
        for number in range(TOTAL):
            self.connect(ipv4(10 + number))

    def test_the_oldest_goes(self) -> None:
        """Whoever has waited longest for a whole head; empty lines do not count as one."""
        self.full()
        self.clients[0].send(b"\r\n\r\nGET /")
        for number in range(3):
            self.served(self.connect(ipv4(100 + number)))
        self.assertEqual([one.reset for one in self.clients], [True] * 3 + [False] * 6)

    def test_a_request_is_a_new_wait(self) -> None:
        """Who was served waits behind those who were not."""
        self.full()
        self.served(self.clients[0])
        self.connect(ipv4(100))
        self.assertEqual([one.reset for one in self.clients[:2]], [False, True])

    def test_not_one_that_is_answered(self) -> None:
        """However slowly: a stream, and a body that is still on its way."""
        head = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\nContent-Length: %d\r\n\r\n"
        head %= (KEY.encode(), len(CHAT))
        self.full()
        for client in self.clients[:3]:
            client.send(head + CHAT)
        for stream in self.house.upstream.streams:
            stream.send(chat_frame("Hello"))
        for client in self.clients[3:]:
            client.send(head)
        self.refused(ipv4(100))
        self.assertFalse(any(one.reset for one in self.clients[:TOTAL]))
        self.clients[3].send(CHAT)
        self.house.upstream.streams[3].stop()
        self.clients[3].leave()
        self.served(self.connect(ipv4(100)))

    def test_not_one_that_has_yet_to_read(self) -> None:
        """A whole answer is not cut for a newcomer while another client just waits."""
        plain = PlainSite(ConnectionLimits(total=2, per_address=2))
        readers = [SlowReader(plain.site) for _ in range(2)]
        readers[0].send(HEALTH)
        reply(plain.requests[0])
        readers[1].send(HEALTH)
        reply(plain.requests[1])
        readers[1].reads(1000)
        newcomer = MemoryConnection(plain.site, ipv4(9))
        self.assertEqual([one.reset for one in readers], [False, True])
        for client in (*readers, newcomer):
            client.leave()

    def test_answers_that_nobody_reads(self) -> None:
        """They are kept for so many; then the one that has not read for the longest time goes."""
        limits = ConnectionLimits(total=9, per_address=9, unread_bytes=500_000)
        plain = PlainSite(limits)
        readers = [SlowReader(plain.site) for _ in range(3)]
        for reader in readers[:2]:
            reader.send(HEALTH)
            reply(plain.requests[-1], b"x" * 200_000)
        readers[0].reads(300_000)
        readers[0].send(HEALTH)
        reply(plain.requests[-1], b"x" * 200_000)
        self.assertFalse(any(reader.reset for reader in readers))
        readers[2].send(HEALTH)
        reply(plain.requests[-1], b"x" * 200_000)
        self.assertEqual([reader.reset for reader in readers], [False, True, False])
        for reader in readers:
            reader.leave()

    def test_what_an_evicted_client_still_sends(self) -> None:
        """It is not read, and not counted."""
        self.full()
        self.connect(ipv4(100))
        evicted = self.clients[0]
        evicted.send(b"GET / HTTP/1.1\r\n")
        evicted.send(HEALTH)
        self.assertEqual(evicted.value(), b"")
        self.assertEqual(self.house.site.connections._held, 0)
        evicted.settle()
        self.assertEqual(len(self.house.site.connections), TOTAL)

    def test_the_log(self) -> None:
        """One line a minute, however many were refused."""
        self.full()
        with capturedLogs() as events:
            for number in range(50):
                self.connect(ipv4(100 + number))
            self.assertEqual(len(events), 1)
            self.house.clock.pump([TICK_S] * int(LOG_EVERY_S / TICK_S))
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                f"there are 6 connections (GATEWAY_MAX_CONNECTIONS); {count} closed that waited "
                "for a request"
                for count in (1, 49)
            ],
        )


class HeadBytesTests(CapsTestCase):
    def test_many_half_open(self) -> None:
        """Together they hold no more than the limit; the oldest goes, and others are served."""
        for number in range(4):
            self.connect(ipv4(number)).send(b"GET / HTTP/1.1\r\nA: " + b"a" * 280)
        self.assertEqual([one.reset for one in self.clients], [True, False, False, False])
        self.assertLessEqual(self.house.site.connections._held, 1000)
        self.served(self.connect(ipv4(9)))

    def test_one_alone(self) -> None:
        """Over the limit by itself it goes by itself."""
        client = self.connect()
        client.send(b"GET / HTTP/1.1\r\nA: " + b"a" * 1000)
        self.assertTrue(client.reset)

    def test_a_whole_head_counts_no_more(self) -> None:
        """It has become a request."""
        for _ in range(9):
            client = self.connect()
            client.send(HEALTH[:-4] + b"\r\nA: " + b"a" * 900)
            client.send(b"\r\n\r\n")
            self.assertEqual((client.answer().status, client.reset), (200, False))
            client.leave()

    def test_a_refused_head_counts_no_more(self) -> None:
        """Nor does one that was refused."""
        client = self.connect(ipv4(1))
        client.send(b"GET / HTTP/1.1\r\nA: " + b"a" * 900)
        client.send(b"\n")
        self.assertEqual(client.answer().status, 400)
        self.assertEqual(self.house.site.connections._held, 0)


class RandomTests(SynchronousTestCase):
    """Clients that come, send pieces of requests, wait, and go, in any order."""

    PIECES = (b"GET /", b" HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"\r", HEALTH, b"a" * 200, b"\n")

    def check(self, plain: PlainSite, clients: list[MemoryConnection]) -> None:
        """What is counted is what is there."""
        table = plain.site.connections
        held = sum(channel.held_bytes for channel in plain.site.channels)
        self.assertEqual(table._held, held)
        self.assertLessEqual(held, 1000)
        self.assertLessEqual(len(table), TOTAL)
        self.assertEqual(sum(table._addresses.values()), len(table))
        self.assertLessEqual(max(table._addresses.values(), default=0), PER_ADDRESS)
        running = {request.channel for request in plain.requests if not request.gone}
        self.assertFalse(running & set(table._waiting))
        ticks = bool(len(table)) or not table._excess.is_told
        self.assertEqual(len(plain.clock.getDelayedCalls()), int(ticks))
        for client in clients:
            if client.open and not client.reset:
                self.assertIn(client.protocol, plain.site.channels)

    def step(self, random: Random, plain: PlainSite, clients: list[MemoryConnection]) -> None:
        """Let something happen."""
        what = random.choice(["connect", "connect", "send", "send", "send", "answer", "time", "go"])
        if what == "connect":
            peer = ipv4(random.randrange(6))
            if plain.site.connections.may_open(peer.host):
                clients.append(MemoryConnection(plain.site, peer))
        elif what == "time":
            plain.clock.pump([TICK_S] * random.choice([1, 4, 50]))
        elif what == "answer" and plain.requests:
            request = plain.requests.pop(random.randrange(len(plain.requests)))
            reply(request)
        elif what in {"send", "go"} and clients:
            client = random.choice(clients)
            if what == "go":
                random.choice([client.leave, client.settle])()
            elif client.open:
                client.send(random.choice(self.PIECES))

    def test_counts(self) -> None:
        """They are right after each step, and nothing is left at the end."""
        for seed in range(30):
            random = Random(seed)
            plain = PlainSite(
                ConnectionLimits(total=TOTAL, per_address=PER_ADDRESS, head_bytes=1000)
            )
            clients: list[MemoryConnection] = []
            for _ in range(150):
                self.step(random, plain, clients)
                self.check(plain, clients)
            for client in clients:
                client.leave()
            plain.site.connections.stop()
            self.assertEqual(plain.site.channels, [])
            self.assertEqual(plain.clock.getDelayedCalls(), [])
