"""One connection: what is asked on it again, the one retry, bodies, and every way to its end."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.upstream.connection import RETRY_WITHIN_S
from tests.unit.upstream.network import (
    CHUNKED,
    EMPTY,
    LAST_CHUNK,
    A,
    Network,
    Reader,
    chunk,
    read,
)

URL = A.address_of("/api/chat")
FIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


class ConnectionTestCase(SynchronousTestCase):
    """An agent with one place: a second request is sent only when that is free."""

    def setUp(self) -> None:
        """Ask; the request has gone."""
        self.network = Network()
        self.agent = self.network.agent(places=1)
        self.addCleanup(self.agent.close)
        self.answer = self.ask()
        self.wire = self.network.connect()
        self.request = self.wire.taken()

    def ask(self) -> Deferred[IResponse]:
        """Send a request."""
        return self.agent.request(b"GET", URL)

    def assert_free(self, *, anew: bool) -> None:
        """Exactly one place is free: the next request goes, one more does not."""
        connections = len(self.network.attempts)
        following = self.ask()
        if anew:
            self.assertEqual(len(self.network.attempts), connections + 1)
            wire = self.network.connect()
        else:
            self.assertEqual(len(self.network.attempts), connections)
            wire = self.wire
        self.assertEqual(wire.taken(), self.request)
        waiting = self.ask()
        self.assertEqual(len(self.network.attempts), connections + anew)
        self.assertEqual(wire.taken(), b"")
        for answer in (waiting, following):
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
        self.network.turn()

    def reader(self) -> Reader:
        """Read the answer's body."""
        return read(self.successResultOf(self.answer))


class ReuseTests(ConnectionTestCase):
    def test_ended_as_framed(self) -> None:
        """After an answer that ended by length or last chunk the connection is used again."""
        for answer in (FIVE + b"hello", CHUNKED + chunk(b"hello") + LAST_CHUNK):
            for step in (1, 1000):
                with self.subTest(answer=answer, step=step):
                    self.setUp()
                    self.wire.send(*(answer[at : at + step] for at in range(0, len(answer), step)))
                    reader = self.reader()
                    self.assertEqual((b"".join(reader.read), reader.done), (b"hello", True))
                    self.assert_free(anew=False)

    def test_not_used_again(self) -> None:
        """Whatever else has happened, it is closed, and the next request has a new one."""
        for name, answer in (
            (
                "asked to close",
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            ),
            ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("more than the answer", EMPTY + b"x"),
            ("another answer", EMPTY + EMPTY),
        ):
            with self.subTest(case=name):
                self.setUp()
                self.wire.send(answer)
                self.assertTrue(self.reader().done)
                self.assertTrue(self.wire.disconnected)
                self.assert_free(anew=True)

    def test_bytes_while_idle(self) -> None:
        """Bytes that nobody asked for close the connection: they are no later answer's."""
        self.wire.send(EMPTY)
        self.assertFalse(self.wire.disconnected)
        self.wire.send(EMPTY)
        self.assertTrue(self.wire.disconnected)
        # What was read already says nothing to anybody.
        self.wire.send(EMPTY)
        self.assert_free(anew=True)

    def test_closed_while_idle(self) -> None:
        """A connection that the host closes is forgotten."""
        self.wire.send(EMPTY)
        self.wire.hang_up()
        self.assert_free(anew=True)

    def test_free_before_the_end_is_told(self) -> None:
        """Who hears of the end may ask at once, and gets the place."""
        self.wire.send(FIVE)
        reader = self.reader()
        asked: list[Deferred[IResponse]] = []
        reader.on_end = lambda: asked.append(self.ask())
        self.wire.send(b"hello")
        self.assertEqual(self.wire.taken(), self.request)
        self.wire.send(EMPTY)
        self.successResultOf(asked[0])


class RetryTests(ConnectionTestCase):
    """SPEC 6: a used connection that closes at once, without a byte, was closed before."""

    def use_again(self) -> None:
        """Send a second request on the connection."""
        self.wire.send(EMPTY)
        self.answer = self.ask()
        self.assertEqual(self.wire.taken(), self.request)

    def test_once_on_a_new_connection(self) -> None:
        """The request is sent anew, up to 100 ms after it was written."""
        for lose in ("hang_up", "break_down"):
            with self.subTest(lose=lose):
                self.setUp()
                self.use_again()
                self.network.reactor.advance(RETRY_WITHIN_S)
                getattr(self.wire, lose)()
                self.assertNoResult(self.answer)
                self.wire = self.network.connect()
                self.assertEqual(self.wire.taken(), self.request)
                self.wire.send(EMPTY)
                self.assertTrue(self.reader().done)
                self.assert_free(anew=False)

    def test_not_twice(self) -> None:
        """What fails on the new connection has failed."""
        self.use_again()
        self.wire.hang_up()
        self.network.connect().hang_up()
        self.failureResultOf(self.answer, ResponseNeverReceived)
        self.assert_free(anew=True)

    def test_not_on_another_used_one(self) -> None:
        """A second used connection is passed over: it may be as stale."""
        self.network = Network()
        self.agent = self.network.agent(places=2)
        for _ in range(2):
            self.ask()
        wires = [self.network.connect(), self.network.connect()]
        for wire in wires:
            wire.send(EMPTY)
        self.answer = self.ask()
        wires[1].hang_up()
        self.assertEqual(len(self.network.attempts), 3)
        self.network.connect().send(EMPTY)
        self.successResultOf(self.answer)

    def test_not_later(self) -> None:
        """After 100 ms the host may have begun to work."""
        self.use_again()
        self.network.reactor.advance(RETRY_WITHIN_S + 0.001)
        self.wire.hang_up()
        self.failureResultOf(self.answer, ResponseNeverReceived)
        self.assert_free(anew=True)

    def test_not_after_a_byte(self) -> None:
        """Nor has a host closed before that has begun to answer."""
        self.use_again()
        self.wire.send(b"H")
        self.wire.hang_up()
        self.failureResultOf(self.answer, ResponseNeverReceived)

    def test_not_on_a_new_connection(self) -> None:
        """A host that closes a connection at once is a host that fails."""
        self.wire.hang_up()
        self.failureResultOf(self.answer, ResponseNeverReceived)
        self.assert_free(anew=True)

    def test_not_when_cancelled(self) -> None:
        """Nobody waits for it any more."""
        self.use_again()
        self.answer.cancel()
        self.failureResultOf(self.answer, CancelledError)
        self.network.turn()
        self.assertEqual(len(self.network.attempts), 1)

    def test_not_when_closed(self) -> None:
        """Nor when the agent is."""
        self.use_again()
        closed = self.agent.close()
        self.network.turn()
        self.failureResultOf(self.answer, ResponseNeverReceived)
        self.successResultOf(closed)
        self.assertEqual(len(self.network.attempts), 1)

    def test_cancelled_while_connecting_anew(self) -> None:
        """The retry is cancelled as every request is."""
        self.use_again()
        self.wire.hang_up()
        self.answer.cancel()
        self.failureResultOf(self.answer, CancelledError)
        self.assert_free(anew=True)


class BodyTests(ConnectionTestCase):
    def test_one_delivery_a_read(self) -> None:
        """All content of a read comes at once."""
        self.wire.send(CHUNKED + chunk(b"one") + chunk(b"two"))
        reader = self.reader()
        self.wire.send(chunk(b"three") + chunk(b"four"), b"5;x=y\r\n", b"five!\r\n" + LAST_CHUNK)
        self.assertEqual(reader.read, [b"onetwo", b"threefour", b"five!"])
        self.assertTrue(reader.done)

    def test_held_until_it_is_read(self) -> None:
        """A host whose answer nobody reads yet waits; what had come is kept."""
        self.wire.send(CHUNKED + chunk(b"one"))
        response = self.successResultOf(self.answer)
        self.assertEqual(self.wire.producerState, "paused")
        reader = read(response)
        self.assertEqual((reader.read, self.wire.producerState), ([b"one"], "producing"))
        self.assertRaises(RuntimeError, response.deliverBody, Reader())

    def test_read_under_tls_while_held(self) -> None:
        """What was under way is kept, in order, to its end."""
        self.wire.send(FIVE + b"he")
        response = self.successResultOf(self.answer)
        self.wire.send(b"l", b"lo")
        reader = read(response)
        self.assertEqual((reader.read, reader.done), ([b"hello"], True))
        self.assertEqual(self.wire.producerState, "producing")
        self.assert_free(anew=False)

    def test_read_at_once(self) -> None:
        """Who reads when the head comes holds nobody: there are no system calls to spare."""
        self.answer.addCallback(read)
        self.wire.send(CHUNKED + chunk(b"one"))
        self.assertEqual(self.wire.pauses, 0)

    def test_pause(self) -> None:
        """A reader holds the host, and lets it go on."""
        self.wire.send(CHUNKED)
        reader = self.reader()
        for _ in range(2):
            reader.connection.pauseProducing()
            self.assertEqual(self.wire.producerState, "paused")
        self.assertEqual(self.wire.pauses, 2)  # with the one before anybody read
        reader.connection.resumeProducing()
        self.assertEqual(self.wire.producerState, "producing")

    def test_pause_within_a_read(self) -> None:
        """What is wished during a delivery holds after it; a wish taken back costs nothing."""
        self.answer.addCallback(read)
        self.wire.send(CHUNKED)
        reader = self.successResultOf(self.answer)
        assert isinstance(reader, Reader)
        for wishes, state, pauses in (("+-", "producing", 0), ("-+-", "producing", 0),
                                      ("+", "paused", 1)):  # fmt: skip
            with self.subTest(wishes=wishes):

                def deliver(_: bytes, wishes: str = wishes) -> None:
                    for wish in wishes:
                        transport = reader.connection
                        (transport.pauseProducing if wish == "+" else transport.resumeProducing)()

                reader.on_read = deliver
                self.wire.send(chunk(b"x"))
                self.assertEqual((self.wire.producerState, self.wire.pauses), (state, pauses))

    def test_pause_as_the_last_byte_comes(self) -> None:
        """A connection whose answer is over is not the reader's any more."""
        self.answer.addCallback(read)
        self.wire.send(FIVE)
        reader = self.successResultOf(self.answer)
        assert isinstance(reader, Reader)
        reader.on_read = lambda _: reader.connection.pauseProducing()
        self.wire.send(b"hello")
        self.assertEqual(self.wire.producerState, "producing")
        reader.connection.abortConnection()
        self.assertFalse(self.wire.disconnected)
        self.assert_free(anew=False)

    def test_close(self) -> None:
        """Every way to close a body is at once; the place is free, once, and the end is told."""
        for way in ("abortConnection", "loseConnection", "stopProducing"):
            with self.subTest(way=way):
                self.setUp()
                self.wire.send(CHUNKED + chunk(b"one"))
                reader = self.reader()
                for _ in range(2):
                    getattr(reader.connection, way)()
                self.assertTrue(self.wire.disconnected)
                reader.connection.pauseProducing()
                reader.connection.resumeProducing()
                self.wire.send(chunk(b"two") + LAST_CHUNK)
                self.assertEqual((reader.read, reader.end), ([b"one"], None))
                self.network.turn()
                assert reader.end is not None
                reader.end.trap(ResponseFailed)
                self.assertEqual(reader.why.reasons[0].type, ConnectionAborted)
                getattr(reader.connection, way)()
                self.assert_free(anew=True)

    def test_close_while_the_head_is_told(self) -> None:
        """Who reads may close before the read is over."""
        self.answer.addCallback(lambda response: read(response).connection.abortConnection())
        self.wire.send(CHUNKED + chunk(b"one"))
        self.assertTrue(self.wire.disconnected)
        self.network.turn()
        self.assert_free(anew=True)


class EndTests(ConnectionTestCase):
    def ended_by(self, head: bytes, lose: str) -> Any:
        """Why a body ended."""
        self.setUp()
        self.wire.send(head + b"\r\n")
        reader = self.reader()
        getattr(self.wire, lose)()
        assert reader.end is not None
        self.assert_free(anew=True)
        return reader.end.value

    def test_lost(self) -> None:
        """A body without the end that its head announced is broken, however politely."""
        for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
            for lose, kind in (("hang_up", ConnectionDone), ("break_down", ConnectionLost)):
                with self.subTest(field=field, lose=lose):
                    end = self.ended_by(b"HTTP/1.1 200 OK\r\n%b\r\n" % field, lose)
                    self.assertEqual((type(end), end.reasons[0].type), (ResponseFailed, kind))

    def test_end_with_the_connection(self) -> None:
        """A body without framing may have lost its rest; one whose connection broke has."""
        head = b"HTTP/1.1 200 OK\r\n"
        self.assertIsInstance(self.ended_by(head, "hang_up"), PotentialDataLoss)
        self.assertIsInstance(self.ended_by(head, "break_down"), ResponseFailed)

    def test_lost_before_it_is_read(self) -> None:
        """Who reads later hears of it then."""
        self.wire.send(CHUNKED + chunk(b"one"))
        self.wire.break_down()
        reader = self.reader()
        assert reader.end is not None
        self.assertEqual((reader.read, reader.end.type), ([b"one"], ResponseFailed))

    def test_nonsense_instead_of_a_head(self) -> None:
        """It fails the request, and closes."""
        self.wire.send(b"gibberish")
        self.failureResultOf(self.answer, UpstreamNonsense)
        self.assertTrue(self.wire.disconnected)
        self.assert_free(anew=True)

    def test_nonsense_instead_of_content(self) -> None:
        """It breaks the body behind what was good of it, in one read with the head or later."""
        nonsense = chunk(b"one") + b"zz\r\n"
        for reads in ((CHUNKED + nonsense,), (CHUNKED, nonsense)):
            with self.subTest(reads=len(reads)):
                self.setUp()
                self.wire.send(*reads)
                reader = self.reader()
                self.assertTrue(self.wire.disconnected)
                self.network.turn()
                assert reader.end is not None
                self.assertEqual((reader.read, reader.end.type), ([b"one"], ResponseFailed))
                self.assertIs(reader.why.reasons[0].type, UpstreamNonsense)
                self.assert_free(anew=True)

    def test_lost_before_a_head(self) -> None:
        """The reason is told."""
        self.wire.send(b"HTTP/1.1 200 OK\r\n")
        self.wire.break_down()
        failure = self.failureResultOf(self.answer, ResponseNeverReceived)
        self.assertIs(failure.value.reasons[0].type, ConnectionLost)

    def test_a_reader_that_raises(self) -> None:
        """It costs the connection, as Twisted does it, and no place."""
        self.answer.addCallback(read)
        self.wire.send(CHUNKED)
        reader = self.successResultOf(self.answer)
        assert isinstance(reader, Reader)

        def fail(_: bytes) -> None:
            raise ZeroDivisionError

        reader.on_read = fail
        self.assertRaises(ZeroDivisionError, self.wire.send, chunk(b"x"))
        self.wire.break_down()
        self.assertIsNotNone(reader.end)
        self.assert_free(anew=True)


class CancelTests(ConnectionTestCase):
    def test_before_the_head(self) -> None:
        """The socket is closed, whatever part of a head has come."""
        for head in (b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
            with self.subTest(head=head):
                self.setUp()
                if head:
                    self.wire.send(head)
                self.answer.cancel()
                self.failureResultOf(self.answer, CancelledError)
                self.assertTrue(self.wire.disconnected)
                self.wire.send(EMPTY)
                self.network.turn()
                self.assert_free(anew=True)

    def test_lost_meanwhile(self) -> None:
        """A connection that is lost while it is closed gives its place back once."""
        self.answer.cancel()
        self.failureResultOf(self.answer, CancelledError)
        self.wire.break_down()
        self.network.turn()
        self.assert_free(anew=True)
