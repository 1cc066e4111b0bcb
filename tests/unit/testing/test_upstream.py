"""Scripted model hosts fail as real ones do."""

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from neuronetz_twisted.dialects.frames import is_ordinary, read_frame
from neuronetz_twisted.testing.upstream import ScriptedAgent, chat_final, chat_frame
from neuronetz_twisted.upstream.agent import BytesProducer, read_bounded


class FrameTests(SynchronousTestCase):
    def test_frames(self) -> None:
        """They are what the code takes for Ollama's."""
        self.assertTrue(is_ordinary(chat_frame("x")))
        self.assertFalse(is_ordinary(chat_final()))
        self.assertTrue(read_frame(chat_final())["done"])
        self.assertNotIn("eval_count", read_frame(chat_final(answer=None)))


class ScriptedAgentTests(SynchronousTestCase):
    def test_request_and_response(self) -> None:
        """What is asked is kept, what is answered is read; both are what they say."""
        agent = ScriptedAgent()
        verifyObject(IAgent, agent)
        answer = agent.request(b"POST", b"http://x/", None, BytesProducer(b"body"))
        (asked,) = agent.asked
        self.assertEqual((asked.method, asked.url, asked.body), (b"POST", b"http://x/", b"body"))
        response = asked.respond(201, b"hello", x_some="thing")
        verifyObject(IResponse, response)
        self.assertIs(self.successResultOf(answer), response)
        self.assertEqual(response.headers.getRawHeaders(b"x-some"), [b"thing"])
        self.assertEqual(self.successResultOf(read_bounded(response, 9)), b"hello")

    def test_cancel(self) -> None:
        """A cancelled request fails as Twisted's agent does."""
        agent = ScriptedAgent()
        answer = agent.request(b"GET", b"http://x/")
        answer.cancel()
        self.failureResultOf(answer, ResponseNeverReceived)
        self.assertTrue(agent.asked[0].cancelled)
