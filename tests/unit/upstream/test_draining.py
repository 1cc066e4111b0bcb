"""The end of an answer behind its final frame: nobody reads it, the connection may be kept."""

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IResponse

from neuronetz_twisted.testing.upstream import chat_final
from neuronetz_twisted.upstream.pool import DRAIN_S, IDLE_S
from neuronetz_twisted.upstream.stream import LineStream
from tests.unit.upstream.network import CHUNKED, LAST_CHUNK, A, Network, Wire, chunk

FINAL = chunk(chat_final() + b"\n")


class DrainTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An answer whose final frame was read."""
        self.network = Network()
        self.clock = self.network.reactor
        self.agent = self.network.agent(places=2)
        self.stream, self.wire = self.answered()

    def answered(self) -> tuple[LineStream, Wire]:
        """One more such answer, on a new connection."""
        asked = self.agent.request(b"GET", A.address_of("/"))
        wire = self.network.connect()
        wire.send(CHUNKED, FINAL)
        stream = LineStream("a")
        self.successResultOf(asked).deliverBody(stream)
        self.assertIsNotNone(stream.first)
        return stream, wire

    def ask(self) -> Deferred[IResponse]:
        """Send another request."""
        return self.agent.request(b"GET", A.address_of("/next"))

    def test_ends_soon(self) -> None:
        """The connection is read on, and is used for the next request."""
        self.assertEqual(self.wire.producerState, "paused")
        self.stream.finish()
        self.assertEqual(self.wire.producerState, "producing")
        self.clock.advance(DRAIN_S / 2)
        self.wire.taken()
        self.wire.send(LAST_CHUNK)
        self.ask()
        self.assertIn(b"GET /next", self.wire.taken())
        self.assertEqual(len(self.network.wires), 1)
        self.clock.advance(DRAIN_S)
        self.assertFalse(self.wire.lost)

    def test_does_not_end(self) -> None:
        """After its time it is closed, whatever still comes, and the place is free."""
        self.stream.finish()
        for _ in range(3):
            self.wire.send(chunk(b"more"))
        self.clock.advance(DRAIN_S)
        self.network.turn()
        self.assertTrue(self.wire.lost)
        answers = [self.ask(), self.ask()]
        self.assertEqual(len(self.network.pending), 2)
        for answer in answers:
            answer.addErrback(lambda _: None).cancel()

    def test_each_has_its_own_time(self) -> None:
        """One timer serves them all."""
        self.stream.finish()
        self.clock.advance(DRAIN_S / 2)
        other, wire = self.answered()
        other.finish()
        # And one for who looks at the host.
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.clock.advance(DRAIN_S / 2)
        self.network.turn()
        self.assertEqual((self.wire.lost, wire.lost), (True, False))
        self.clock.advance(DRAIN_S / 2)
        self.network.turn()
        self.assertTrue(wire.lost)

    def test_ended_already(self) -> None:
        """A connection that is another's by then is left alone."""
        self.wire.send(LAST_CHUNK)
        self.stream.finish()
        self.clock.advance(DRAIN_S)
        self.assertFalse(self.wire.lost)
        self.clock.advance(IDLE_S)
        self.network.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost_meanwhile(self) -> None:
        """Nobody hears of it, and nothing is left."""
        self.stream.finish()
        self.wire.break_down()
        self.clock.advance(DRAIN_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answered_before_it_was_read(self) -> None:
        """What is left of one request must not stand before the next one."""
        below: Any = self.wire
        below.transport = FileDescriptor(self.clock)
        below.transport.dataBuffer = b"the rest of a prompt"
        self.stream.finish()
        self.wire.send(LAST_CHUNK)
        self.network.turn()
        self.assertTrue(self.wire.lost)

    def test_agent_that_closes(self) -> None:
        """No timer outlives it."""
        self.stream.finish()
        closing = self.agent.close()
        self.network.turn()
        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_before(self) -> None:
        """What was stopped stays stopped."""
        self.stream.stop()
        self.stream.finish()
        self.network.turn()
        self.assertTrue(self.wire.lost)

    def test_never_connected(self) -> None:
        """A stream without a connection has nothing to let go of."""
        stream = LineStream("a")
        stream.finish()
        self.assertIsInstance(stream, Protocol)
        self.assertIsNone(stream.transport)
