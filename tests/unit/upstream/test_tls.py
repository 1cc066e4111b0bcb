"""A model host behind TLS: the same requests and answers, and nobody who is not that host."""

from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import (
    ConnectionAborted,
    TimeoutError,  # noqa: A004 - Twisted's own
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IResponse

from neuronetz_twisted.upstream.agent import BytesProducer
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.bodies import read_bounded
from neuronetz_twisted.upstream.causes import cause_of
from neuronetz_twisted.upstream.connection import Exchange
from neuronetz_twisted.upstream.pool import Pool
from neuronetz_twisted.upstream.targets import Target
from tests.certificates import made_certificate
from tests.unit.upstream.network import CHUNKED, CONNECT_S, LAST_CHUNK, Network, chunk, read


class Host(Protocol):
    """The model host's end of a connection."""

    def __init__(self, hosts: "Hosts") -> None:
        self.asked = b""
        self._hosts = hosts

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so, the first time."""
        del reason
        if not self._hosts.lost.called:
            self._hosts.lost.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Answer every request with two chunks; keep what was asked."""
        self.asked += data
        if data == b"endless":
            self.say(CHUNKED + chunk(b"one"))
        else:
            self.say(CHUNKED + chunk(b"one") + chunk(b"two") + LAST_CHUNK)

    def say(self, data: bytes) -> None:
        """Send."""
        assert self.transport is not None
        self.transport.write(data)


class Hosts(Factory):
    """Knows every end, and hears when one was lost."""

    def __init__(self) -> None:
        self.ends: list[Host] = []
        self.lost: Deferred[None] = Deferred()

    def buildProtocol(self, addr: object) -> Host:
        """Make an end."""
        del addr
        self.ends.append(Host(self))
        return self.ends[-1]


class TLSTests(TestCase):
    """On real sockets: Twisted's TLS takes no clock."""

    timeout = 20

    def setUp(self) -> None:
        """A host called `host.test`, and a pool of one place."""
        self.hosts = Hosts()
        self.sent = 0
        self.certificate = made_certificate("host.test")
        kernel = cast("Any", reactor)
        self.port = kernel.listenSSL(
            0, self.hosts, self.certificate.options(), interface="127.0.0.1"
        )
        self.pool = Pool(clock=kernel, name="a", places=1, wait_s=9.0, connect_s=9.0)
        self.addCleanup(self.port.stopListening)
        self.addCleanup(self.pool.close)

    def target(self, name: str) -> Target:
        """Make the host a target under a name."""
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        trust = Certificate.loadPEM(self.certificate.dumpPEM().split(b"-----BEGIN PRIV")[0])
        return Target(
            wrapClientTLS(optionsForClientTLS(name, trustRoot=trust), plain), b"", secure=True
        )

    def note_sent(self) -> None:
        """Count."""
        self.sent += 1

    def ask(self, target: Target, request: bytes) -> Deferred[IResponse]:
        """Send a request."""
        exchange = Exchange(target, request, self.note_sent)
        self.pool.run(exchange)
        return exchange.answer

    async def test_request_and_answer(self) -> None:
        """They pass, and the connection is used again."""
        target = self.target("host.test")
        for _ in range(2):
            body = read_bounded(await self.ask(target, b"request"), 99)
            self.assertEqual(await body, b"onetwo")
        (end,) = self.hosts.ends
        self.assertEqual(end.asked, b"requestrequest")

    async def test_abort(self) -> None:
        """A held body is closed at once: it does not wait for the host's farewell."""
        reader = read(await self.ask(self.target("host.test"), b"endless"))
        reader.connection.pauseProducing()
        reader.connection.abortConnection()
        await self.hosts.lost
        self.assertIsNotNone(reader.end)

    async def test_another_host(self) -> None:
        """A certificate for another name fails the request, whose bytes nobody gets."""
        answer = self.ask(self.target("other.test"), b"request")
        failure: Any = await self.assertFailure(answer, ResponseNeverReceived)
        self.assertEqual(cause_of(failure), "VerificationError")
        (end,) = self.hosts.ends
        self.assertEqual((end.asked, self.sent), (b"", 0))

    async def test_expired(self) -> None:
        """A certificate that is over is named as what it is, and nothing counts as sent."""
        self.certificate = made_certificate("host.test", days_left=-0.5)
        kernel = cast("Any", reactor)
        self.port.stopListening()
        self.port = kernel.listenSSL(
            0, self.hosts, self.certificate.options(), interface="127.0.0.1"
        )
        self.addCleanup(self.port.stopListening)
        failure: Any = await self.assertFailure(
            self.ask(self.target("host.test"), b"request"), ResponseNeverReceived
        )
        self.assertEqual(cause_of(failure), "TLSError: certificate verify failed")
        self.assertEqual(self.sent, 0)


class HandshakeTests(SynchronousTestCase):
    """A host that accepts, and never shakes hands."""

    def setUp(self) -> None:
        """A request is on its way to it."""
        self.network = Network()
        backend = Backend(name="a", url="https://192.0.2.1")
        self.agent = self.network.agent(backend, places=1)
        self.sent: list[str] = []
        body = BytesProducer(b"{}", lambda: self.sent.append("sent"))
        self.answer = self.agent.request(b"POST", b"https://192.0.2.1/api/chat", None, body)
        self.network.reactor.advance(1)
        self.wire = self.network.connect()
        self.assertNotEqual(self.wire.taken(), b"")

    def at_rest(self) -> None:
        """The connection is closed, nothing was sent, and the place is free."""
        self.assertTrue(self.wire.disconnected or self.wire.lost)
        self.network.turn()
        self.assertEqual((self.sent, self.network.reactor.getDelayedCalls()), ([], []))
        closed = self.agent.close()
        self.successResultOf(closed)

    def test_time(self) -> None:
        """The time to connect includes it."""
        self.network.reactor.advance(CONNECT_S - 1.1)
        self.assertNoResult(self.answer)
        self.network.reactor.advance(0.1)
        self.failureResultOf(self.answer, TimeoutError)
        self.at_rest()

    def test_cancel(self) -> None:
        """A cancel closes the connection."""
        self.answer.cancel()
        self.failureResultOf(self.answer, CancelledError)
        self.at_rest()

    def test_lost(self) -> None:
        """A loss is told with its reason."""
        self.wire.break_down()
        failure = self.failureResultOf(self.answer, ResponseNeverReceived)
        self.assertEqual(cause_of(failure.value), "ConnectionLost")
        self.at_rest()

    def test_close(self) -> None:
        """The agent's close ends it too."""
        closed = self.agent.close()
        self.network.turn()
        self.successResultOf(closed)
        self.failureResultOf(self.answer, ConnectionAborted)
        self.at_rest()
