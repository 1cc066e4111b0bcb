"""Requests as they leave, what is no request of ours, and the client over the agent."""

from io import BytesIO
from typing import Any

from treq import content
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import FileBodyProducer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface.verify import verifyObject

from neuronetz_twisted.upstream.agent import (
    BytesProducer,
    OllamaAgent,
    OllamaClient,
    UpstreamConnections,
)
from neuronetz_twisted.upstream.backends import Backend
from tests.unit.upstream.network import CONNECT_S, EMPTY, A, B, Network, Wire, read

TOKEN = Backend(name="t", url="http://192.0.2.3", token_header=(b"X-Token", b"canary"))


class AgentTestCase(SynchronousTestCase):
    """An agent of three backends, of which one asks for a token."""

    def setUp(self) -> None:
        """Nothing was asked."""
        self.network = Network()
        self.agent = self.network.agent(A, B, TOKEN, places=9)
        self.client = OllamaClient(self.agent)

    def written(
        self,
        backend: Backend,
        method: bytes,
        headers: Headers | None = None,
        body: BytesProducer | None = None,
    ) -> list[bytes]:
        """The lines of a request to a backend, as they leave."""
        self.agent.request(method, backend.address_of("/api/chat"), headers, body)
        return self.network.connect().taken().split(b"\r\n")


class RequestTests(AgentTestCase):
    def test_bytes(self) -> None:
        """Nothing goes out that we did not write: no encodings, no cookies, no agent's name."""
        headers = Headers(
            {
                b"content-type": [b"application/json"],
                b"authorization": [b"Bearer client"],
                b"cookie": [b"a=b"],
                b"host": [b"evil"],
            }
        )
        body = BytesProducer(b'{"a":1}', lambda: None)
        self.assertEqual(
            self.written(A, b"POST", headers, body),
            [
                b"POST /api/chat HTTP/1.1",
                b"Host: 192.0.2.1:11434",
                b"Content-Type: application/json",
                b"Content-Length: 7",
                b"",
                b'{"a":1}',
            ],
        )

    def test_without_a_body(self) -> None:
        """It says so."""
        self.assertEqual(
            self.written(A, b"GET"),
            [
                b"GET /api/chat HTTP/1.1",
                b"Host: 192.0.2.1:11434",
                b"Content-Length: 0",
                b"",
                b"",
            ],
        )

    def test_token(self) -> None:
        """A token goes to its own backend and to no other."""
        self.assertEqual(self.written(TOKEN, b"GET")[1:3], [b"Host: 192.0.2.3", b"X-Token: canary"])
        for other in (A, B):
            self.assertNotIn(b"canary", b"".join(self.written(other, b"GET")))

    def test_where_it_goes(self) -> None:
        """Each backend has its address, and a time to connect."""
        for backend in (A, B, TOKEN):
            self.agent.request(b"GET", backend.address_of("/"))
        self.assertEqual(
            [(host, port, seconds) for host, port, _, seconds, _ in self.network.attempts],
            [
                ("192.0.2.1", 11434, CONNECT_S),
                ("192.0.2.2", 11434, CONNECT_S),
                ("192.0.2.3", 80, CONNECT_S),
            ],
        )

    def test_not_ours(self) -> None:
        """Anything else than a GET or POST to a backend is a fault of ours, and goes nowhere."""
        for method, url in (
            (b"GET", b"http://192.0.2.9:11434/api/chat"),
            (b"GET", b"http://192.0.2.1/api/chat"),
            (b"GET", b"https://192.0.2.1:11434/api/chat"),
            (b"GET", b"http://192.0.2.1:11434"),
            (b"GET", b"http://192.0.2.1:11434@evil/api/chat"),
            (b"GET", b"http://192.0.2.1:11434/a b"),
            (b"GET", b"http://192.0.2.1:11434/a\r\nX: y"),
            (b"GET", b"http://192.0.2.1:11434/a\n"),
            (b"GET", "http://192.0.2.1:11434/ä".encode()),
            (b"GET", b""),
            (b"HEAD", A.address_of("/api/chat")),
            (b"CONNECT", A.address_of("/api/chat")),
        ):
            with self.subTest(method=method, url=url):
                self.assertRaises(ValueError, self.agent.request, method, url)
        slow = FileBodyProducer(BytesIO(b"x"))
        self.assertRaises(ValueError, self.agent.request, b"POST", A.address_of("/"), None, slow)
        self.assertEqual(len(self.network.attempts), 0)

    def test_interfaces(self) -> None:
        """It is an agent, and its bodies are bodies, for other agents as well."""
        verifyObject(IAgent, self.agent)
        verifyObject(IBodyProducer, BytesProducer(b"", lambda: None))


class ClientTests(AgentTestCase):
    def ask(self) -> "Deferred[IResponse]":
        """Send a request, which has gone."""
        return self.client.ask(b"POST", A.address_of("/api/chat"), b"{}")

    def wire(self) -> Wire:
        """The connection of the newest request."""
        return self.network.connect() if self.network.pending else self.network.wires[-1]

    def test_request(self) -> None:
        """A body is JSON; without one, nothing is said of it. Who asks hears when it goes."""
        sent: list[str] = []
        self.client.ask(b"POST", A.address_of("/x"), b"{}", lambda: sent.append("now"))
        self.assertEqual(sent, [])
        written = self.network.connect().taken()
        self.assertEqual(sent, ["now"])
        self.assertIn(b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n", written)
        self.assertTrue(written.endswith(b"\r\n\r\n{}"))
        self.client.ask(b"GET", A.address_of("/x"))
        self.assertNotIn(b"Content-Type", self.network.connect().taken())

    def test_treqs_response(self) -> None:
        """What comes back has treq's own ways to read it."""
        answer = self.ask()
        self.wire().send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
        )
        response: Any = self.successResultOf(answer)
        self.assertIn("200 'text/plain' 5 bytes", repr(response))
        self.assertEqual(self.successResultOf(content(response)), b"hello")

    def test_cookies_are_not_kept_for_the_next_caller(self) -> None:
        """A cookie that a host sets is not seen, and not sent again."""
        answer = self.ask()
        wire = self.wire()
        first = wire.taken()
        wire.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")
        response: Any = self.successResultOf(answer)
        self.assertEqual(list(response.headers.getAllRawHeaders()), [])
        self.assertEqual(len(response.cookies()), 0)
        self.ask()
        self.assertEqual(wire.taken(), first)

    def test_redirects_are_not_followed(self) -> None:
        """A redirect is an answer like any other."""
        answer = self.ask()
        self.wire().send(
            b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.9/\r\nContent-Length: 0\r\n\r\n"
        )
        response: Any = self.successResultOf(answer)
        self.assertEqual((response.code, response.history()), (302, []))
        self.assertEqual(len(self.network.attempts), 1)

    def test_cancel(self) -> None:
        """A cancelled request closes its connection at once, and is a cancel."""
        answer = self.ask()
        wire = self.wire()
        answer.cancel()
        self.assertTrue(wire.disconnected)
        self.failureResultOf(answer, CancelledError)
        self.network.turn()


class UpstreamConnectionsTests(SynchronousTestCase):
    def test_stop(self) -> None:
        """The service is stopped when the connections of all agents are closed."""
        network = Network()
        agents: list[OllamaAgent] = [network.agent(), network.agent()]
        wires = []
        for agent in agents:
            answer = agent.request(b"GET", A.address_of("/"))
            wires.append(network.connect())
            wires[-1].send(EMPTY)
            self.assertTrue(read(self.successResultOf(answer)).done)
        service = UpstreamConnections(*agents)
        service.startService()
        stopped = service.stopService()
        self.assertNoResult(stopped)
        network.turn()
        self.successResultOf(stopped)
        self.assertFalse(service.running)
        self.assertTrue(all(wire.lost for wire in wires))
        self.assertEqual(network.reactor.getDelayedCalls(), [])
