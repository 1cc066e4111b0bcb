"""Writing at once, and falling back to the ordinary way, on made-up and on real connections."""

import socket
from errno import EAGAIN, EINVAL, EPIPE
from typing import Any, cast

from twisted.internet import reactor as _trials_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from neuronetz_twisted.transports import SEND_BUFFER_BYTES, tune, unsent_bytes, writer_of
from tests.waiting import until

reactor: Any = _trials_reactor


class MadeUpSocket:
    """A socket that takes `room` bytes, or fails with `error`."""

    family = socket.AF_INET

    def __init__(self) -> None:
        """Take everything."""
        self.sent = b""
        self.calls = 0
        self.room = 1 << 30
        self.error: OSError | None = None
        self.options: list[tuple[int, int, int]] = []

    def send(self, data: bytes) -> int:
        """Take what fits."""
        self.calls += 1
        if self.error is not None:
            raise self.error
        if not self.room:
            raise BlockingIOError(EAGAIN, "full")
        taken = bytes(data[: self.room])
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def setsockopt(self, *option: int) -> None:
        """Keep it."""
        self.options.append(cast("tuple[int, int, int]", option))

    def getsockopt(self, *_: int) -> int:
        """Nothing was set before."""
        return 0

    def setblocking(self, blocking: bool) -> None:  # noqa: FBT001 - the socket's signature
        """It never blocks."""

    def fileno(self) -> int:
        """Have a number like any other."""
        return 99


@implementer(IPushProducer)
class Producer:
    """A producer that notes whether it is held."""

    def __init__(self) -> None:
        """Not held."""
        self.paused = False

    def pauseProducing(self) -> None:
        """Note it."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Note it."""
        self.paused = False

    def stopProducing(self) -> None:
        """Do nothing."""


class WriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A connection whose socket is made up."""
        self.reactor = MemoryReactorClock()
        self.socket = MadeUpSocket()
        self.connection = Connection(
            cast("Any", self.socket), Protocol(), cast("Any", self.reactor)
        )
        self.connection.connected = 1
        self.write = writer_of(self.connection)

    def waits_to_write(self) -> bool:
        """Whether the reactor was asked for a turn."""
        return self.connection in self.reactor.writers

    def turn(self) -> object:
        """Let the reactor write."""
        return self.connection.doWrite()

    def test_at_once(self) -> None:
        """One call, and nothing is left for the reactor."""
        self.write(b"ab")
        self.write(b"c")
        self.assertEqual((self.socket.sent, self.socket.calls), (b"abc", 2))
        self.assertFalse(self.waits_to_write())
        self.assertEqual(unsent_bytes(self.connection), 0)

    def test_what_does_not_fit(self) -> None:
        """The rest goes the ordinary way, and what follows waits behind it."""
        self.socket.room = 2
        self.write(b"abcd")
        self.assertEqual((self.socket.sent, unsent_bytes(self.connection)), (b"ab", 2))
        self.assertTrue(self.waits_to_write())
        self.socket.room = 3
        self.write(b"ef")
        self.assertEqual((self.socket.sent, self.socket.calls), (b"ab", 1))
        self.turn()
        self.assertEqual((self.socket.sent, unsent_bytes(self.connection)), (b"abcde", 1))
        self.write(b"g")
        self.assertEqual(self.socket.calls, 2)
        self.socket.room = 9
        self.turn()
        self.turn()
        self.write(b"h")
        self.assertEqual(self.socket.sent, b"abcdefgh")
        self.assertFalse(self.waits_to_write())

    def test_no_room(self) -> None:
        """A full socket loses nothing."""
        self.socket.room = 0
        self.write(b"ab")
        self.assertEqual((unsent_bytes(self.connection), self.waits_to_write()), (2, True))
        self.socket.room = 9
        self.turn()
        self.assertEqual(self.socket.sent, b"ab")

    def test_a_lost_connection(self) -> None:
        """The loss is found by the ordinary way, in a turn of its own."""
        self.socket.error = BrokenPipeError(EPIPE, "gone")
        self.write(b"ab")
        self.assertTrue(self.waits_to_write())
        self.assertIs(self.turn(), CONNECTION_LOST)

    def test_after_the_connection(self) -> None:
        """Nothing is sent to nobody."""
        self.connection.connected = 0
        self.write(b"ab")
        self.assertEqual((self.socket.calls, unsent_bytes(self.connection)), (0, 0))

    def test_nothing(self) -> None:
        """An empty write asks for no turn."""
        self.write(b"")
        self.assertFalse(self.waits_to_write())

    def test_back_pressure(self) -> None:
        """A producer is held when too much is left, and goes on when nothing is."""
        producer = Producer()
        self.connection.registerProducer(producer, True)  # noqa: FBT003 - Twisted's signature
        self.write(b"x" * 200_000)
        self.assertEqual(
            (producer.paused, unsent_bytes(self.connection)), (True, 200_000 - 131_072)
        )
        self.turn()
        self.assertEqual((producer.paused, unsent_bytes(self.connection)), (False, 0))
        self.socket.room = 0
        self.write(b"x" * 70_000)
        self.assertTrue(producer.paused)

    def test_as_the_ordinary_way_would(self) -> None:
        """A close behind what is left waits for it."""
        self.socket.room = 1
        self.write(b"ab")
        self.connection.loseConnection()
        self.socket.room = 9
        self.turn()
        self.assertEqual(self.socket.sent, b"ab")

    def test_the_only_way_there_is(self) -> None:
        """Under TLS, and in memory, it is the transport's own."""
        memory = StringTransport()
        self.assertEqual(writer_of(memory), memory.write)
        self.connection.TLS = True
        self.assertEqual(writer_of(self.connection), self.connection.write)


class Wrapped:
    """A transport above another one, as TLS is."""

    def __init__(self, transport: object) -> None:
        """Stand above it."""
        self.transport = transport


class TuneTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A connection whose socket is made up."""
        self.socket = MadeUpSocket()
        reactor = cast("Any", MemoryReactorClock())
        self.connection = Connection(cast("Any", self.socket), Protocol(), reactor)
        self.delays: list[bool] = []
        self.patch(self.connection, "setTcpNoDelay", self.delays.append)

    def test_tcp(self) -> None:
        """A small buffer, and no waiting for more; also below TLS."""
        for depth in range(3):
            self.setUp()
            transport: Any = self.connection
            for _ in range(depth):
                transport = Wrapped(transport)
            tune(transport)
            expected = (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self.assertEqual((self.socket.options, self.delays), ([expected], [True]))

    def test_a_peer_that_has_gone(self) -> None:
        """A socket that refuses options is no fault: the next read tells."""

        def refuse(*_: object) -> None:
            raise OSError(EINVAL, "gone")

        self.patch(self.socket, "setsockopt", refuse)
        tune(self.connection)
        self.assertEqual(self.delays, [])

    def test_local(self) -> None:
        """A local socket has a buffer and no delay."""
        self.socket.family = socket.AF_UNIX
        tune(self.connection)
        self.assertEqual((len(self.socket.options), self.delays), (1, []))

    def test_in_memory(self) -> None:
        """There is nothing to tune, and nothing unsent, also for one that has been taken apart."""
        for transport in (StringTransport(), Wrapped(None), Wrapped(StringTransport())):
            tune(cast("Any", transport))
            self.assertEqual(unsent_bytes(cast("Any", transport)), 0)

    def test_unsent_below_tls(self) -> None:
        """What counts is at the bottom."""
        self.connection.connected = 1
        self.connection.write(b"abc")
        self.assertEqual(unsent_bytes(cast("Any", Wrapped(self.connection))), 3)


class Receiver(Protocol):
    """A client that keeps what it reads."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.received = bytearray()
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.lost.append(reason)


class LoopbackTests(TestCase):
    async def connected(self) -> tuple[Any, Receiver]:
        """The transport of our end, and the client."""
        accepted: Deferred[Protocol] = Deferred()
        factory = Factory()

        class Ours(Receiver):
            def connectionMade(self) -> None:
                """Hand the protocol to the test."""
                accepted.callback(self)

        cast("Any", factory).protocol = Ours
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        client = await connectProtocol(endpoint, Receiver())
        ours = cast("Any", await accepted)

        async def clean() -> None:
            for end in (client, ours):
                end.transport.abortConnection()
            await until(lambda: client.lost and ours.lost)

        self.addCleanup(lambda: Deferred.fromCoroutine(clean()))
        return ours.transport, client

    async def test_a_small_write(self) -> None:
        """It is there before the reactor has turned."""
        transport, client = await self.connected()
        tune(transport)
        writer_of(transport)(b"hello")
        handle = client.transport.getHandle()  # type: ignore[union-attr]
        self.assertEqual(handle.recv(100), b"hello")

    async def test_more_than_fits(self) -> None:
        """In order and whole, in writes of every size, to a client that does not read at first."""
        transport, client = await self.connected()
        tune(transport)
        write = writer_of(transport)
        reading = cast("Any", client.transport)
        reading.pauseProducing()
        sent = bytearray()
        for size in (1, 10, 70_000, 3, 300_000, 1_000_000, 1, 0, 2_000_000):
            piece = bytes([size % 251]) * size
            sent += piece
            write(piece)
        self.assertGreater(unsent_bytes(transport), 1_000_000)
        reading.resumeProducing()
        await until(lambda: len(client.received) == len(sent))
        self.assertEqual(client.received, sent)
        self.assertEqual(unsent_bytes(transport), 0)
        write(b"after")
        await until(lambda: len(client.received) > len(sent))
        self.assertTrue(client.received.endswith(b"after"))

    async def test_a_client_that_has_gone(self) -> None:
        """Writing raises nothing, and the loss is told once, not from within a write."""
        transport, client = await self.connected()
        write = writer_of(transport)
        transport.pauseProducing()
        cast("Any", client.transport).abortConnection()
        await until(lambda: client.lost)
        lost = transport.protocol.lost
        for _ in range(3):
            write(b"x" * 1000)
            self.assertEqual(lost, [])
        await until(lambda: lost)
        write(b"x")
        self.assertEqual(len(lost), 1)
