"""Requests as they leave, bodies with a bound, and the private names that we lean on."""

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.testing.agent import ScriptedResponse
from neuronetz_twisted.upstream.agent import is_encoded, ollama_client, read_bounded
from neuronetz_twisted.upstream.backends import Backend

BACKEND = Backend(name="default", url="http://127.0.0.1:11434")
URL = BACKEND.address_of("/api/chat")


class OllamaClientTests(SynchronousTestCase):
    """The real agent, on a reactor in memory."""

    def setUp(self) -> None:
        """Send one request; it has connected."""
        self.reactor = MemoryReactorClock()
        self.client = ollama_client(self.reactor, 5.0)
        self.sent = 0
        self.answer = self.client.ask(
            b"POST", URL, BACKEND.headers(), b'{"a":1}', sent=self.count_sent
        )
        self.wire = self.connected(0)

    def count_sent(self) -> None:
        """Count."""
        self.sent += 1

    def connected(self, number: int) -> StringTransport:
        """Let a connection be made; gives its wire."""
        factory = self.reactor.tcpClients[number][2]
        protocol: Any = factory.buildProtocol(None)
        wire = StringTransport()
        protocol.makeConnection(wire)
        self.protocol = protocol
        return wire

    def test_bytes(self) -> None:
        """Nothing goes out that we did not write: no encodings, no cookies, no agent's name."""
        head, _, body = self.wire.value().partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        self.assertEqual(line, b"POST /api/chat HTTP/1.1")
        self.assertEqual(
            {field.lower() for field in fields},
            {
                b"host: 127.0.0.1:11434",
                b"content-type: application/json",
                b"content-length: 7",
                b"connection: close",
            },
        )
        self.assertEqual(body, b'{"a":1}')

    def test_connect_timeout(self) -> None:
        """The time to connect is ours."""
        self.assertEqual(self.reactor.tcpClients[0][3], 5.0)

    def test_cookies_are_not_kept_for_the_next_caller(self) -> None:
        """A cookie that a host sets is not sent again."""
        self.protocol.dataReceived(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
        )
        self.successResultOf(self.answer)
        self.protocol.connectionLost(Failure(CancelledError()))
        first_request = self.wire.value()
        again = self.client.ask(b"POST", URL, BACKEND.headers(), b'{"a":1}')
        self.assertEqual(self.connected(1).value(), first_request)
        again.addErrback(lambda failure: failure.trap(ResponseNeverReceived))

    def test_redirects_are_not_followed(self) -> None:
        """A redirect is an answer like any other."""
        self.protocol.dataReceived(
            b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertEqual(self.successResultOf(self.answer).code, 302)
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_sent(self) -> None:
        """Who asks hears when the body goes, which is not before there is a connection."""
        self.assertEqual(self.sent, 1)
        again = self.client.ask(b"POST", URL, BACKEND.headers(), b"{}", sent=self.count_sent)
        self.assertEqual(self.sent, 1)
        self.connected(1)
        self.assertEqual(self.sent, 2)
        self.assertNoResult(again)

    def test_body_is_closed_at_once(self) -> None:
        """Who reads a body no more does not wait for the host's consent."""
        self.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        response = self.successResultOf(self.answer)
        body = read_bounded(response, 5)
        self.protocol.dataReceived(b"12345")
        self.assertFalse(self.wire.disconnected)
        self.protocol.dataReceived(b"6")
        self.assertTrue(self.wire.disconnected)
        self.failureResultOf(body, UpstreamNonsense)

    def test_body_that_came_whole(self) -> None:
        """There is no connection of its own any more, so none is closed."""
        self.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n123456")
        self.failureResultOf(read_bounded(self.successResultOf(self.answer), 5), UpstreamNonsense)
        self.assertFalse(self.wire.disconnected)

    def test_cancel_closes(self) -> None:
        """A cancelled request closes its connection at once."""
        self.answer.cancel()
        self.assertTrue(self.wire.disconnected)
        self.protocol.connectionLost(Failure(CancelledError()))
        self.failureResultOf(self.answer, ResponseNeverReceived)


class ReadBoundedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Begin to read a body of at most five bytes."""
        self.response = ScriptedResponse(200, Headers())
        self.body = read_bounded(self.response, 5)

    def test_whole(self) -> None:
        """A body up to the limit is read."""
        self.response.send(b"123")
        self.response.send(b"45")
        self.response.finish()
        self.assertEqual(self.successResultOf(self.body), b"12345")

    def test_too_long(self) -> None:
        """A longer one is given up at once, and its connection closed."""
        self.response.send(b"123")
        self.response.send(b"456")
        self.failureResultOf(self.body, UpstreamNonsense)
        self.assertTrue(self.response.transport.aborted)
        self.response.send(b"7")
        self.response.lose()

    def test_cut_short(self) -> None:
        """A body without its end is none."""
        self.response.send(b"123")
        self.response.lose()
        self.failureResultOf(self.body, UpstreamNonsense)

    def test_cancel(self) -> None:
        """Who reads no more closes the connection."""
        self.body.cancel()
        self.failureResultOf(self.body, CancelledError)
        self.assertTrue(self.response.transport.aborted)
        self.response.lose()


class IsEncodedTests(SynchronousTestCase):
    def test_encodings(self) -> None:
        """Any encoding counts, since none was offered."""
        self.assertFalse(is_encoded(ScriptedResponse(200, Headers())))
        for name in (b"gzip", b"identity"):
            response = ScriptedResponse(200, Headers({b"content-encoding": [name]}))
            self.assertTrue(is_encoded(response))
