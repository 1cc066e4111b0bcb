"""One answer on one connection, used in every order that its protocol allows."""

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from neuronetz_twisted.edge.answers import HttpAnswer
from neuronetz_twisted.edge.connections import TICK_S
from neuronetz_twisted.edge.deadlines import CUT_S
from neuronetz_twisted.edge.site import GatewaySite
from neuronetz_twisted.errors import (
    AuthFailuresLimited,
    InvalidApiKey,
    MethodNotAllowed,
    RateLimited,
    UpstreamFailed,
)
from neuronetz_twisted.testing.http import MemoryConnection
from tests.unit.edge.house import LIMITS, WALL

RATE_LIMITED = RateLimited(
    limit="requests", retry_after=9, why="key", fields=((b"X-RateLimit-Limit-Requests", b"60"),)
)


@implementer(IPushProducer)
class Producer:
    """A producer that counts how it is told to stop."""

    def __init__(self) -> None:
        """Not told anything yet."""
        self.stops = 0

    def pauseProducing(self) -> None:
        """Do nothing."""

    def resumeProducing(self) -> None:
        """Do nothing."""

    def stopProducing(self) -> None:
        """Count."""
        self.stops += 1


class HttpAnswerTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One request that waits."""
        self.clock = Clock()
        answers: list[HttpAnswer] = []
        site = GatewaySite(
            self.clock,
            begin=lambda request: answers.append(HttpAnswer(request, "the-id")),
            refuse=lambda request, refusal: None,  # noqa: ARG005 - nobody is refused here
            max_body_bytes=100,
            limits=LIMITS,
            now=lambda: WALL,
        )
        self.client = MemoryConnection(site).request("GET", "/v1/chat/completions")
        (self.answer,) = answers

    def all_calls(self) -> None:
        """Use every method."""
        self.answer.write(b"x")
        self.answer.register(Producer())
        self.answer.unregister()
        self.answer.answer(b"text/plain", b"x")
        self.answer.refuse(UpstreamFailed())
        self.answer.complete(b"")
        self.answer.break_off()
        self.answer.abort()

    def test_after_the_client_has_gone(self) -> None:
        """Every method does nothing, and nothing is left behind."""
        self.client.leave()
        self.all_calls()
        self.assertEqual(self.client.value(), b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_the_end(self) -> None:
        """Nothing follows a whole answer; `finish` is not called twice."""
        self.answer.answer(b"text/plain", b"whole")
        self.client.answer()
        self.all_calls()
        self.assertEqual(self.client.value(), b"")
        self.assertFalse(self.client.reset)

    def test_client_goes_with_a_producer(self) -> None:
        """The producer is stopped once; letting go of it later does not raise."""
        producer = Producer()
        self.answer.begin(b"text/plain")
        self.answer.register(producer)
        self.answer.write(b"x")
        self.client.leave()
        self.assertGreaterEqual(producer.stops, 1)
        self.answer.unregister()

    def test_no_refusal_in_a_stream(self) -> None:
        """After the head a refusal would be lost in the body."""
        self.answer.begin(b"text/plain")
        self.answer.write(b"x")
        self.answer.refuse(UpstreamFailed())
        self.answer.complete(b"")
        self.assertEqual(self.client.answer().body, b"x")

    def test_refusals(self) -> None:
        """The headers that a refusal brings, and the dialect of its path."""
        for refusal, name, value in (
            (InvalidApiKey(), "www-authenticate", "Bearer"),
            (MethodNotAllowed(allow="GET, HEAD"), "allow", "GET, HEAD"),
            (AuthFailuresLimited(retry_after=7), "retry-after", "7"),
            (RATE_LIMITED, "retry-after", "9"),
            (RATE_LIMITED, "x-ratelimit-limit-requests", "60"),
        ):
            with self.subTest(refusal=refusal):
                self.setUp()
                self.answer.headers[b"X-Own"] = b"1"
                self.answer.refuse(refusal)
                answer = self.client.answer()
                self.assertEqual((answer.status, answer.headers[name]), (refusal.status, value))
                self.assertEqual(answer.headers["x-own"], "1")
                self.assertEqual(answer.json()["error"]["code"], refusal.code)

    def test_break_off_twice(self) -> None:
        """The second does nothing; a client that has read everything ends it."""
        self.answer.begin(b"text/plain")
        self.answer.write(b"x")
        self.answer.break_off()
        self.clock.advance(CUT_S / 2)
        self.answer.break_off()
        self.clock.advance(CUT_S / 2 + TICK_S)
        self.assertTrue(self.client.reset)
        self.client.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_that_reads_the_broken_end(self) -> None:
        """Nothing is left of it."""
        self.answer.begin(b"text/plain")
        self.answer.write(b"x")
        self.answer.break_off()
        self.client.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])
