"""Names of other packages that are not theirs to keep, and that we lean on."""

import contextlib
import inspect
from typing import Any

from klein import Klein
from treq.client import HTTPClient
from treq.response import _Response
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.server import Request
from txredisapi import HiredisProtocol, InvalidData, ResponseError

from neuronetz_twisted.edge.channel import GatewayChannel
from neuronetz_twisted.testing.agent import ScriptedAgent
from neuronetz_twisted.transports import unsent_bytes
from tests.unit.edge.house import House


def parameters(function: object) -> list[str]:
    """The names of a function's parameters."""
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


class TreqTests(SynchronousTestCase):
    def test_client(self) -> None:
        """What `OllamaClient` uses of treq's."""
        agent = ScriptedAgent()
        client = HTTPClient(agent)
        self.assertIs(client._agent, agent)
        self.assertIsNotNone(client._cookiejar)

    def test_response(self) -> None:
        """The response is made of the original and a cookie jar."""
        self.assertEqual(parameters(_Response), ["original", "cookiejar"])


class TwistedWebTests(SynchronousTestCase):
    def test_request(self) -> None:
        """What `GatewayRequest` takes the place of, and what it leans on."""
        for name in ("process", "write", "finish", "getRequestHostname", "processingFailed"):
            self.assertTrue(callable(getattr(Request, name)))
        self.assertEqual(parameters(Request.connectionLost), ["self", "reason"])
        unset = (Request.producer, Request.content, Request.finished, Request.startedWriting)
        self.assertEqual((*unset, Request.chunked, Request._disconnected), (None, None, 0, 0, 0, 0))
        house = House()
        house.keys.gate.held = True
        request = house.running(house.ask("GET", "/api/tags"))
        self.assertNoResult(request.notifyFinish())
        self.assertEqual(len(request.notifications), 1)
        self.assertEqual((request._disconnected, request.finished), (False, 0))

    def test_klein(self) -> None:
        """What `Dispatch` takes of an app: rules whose endpoints are names of methods."""

        class Table:
            app = Klein()

            @app.route("/a/<path:name>")
            def endpoint(self, request: object, name: str) -> None:
                """Do nothing."""

        table = Table()
        (rule,) = table.app.url_map.iter_rules()
        endpoint, arguments = table.app.url_map.bind("x").match("/a/b/c", "GET")
        self.assertEqual((rule.rule, rule.arguments), ("/a/<path:name>", {"name"}))
        self.assertEqual((endpoint, dict(arguments)), ("endpoint", {"name": "b/c"}))

    def test_site(self) -> None:
        """Our channel takes the place of the one that negotiates HTTP/2, wholly; no access log."""
        client = House().connect()
        self.assertIs(type(client.protocol), GatewayChannel)

    def test_request_knows_when_the_client_has_gone(self) -> None:
        """`GatewayRequest` says nothing then."""
        house = House()
        house.keys.gate.held = True
        client = house.ask("GET", "/api/tags")
        request = house.running(client)
        client.leave()
        self.assertTrue(request.gone)
        request.begin(200, [], 0)
        request.write(b"x")
        request.finish()
        request.break_off()
        request.abort()
        self.assertEqual((client.value(), client.reset), (b"", False))


class RedisTests(SynchronousTestCase):
    def test_parser(self) -> None:
        """Txredisapi's protocol hands over each reply, in order, and raises for what is none."""
        replies: list[object] = []

        class Reading(HiredisProtocol):
            def replyReceived(self, reply: object) -> None:
                replies.append(reply)

        protocol = Reading(charset=None, convertNumbers=False)
        self.assertFalse(protocol.connected)
        protocol.dataReceived(b":1\r\n$2\r\n07\r\n-NOSCRIPT x\r\n*1\r\n:2\r\n")
        one, text, error, many = replies
        self.assertEqual((one, text, many), (1, b"07", [2]))
        self.assertIsInstance(error, ResponseError)
        with self.assertRaises(InvalidData):
            protocol.dataReceived(b"HTTP/1.1")


class TransportTests(TestCase):
    """What `transports.py` reads of a real connection."""

    async def test_buffers(self) -> None:
        """Nothing is buffered on a new connection; what a write leaves is."""
        listening: Any = reactor
        port = listening.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        client = await connectProtocol(endpoint, Protocol())
        transport: Any = client.transport
        self.assertEqual((transport.dataBuffer, transport._tempDataBuffer), (b"", []))
        self.assertEqual((transport.offset, transport._tempDataLen), (0, 0))
        self.assertEqual((transport.TLS, bool(transport.connected)), (False, True))
        self.assertEqual(transport.writeSomeData(b"x"), 1)
        transport.write(b"abc")
        self.assertEqual((transport._tempDataBuffer, transport._tempDataLen), ([b"abc"], 3))
        self.assertEqual(unsent_bytes(transport), 3)
        gone: Deferred[object] = Deferred()
        lost: Any = client
        lost.connectionLost = gone.callback
        transport.abortConnection()
        with contextlib.suppress(ConnectionAborted):
            await gone
