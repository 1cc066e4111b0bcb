"""Names of other packages that are not theirs to keep, and that we lean on."""

import inspect

from treq.client import HTTPClient
from treq.response import _Response
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import TransportProxyProducer
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from neuronetz_twisted.edge.channel import MAX_BEHIND_BYTES, GatewayChannel
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.edge.site import GatewaySite
from neuronetz_twisted.testing.agent import BodyTransport, ScriptedAgent
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
        """What `GatewayRequest` takes the place of."""
        for name in ("gotLength", "handleContentChunk", "process", "getRequestHostname"):
            self.assertTrue(callable(getattr(Request, name)))
        self.assertEqual(parameters(Request.gotLength), ["self", "length"])
        self.assertEqual(parameters(Request.handleContentChunk), ["self", "data"])

    def test_channel(self) -> None:
        """What `GatewayChannel` and the site's close use."""
        self.assertEqual(HTTPChannel().requests, [])
        self.assertTrue(callable(HTTPChannel.forceAbortClient))
        self.assertIn("loseConnection", dir(HTTPChannel))

    def test_bytes_behind_a_request(self) -> None:
        """What `GatewayChannel` counts: stock twisted.web stops reading beyond as much."""
        channel = HTTPChannel()
        self.assertFalse(channel._handlingRequest)
        self.assertEqual(channel._dataBuffer, [])
        self.assertEqual(channel._optimisticEagerReadSize, MAX_BEHIND_BYTES)

    def test_body_transport(self) -> None:
        """What `abort` takes the connection from; there is none once the body is over."""
        connection = BodyTransport()
        proxy = TransportProxyProducer(connection)
        self.assertIs(proxy._producer, connection)
        proxy.stopProxying()
        self.assertIsNone(proxy._producer)

    def test_site(self) -> None:
        """Our channel takes the place of the one that negotiates HTTP/2, wholly."""
        house = House()
        client = house.connect()
        self.assertIs(type(client.protocol), GatewayChannel)
        self.assertIs(client.protocol.requestFactory, GatewayRequest)  # type: ignore[attr-defined]

    def test_access_log_is_off(self) -> None:
        """The site's own log is a method that we replace."""
        self.assertIsNot(GatewaySite.log, Site.log)

    def test_request_knows_its_channel_until_the_client_goes(self) -> None:
        """`HttpAnswer` tells by `channel` whether Twisted has let go of the producer."""
        house = House()
        house.keys.gate.held = True
        client = house.ask("GET", "/api/tags")
        (request,) = client.protocol.requests  # type: ignore[attr-defined]
        self.assertIs(request.channel.transport, client)
        client.leave()
        self.assertIsNone(request.channel)


class DeferTests(SynchronousTestCase):
    def test_semaphore(self) -> None:
        """The bound on waiters reads the semaphore's own list; a cancel leaves it."""
        semaphore = DeferredSemaphore(1)
        semaphore.acquire()
        waiting = semaphore.acquire()
        self.assertEqual(len(semaphore.waiting), 1)
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.assertEqual(len(semaphore.waiting), 0)


class ResourceTests(SynchronousTestCase):
    def test_site_takes_a_clock(self) -> None:
        """Timeouts of connections run on the reactor that the site was given."""
        clock = Clock()
        site = Site(Resource(), reactor=clock)
        protocol = site.buildProtocol(None)
        self.assertIsNotNone(protocol)
        self.assertIs(site.reactor, clock)
