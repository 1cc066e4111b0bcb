"""The scripted agent and its responses behave as our own."""

from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from neuronetz_twisted.testing.agent import ScriptedAgent, ScriptedResponse
from neuronetz_twisted.upstream.agent import BytesProducer
from neuronetz_twisted.upstream.bodies import read_bounded


class ScriptedAgentTests(SynchronousTestCase):
    def test_request_and_response(self) -> None:
        """What is asked is kept, what is answered is read; both are what they say."""
        agent = ScriptedAgent()
        verifyObject(IAgent, agent)
        answer = agent.request(b"POST", b"http://x/", None, BytesProducer(b"body", lambda: None))
        (asked,) = agent.asked
        self.assertEqual((asked.method, asked.url, asked.body), (b"POST", b"http://x/", b"body"))
        response = asked.respond(201, b"hello", x_some="thing")
        verifyObject(IResponse, response)
        self.assertIs(self.successResultOf(answer), response)
        self.assertEqual(response.headers.getRawHeaders(b"x-some"), [b"thing"])
        self.assertEqual(self.successResultOf(read_bounded(response, 9)), b"hello")

    def test_cancel(self) -> None:
        """A cancelled request fails as with our agent."""
        agent = ScriptedAgent()
        answer = agent.request(b"GET", b"http://x/")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertTrue(agent.asked[0].cancelled)


class BodyTransportTests(SynchronousTestCase):
    def test_connection_of_a_body(self) -> None:
        """It can be closed, every way at once, until the body is over."""
        for end, aborted in (("send", True), ("finish", False), ("lose", False)):
            for way in ("abortConnection", "loseConnection", "stopProducing"):
                with self.subTest(end=end, way=way):
                    response = ScriptedResponse(200, Headers())
                    body = Protocol()
                    response.deliverBody(body)
                    getattr(response, end)(*([b"x"] if end == "send" else []))
                    getattr(body.transport, way)()
                    self.assertEqual(response.transport.aborted, aborted)
