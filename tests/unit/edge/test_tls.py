"""The whole edge over real TLS on the loopback, from the endpoint string to the close."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from OpenSSL.crypto import FILETYPE_PEM
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from neuronetz_twisted.edge.connections import TICK_S, ConnectionLimits
from neuronetz_twisted.edge.deadlines import DRAIN_S, HEAD_S, STALL_S
from neuronetz_twisted.edge.site import EdgeService
from neuronetz_twisted.testing.upstream import ScriptedStream, chat_final, chat_frame
from neuronetz_twisted.transports import unsent_bytes
from tests.certificates import made_certificate
from tests.unit.edge.house import KEY, LIMITS, House
from tests.unit.edge.surface import CHAT
from tests.waiting import reactor, until

LAST_CHUNK = b"0\r\n\r\n"


class Client(Protocol):
    """A client that keeps what it reads."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.received = b""
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.lost.append(reason)

    @property
    def wire(self) -> Any:
        """Its end of the connection."""
        return self.transport

    def take(self) -> bytes:
        """What has come since the last time."""
        taken, self.received = self.received, b""
        return taken


def request(method: str, path: str, body: bytes | None = None, *fields: str) -> bytes:
    """A request with the key."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"x-api-key: {KEY}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class TlsTestCase(TestCase):
    limits = LIMITS

    def setUp(self) -> None:
        """A gateway behind an endpoint string, with a certificate of its own."""
        self.house = House(self.limits)
        self.clients: list[Client] = []
        certificate = made_certificate("localhost")
        pem = Path(self.mktemp())
        pem.write_bytes(certificate.dumpPEM() + certificate.privateKey.dump(FILETYPE_PEM))
        description = f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        self.service = EdgeService(reactor, description, self.house.site)
        self.service.startService()
        listening = self.successResultOf(Deferred.fromCoroutine(self.service.listen()))
        self.port = cast("Any", listening.getHost()).port
        self.addCleanup(lambda: Deferred.fromCoroutine(self.all_go()))

    async def all_go(self) -> None:
        """All clients go; then nothing is open, and no timer is left."""
        for client in self.clients:
            if not client.lost:
                client.wire.abortConnection()
        await until(lambda: not self.house.site.channels)
        await until(lambda: all(client.lost for client in self.clients))
        await self.service.stopService()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    async def connect(self, *, shaken: bool = True) -> Client:
        """One more client, with or without a handshake."""
        where = "127.0.0.1", self.port
        options = cast("Any", CertificateOptions())
        plain = TCP4ClientEndpoint(reactor, *where)
        endpoint = SSL4ClientEndpoint(reactor, *where, options) if shaken else plain
        client: Client = await connectProtocol(endpoint, Client())
        self.clients.append(client)
        before = len(self.clients)
        await until(lambda: len(self.house.site.channels) == before)
        return client

    async def answered(self, client: Client, data: bytes) -> bytes:
        """Send a request; the head of its whole answer."""
        client.wire.write(data)
        await until(lambda: b"\r\n\r\n" in client.received)
        head, _, _ = client.received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        count = int(length.split(b"\r\n")[0])
        await until(lambda: len(client.received) >= len(head) + 4 + count)
        client.take()
        return head

    async def stream(self, client: Client) -> ScriptedStream:
        """Begin a streamed answer."""
        client.wire.write(request("POST", "/api/chat", CHAT))
        await until(lambda: self.house.upstream.streams)
        return self.house.upstream.streams[-1]

    def pass_time(self, seconds: float) -> None:
        """Let the gateway's clock run."""
        self.house.clock.pump([TICK_S] * int(seconds / TICK_S + 2))

    async def turned(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait on a condition, with the turns that the gateway's clock owes it."""
        give_up = reactor.seconds() + within_s
        while not condition():
            self.assertLess(reactor.seconds(), give_up)
            self.house.clock.advance(0)
            await deferLater(reactor, 0)


class CapTests(TlsTestCase):
    limits = ConnectionLimits(total=3, per_address=2)

    async def test_one_too_many(self) -> None:
        """Its socket is closed, with or without a handshake; the others are served."""
        first, _ = [await self.connect() for _ in range(2)]
        for _ in range(3):
            plain = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
            client: Client = await connectProtocol(plain, Client())
            self.clients.append(client)
            await until(lambda client=client: client.lost)  # type: ignore[misc]
            self.assertEqual(client.received, b"")
        self.assertEqual(len(self.house.site.channels), 2)
        self.assertIn(b" 200 ", await self.answered(first, request("GET", "/api/tags")))
        self.assertEqual(self.flushLoggedErrors(), [])


class TlsTests(TlsTestCase):
    async def test_requests(self) -> None:
        """One after the other on one connection, also in one write."""
        client = await self.connect()
        self.assertTrue(self.house.site.channels[0].isSecure())
        for _ in range(3):
            head = await self.answered(client, request("GET", "/api/tags"))
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
        client.wire.write(request("GET", "/healthz") * 50)
        await self.turned(lambda: client.received.count(b"HTTP/1.1 200 OK\r\n") == 50)
        self.assertEqual(client.lost, [])

    async def test_a_body_in_pieces(self) -> None:
        """Invited first, then read."""
        self.house.upstream.frames = [chat_final()]
        client = await self.connect()
        head = request("POST", "/api/chat", CHAT, "Expect: 100-continue").removesuffix(CHAT)
        client.wire.write(head)
        await until(lambda: client.received)
        self.assertEqual(client.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.wire.write(CHAT[:9])
        client.wire.write(CHAT[9:])
        await until(lambda: client.received.endswith(LAST_CHUNK))

    async def test_a_stream(self) -> None:
        """Frames arrive as they come, then the end, and the connection goes on."""
        client = await self.connect()
        stream = await self.stream(client)
        for word in ("one", "two", "three"):
            stream.send(chat_frame(word))
            await until(lambda word=word: word.encode() in client.received)  # type: ignore[misc]
            self.assertFalse(client.received.endswith(LAST_CHUNK))
        stream.send(chat_final())
        stream.end()
        await until(lambda: client.received.endswith(LAST_CHUNK))
        client.take()
        self.assertIn(b" 200 ", await self.answered(client, request("GET", "/api/tags")))

    async def test_a_broken_stream(self) -> None:
        """The error frame arrives, no last chunk, and then the close."""
        client = await self.connect()
        stream = await self.stream(client)
        stream.send(chat_frame("one"))
        stream.end(clean=False)
        await until(lambda: client.lost)
        self.assertIn(b"upstream_failed", client.received)
        self.assertFalse(client.received.endswith(LAST_CHUNK))

    async def test_a_refusal_with_an_unread_body(self) -> None:
        """The client reads it although it goes on sending; in the end the connection goes."""
        client = await self.connect()
        client.wire.write(request("POST", "/api/chat", b"x" * (4 << 20)))
        await until(lambda: b"\r\n\r\n" in client.received)
        self.assertTrue(client.received.startswith(b"HTTP/1.1 413 "))
        self.assertIn(b"Connection: close", client.received)
        await until(lambda: b"request_too_large" in client.received)
        self.assertEqual(client.lost, [])
        self.pass_time(DRAIN_S)
        await until(lambda: client.lost)

    async def test_a_close(self) -> None:
        """Answer, close alert, end."""
        client = await self.connect()
        client.wire.write(request("GET", "/api/tags", None, "Connection: close"))
        await until(lambda: client.lost)
        self.assertTrue(client.received.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertIn(b"\r\nConnection: close\r\n", client.received)
        client.lost[0].trap(ConnectionDone)

    async def test_back_pressure(self) -> None:
        """A client that does not read holds the host; what it reads in the end is whole."""
        client = await self.connect()
        stream = await self.stream(client)
        stream.send(chat_frame("first"))
        await until(lambda: client.received)
        client.wire.pauseProducing()
        channel = self.house.site.channels[0]
        frame, sent = chat_frame("x" * 10_000), 0
        while not stream.paused:
            stream.send(frame)
            sent += 1
            self.assertLess(sent, 2000)
            await deferLater(reactor, 0)
        self.assertLess(unsent_bytes(channel.client), 512 * 1024)
        client.wire.resumeProducing()
        await until(lambda: not stream.paused)
        stream.send(chat_final())
        stream.end()
        await until(lambda: client.received.endswith(LAST_CHUNK))
        self.assertEqual(client.received.count(b"x" * 10_000), sent)

    async def test_a_client_that_never_reads(self) -> None:
        """It is reset in the end."""
        client = await self.connect()
        stream = await self.stream(client)
        stream.send(chat_frame("first"))
        await until(lambda: client.received)
        client.wire.pauseProducing()
        while not stream.paused:
            stream.send(*[chat_frame("x" * 10_000)] * 20)
            await deferLater(reactor, 0)
        self.pass_time(STALL_S)
        await until(lambda: not self.house.site.channels)
        self.assertTrue(stream.stopped)
        client.wire.resumeProducing()

    async def test_requests_ahead_of_a_client_that_does_not_read(self) -> None:
        """Their answers do not pile up here; when it reads, all of them come."""
        count = 30_000
        client = await self.connect()
        await self.answered(client, request("GET", "/healthz"))
        channel = self.house.site.channels[0]
        client.wire.pauseProducing()
        client.wire.write(request("GET", "/healthz") * count)
        await self.turned(lambda: channel._pace.stalled)
        for _ in range(100):
            await deferLater(reactor, 0)
            self.house.clock.advance(0)
        self.assertLess(unsent_bytes(channel.client), 512 * 1024)
        self.assertLess(len(channel._intake.pending), 256 * 1024)
        client.wire.resumeProducing()
        await self.turned(lambda: client.received.count(b"HTTP/1.1 200 OK\r\n") == count, 60)

    async def test_bytes_in_a_stream(self) -> None:
        """They end it."""
        client = await self.connect()
        stream = await self.stream(client)
        stream.send(chat_frame("first"))
        await until(lambda: client.received)
        client.wire.write(b"\r\n")
        await until(lambda: client.lost)
        self.assertTrue(stream.stopped)

    async def test_no_handshake(self) -> None:
        """It has as long as a head."""
        client = await self.connect(shaken=False)
        client.wire.write(b"\x16\x03\x01")
        self.pass_time(HEAD_S - 2)
        self.assertEqual(client.lost, [])
        self.pass_time(2)
        await until(lambda: client.lost)

    async def test_plain_text(self) -> None:
        """A client that speaks no TLS is let go of, without a word in the log."""
        client = await self.connect(shaken=False)
        client.wire.write(request("GET", "/api/tags"))
        await until(lambda: client.lost)
        self.assertNotIn(b"HTTP/1.1", client.received)

    async def test_a_client_that_just_goes(self) -> None:
        """In the middle of a stream, without an alert."""
        client = await self.connect()
        stream = await self.stream(client)
        stream.send(chat_frame("first"))
        await until(lambda: client.received)
        client.wire.abortConnection()
        await until(lambda: stream.stopped)
        self.assertEqual(self.house.sink.outcomes, ["client_abort"])
