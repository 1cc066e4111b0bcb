"""One connection: requests in, answers out in their order, and every way in which it ends."""

from random import Random

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from neuronetz_twisted.edge.connections import TICK_S
from neuronetz_twisted.edge.deadlines import BODY_GRACE_S, DRAIN_BYTES, DRAIN_S, REQUESTS_PER_TURN
from neuronetz_twisted.edge.framing import MAX_HEAD_BYTES
from neuronetz_twisted.edge.intake import HOLD_BACK_BYTES
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.edge.site import GatewaySite
from neuronetz_twisted.errors import InvalidRequest, RequestTooLarge
from neuronetz_twisted.testing.http import MemoryConnection
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from tests.unit.edge.house import BODY_LIMIT, KEY, House
from tests.unit.edge.plain import PlainSite, SlowReader, reply
from tests.unit.edge.surface import CHAT, FOLDED, SurfaceTestCase

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
INVITATION = b"HTTP/1.1 100 Continue\r\n\r\n"


def get(number: int = 0, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """A request without a body."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"GET /%d HTTP/%b\r\nHost: x\r\n%b\r\n" % (number, version, lines)


def post(path: bytes, *fields: bytes, key: str = KEY) -> bytes:
    """A head that is followed by a body."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST %b HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\n%b\r\n" % (path, key.encode(), lines)


def length(count: int) -> bytes:
    """The field."""
    return b"Content-Length: %d" % count


EXPECT = b"Expect: 100-continue"
CHUNKED = b"Transfer-Encoding: chunked"


class ExpectTests(SurfaceTestCase):
    def test_invited_once_and_served(self) -> None:
        """A client that waits is invited when its body is wanted, whatever its framing."""
        self.upstream.frames = [chat_final()]
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(FOLDED), FOLDED)
        for framing, pieces in (
            (length(len(FOLDED)), [FOLDED]),
            (length(len(FOLDED)), [FOLDED[:9], FOLDED[9:]]),
            (CHUNKED, [chunk]),
            (CHUNKED, [chunk[:9], chunk[9:]]),
        ):
            with self.subTest(framing=framing):
                client = self.house.connect()
                client.send(post(b"/api/chat", framing, EXPECT))
                self.assertEqual(client.value(), INVITATION)
                client.clear()
                for piece in pieces:
                    self.assertEqual(client.value(), b"")
                    client.send(piece)
                answer = client.answer()
                self.assertEqual((answer.status, client.value()), (200, b""))
                self.assertNotIn("connection", answer.headers)

    def test_not_before_it_is_known_who_asks(self) -> None:
        """Nobody is invited on trust."""
        self.house.keys.gate.held = True
        client = self.house.connect()
        client.send(post(b"/api/chat", length(2), EXPECT))
        self.assertEqual(client.value(), b"")
        self.house.keys.gate.release_all()
        self.assertEqual(client.value(), INVITATION)
        client.leave()

    def test_not_one_that_has_begun(self) -> None:
        """A body on its way needs no invitation."""
        client = self.house.connect()
        client.send(post(b"/api/chat", length(2), EXPECT) + b"[")
        self.assertEqual(client.value(), b"")
        client.send(b"]")
        self.assertEqual(client.answer().status, 400)

    def test_not_one_that_sends_while_it_is_identified(self) -> None:
        """A client that lost its patience has begun as well."""
        self.house.keys.gate.held = True
        client = self.house.connect()
        client.send(post(b"/api/chat", length(2), EXPECT))
        client.send(b"[")
        self.house.keys.gate.release_all()
        client.send(b"]")
        self.assertEqual(client.answer().status, 400)

    def test_not_one_that_is_refused(self) -> None:
        """The final answer comes at once, and the connection ends with it."""
        for path, fields, key, status in (
            (b"/api/chat", (length(2),), "nz_no", 401),
            (b"/api/pull", (length(2),), KEY, 403),
            (b"/api/tags", (length(2),), KEY, 405),
            (b"/api/chat", (length(BODY_LIMIT + 1),), KEY, 413),
            (b"/api/chat", (length(2), b"Content-Encoding: gzip"), KEY, 415),
            (b"/api/chat", (CHUNKED, b"Content-Type: multipart/form-data"), KEY, 415),
            (b"/api/chat", (length(2), b"Expect: a-pony"), KEY, 417),
        ):
            with self.subTest(status=status):
                client = self.house.connect()
                client.send(post(path, *fields, EXPECT, key=key))
                answer = client.answer()
                self.assertEqual((answer.status, answer.headers["connection"]), (status, "close"))
                self.assertEqual((client.value(), client.half_closed), (b"", True))

    def test_another_expectation(self) -> None:
        """It cannot be met (RFC 9110 10.1.1), whatever the method."""
        client = self.house.connect()
        client.send(post(b"/api/chat", length(2), b"Expect: a-pony") + b"[]")
        self.assertEqual(client.answer().status, 417)
        self.assertEqual(self.answered("GET", "/api/tags", Expect="a-pony").status, 417)


class RefusedBodyTests(SurfaceTestCase):
    """A body that is not wanted, or fails: the answer can be read, and nothing follows it."""

    def refused(self, *pieces: bytes, status: int) -> None:
        """The answer to a head and what follows it in pieces; then a drain."""
        with self.subTest(pieces=pieces[:2]):
            client = self.house.connect()
            for piece in pieces:
                client.send(piece)
            answer = client.answer()
            self.assertEqual((answer.status, answer.whole), (status, True))
            self.assertEqual(answer.headers["connection"], "close")
            self.assertEqual((client.half_closed, client.disconnecting), (True, False))
            client.send(b"\r\n0\r\n\r\n" + get())
            self.assertEqual((client.value(), client.reset), (b"", False))
            self.house.clock.pump([TICK_S] * 10)
            self.assertTrue(client.reset)
            client.settle()
            self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_too_long_by_its_length(self) -> None:
        """Nothing of it is read."""
        self.refused(post(b"/api/chat", length(BODY_LIMIT + 1)), status=413)
        self.refused(post(b"/api/chat", length(10**17)), b"x" * 70_000, status=413)

    def test_too_long_by_its_chunks(self) -> None:
        """Refused with the size that is too large, whole or in pieces."""
        head = post(b"/api/chat", CHUNKED)
        self.refused(head + b"%x\r\n" % (BODY_LIMIT + 1), status=413)
        self.refused(head, b"64\r\n" + b"x" * 100 + b"\r\n65", b"\r\n", status=413)

    def test_malformed(self) -> None:
        """Refused where it breaks."""
        head = post(b"/api/chat", CHUNKED)
        self.refused(head + b"zz\r\n", status=400)
        self.refused(head, b"1\r\nxx", status=400)
        self.refused(head, b"0\r\n", b"A:" + b"x" * 4096, status=431)

    def test_one_that_nobody_asked_for(self) -> None:
        """Behind a refusal that needs no body, where nobody can say where that ends."""
        self.refused(post(b"/api/chat", length(1 << 30), key="nz_no") + b"12345678", status=401)
        self.refused(post(b"/api/chat", CHUNKED, key="nz_no") + b"zz\r\n", status=401)

    def test_bad_head(self) -> None:
        """A head that is no head, with whatever is behind it."""
        self.refused(b"GET / HTTP/1.1\r\n\r\n" + get(), status=400)
        self.refused(b"GET / HTTP/1.1\r\n", b"Host : x\r\n\r\n", status=400)
        self.refused(b"GET /%b HTTP/1.1\r\n\r\n" % (b"a" * 9000), status=414)
        self.refused(b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES, status=431)
        self.refused(b"GET / HTTP/2.0\r\n", status=505)


class UnaskedBodyTests(SurfaceTestCase):
    def test_dropped_where_all_of_it_is_here(self) -> None:
        """The next request is served, also where the first was refused."""
        for first, status in (
            (b"GET /api/tags HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\n" % KEY.encode(), 200),
            (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", 200),
            (b"POST /api/chat HTTP/1.1\r\nHost: x\r\n", 401),
            (b"PUT /healthz HTTP/1.1\r\nHost: x\r\n", 405),
        ):
            for body in (
                b"Content-Length: 3\r\n\r\nabc",
                b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ):
                with self.subTest(first=first, body=body):
                    client = self.house.connect()
                    client.send(first + body + get(1))
                    answer = client.answer()
                    self.assertEqual(answer.status, status)
                    self.assertNotIn("connection", answer.headers)
                    self.assertEqual(client.answer().status, 401)

    def test_nothing_of_it_is_a_request(self) -> None:
        """What is still to come may look like one."""
        client = self.house.connect()
        body = get(1) * 3
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.send(head + body[:100])
        self.assertEqual(client.answer().status, 200)
        client.send(body[100:])
        self.assertEqual((client.value(), client.half_closed), (b"", False))
        client.send(get(1))
        self.assertEqual(client.answer().status, 401)


class PlainTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """A site whose application is this test."""
        self.plain = PlainSite()
        self.requests = self.plain.requests
        self.client: MemoryConnection = self.plain.connect()

    def tearDown(self) -> None:
        """When all have gone, nothing is left."""
        self.client.leave()
        self.assertEqual(self.plain.site.channels, [])
        self.assertEqual(self.plain.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def ask(self, data: bytes) -> GatewayRequest:
        """Send what makes one more request."""
        before = len(self.requests)
        self.client.send(data)
        self.assertEqual(len(self.requests), before + 1)
        return self.requests[-1]

    def slow_reader(self) -> SlowReader:
        """Another client in the place of the first."""
        self.client.leave()
        self.client = reader = SlowReader(self.plain.site)
        return reader


class BodyTests(PlainTestCase):
    def test_held_back_until_it_is_asked_for(self) -> None:
        """A little is read ahead, the rest waits on the wire, and all of it arrives."""
        size = 3 * HOLD_BACK_BYTES
        request = self.ask(post(b"/", length(size)) + b"a")
        self.client.send(b"a" * HOLD_BACK_BYTES)
        self.assertEqual(self.client.producerState, "paused")
        body = self.plain.body(request)
        self.assertEqual(self.client.producerState, "producing")
        self.client.send(b"a" * (size - HOLD_BACK_BYTES - 1))
        self.assertEqual(self.successResultOf(body), b"a" * size)
        reply(request)
        self.assertEqual(self.client.answer().status, 200)

    def test_held_back_and_then_refused(self) -> None:
        """Reading goes on, so that the answer is read and the leaving client is heard."""
        for size, closes in ((1 << 20, False), (1 << 30, True)):
            with self.subTest(size=size):
                self.setUp()
                request = self.ask(post(b"/", length(size)))
                self.client.send(b"a" * (HOLD_BACK_BYTES + 1))
                self.assertEqual(self.client.producerState, "paused")
                reply(request)
                self.assertEqual(self.client.producerState, "producing")
                self.assertEqual(self.client.half_closed, closes)

    def test_dropped_as_it_comes(self) -> None:
        """An answer goes out before its body is whole; the next request begins behind that."""
        request = self.ask(post(b"/", length(10)) + b"abc")
        reply(request)
        answer = self.client.answer()
        self.assertNotIn("connection", answer.headers)
        self.client.send(b"defg")
        self.client.send(b"hij" + get(2))
        self.assertEqual(len(self.requests), 2)
        self.assertEqual(self.requests[1].asked_path, b"/2")

    def test_dropped_in_time(self) -> None:
        """A client that does not send the rest holds the connection no longer than a body may."""
        reply(self.ask(post(b"/", length(10)) + b"abc"))
        self.plain.clock.advance(BODY_GRACE_S - TICK_S)
        self.assertFalse(self.client.half_closed)
        self.plain.clock.advance(3 * TICK_S)
        self.assertTrue(self.client.half_closed)
        self.plain.clock.advance(DRAIN_S + TICK_S)
        self.assertTrue(self.client.reset)

    def test_dropped_until_it_is_malformed(self) -> None:
        """Behind what is no chunk nothing is taken for a request."""
        reply(self.ask(post(b"/", CHUNKED) + b"3\r\nabc\r\n"))
        self.client.send(b"zz\r\n" + get(2))
        self.assertTrue(self.client.half_closed)
        self.assertEqual(len(self.requests), 1)

    def test_a_body_that_never_comes_in_a_stream(self) -> None:
        """The answer that has begun is not cut for it; the connection ends with it."""
        request = self.ask(post(b"/", length(10)))
        request.begin(200, [], None)
        request.write(b"ab")
        self.client.fill()
        self.client.drain()
        self.plain.clock.pump([TICK_S] * int((BODY_GRACE_S + DRAIN_S) / TICK_S + 3))
        self.assertEqual((self.client.half_closed, self.client.reset), (False, False))
        request.finish(b"c")
        answer = self.client.answer()
        self.assertEqual((answer.body, answer.whole), (b"abc", True))
        self.assertTrue(self.client.half_closed)

    def test_held_back_with_the_next_request(self) -> None:
        """A whole chunked body that nobody wants, then a request, then reading goes on."""
        chunks = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
        request = self.ask(post(b"/", CHUNKED))
        self.client.send(chunks + b"0\r\n\r\n" + get(1))
        self.assertEqual(self.client.producerState, "paused")
        reply(request)
        self.assertEqual(self.client.producerState, "producing")
        reply(self.requests[1])
        self.assertEqual([self.client.answer().status for _ in range(2)], [200, 200])

    def test_in_single_bytes(self) -> None:
        """Head, body, and the next request."""
        data = post(b"/", CHUNKED) + b"3\r\nabc\r\n0\r\nA: b\r\n\r\n" + get(1)
        bodies: list[Deferred[bytes]] = []
        for at in range(len(data)):
            self.client.send(data[at : at + 1])
            if len(self.requests) > len(bodies):
                bodies.append(self.plain.body(self.requests[-1]))
                bodies[-1].addCallback(lambda body: reply(self.requests[-1], body))
        self.assertEqual([self.client.answer().body for _ in range(2)], [b"abc", b""])

    def test_failures(self) -> None:
        """Whoever asked has the refusal in his hands."""
        body = self.plain.body(self.ask(post(b"/", length(9))), limit=8)
        self.failureResultOf(body, RequestTooLarge)
        self.setUp()
        body = self.plain.body(self.ask(post(b"/", CHUNKED)))
        self.client.send(b"x\r\n")
        self.failureResultOf(body, InvalidRequest)

    def test_client_goes_in_its_body(self) -> None:
        """Nobody is told a body; the request is told its end."""
        request = self.ask(post(b"/", length(9)) + b"abc")
        finished = request.notifyFinish()
        body = self.plain.body(request)
        self.client.leave()
        self.failureResultOf(finished)
        self.assertNoResult(body)


class OrderTests(PlainTestCase):
    def numbers(self) -> list[int]:
        """The numbers of the requests that were answered, as the client reads them."""
        found = []
        while self.client.value():
            answer = self.client.answer()
            self.assertTrue(answer.whole)
            found.append(int(answer.body))
        return found

    def answer(self, request: GatewayRequest) -> None:
        """Say which one it was."""
        reply(request, request.asked_path[1:])

    def test_one_at_a_time(self) -> None:
        """The next one begins when the answer before it is written."""
        self.client.send(get(0) + get(1) + get(2))
        for number in range(3):
            self.assertEqual(len(self.requests), number + 1)
            self.assertEqual(self.client.value(), b"")
            self.answer(self.requests[-1])
            self.assertEqual(self.numbers(), [number])

    def test_answered_at_once(self) -> None:
        """A segment of them, without a deep stack."""
        self.plain.site.begin = self.answer
        self.client.send(b"".join(map(get, range(2000))))
        self.assertEqual(self.client.producerState, "paused")
        self.assertEqual(self.numbers(), list(range(REQUESTS_PER_TURN)))
        self.plain.clock.pump([0] * (2000 // REQUESTS_PER_TURN))
        self.assertEqual(self.numbers(), list(range(REQUESTS_PER_TURN, 2000)))
        self.assertEqual(self.client.producerState, "producing")

    def test_what_is_read_between_two_turns(self) -> None:
        """TLS delivers what it has decrypted although it is paused: that does not overtake."""
        self.plain.site.begin = self.answer
        self.client.send(b"".join(map(get, range(50))) + get(50)[:5])
        self.client.send(get(50)[5:] + b"".join(map(get, range(51, 60))))
        self.plain.clock.pump([0] * 3)
        self.assertEqual(self.numbers(), list(range(60)))

    def test_gone_between_two_turns(self) -> None:
        """Nothing more begins, and no timer stays."""
        self.plain.site.begin = self.answer
        self.client.send(b"".join(map(get, range(100))))
        self.client.leave()
        self.assertEqual(self.plain.clock.getDelayedCalls(), [])

    def test_one_turn(self) -> None:
        """A client that stalls and reads between two turns has no second one coming."""
        self.plain.site.begin = self.answer
        self.client.send(b"".join(map(get, range(3 * REQUESTS_PER_TURN))))
        self.client.fill()
        self.client.drain()
        self.assertEqual(len(self.plain.clock.getDelayedCalls()), 2)
        self.plain.clock.pump([0] * 3)
        self.assertEqual(self.numbers(), list(range(3 * REQUESTS_PER_TURN)))
        self.assertEqual(len(self.plain.clock.getDelayedCalls()), 1)

    def test_a_hundred(self) -> None:
        """Slow and fast ones, in any pieces: each answer in its place."""
        for seed in range(10):
            random = Random(seed)
            self.setUp()
            slow = {number for number in range(100) if random.random() < 0.5}
            self.plain.site.begin = (
                lambda request, slow=slow: (  # type: ignore[misc]
                    self.requests.append(request)
                    if int(request.asked_path[1:]) in slow
                    else self.answer(request)
                )
            )
            data = b"".join(map(get, range(100)))
            while data or self.requests:
                if data and random.random() < 0.7:
                    size = random.choice([1, 10, 100, 1000])
                    self.client.send(data[:size])
                    data = data[size:]
                elif self.requests:
                    self.assertEqual(len(self.requests), 1)
                    self.answer(self.requests.pop())
            self.assertEqual(self.numbers(), list(range(100)))

    def test_behind_a_stream(self) -> None:
        """What came before it began waits for its end."""
        stream = self.ask(get(0) + get(1))
        stream.begin(200, [], None)
        stream.write(b"0")
        self.assertEqual(len(self.requests), 1)
        stream.finish()
        self.answer(self.requests[1])
        self.assertEqual(self.numbers(), [0, 1])

    def test_in_a_stream(self) -> None:
        """What comes while it runs is a reset, and nothing of it is ever read."""
        stream = self.ask(get(0))
        stream.begin(200, [], None)
        stream.write(b"0")
        self.client.send(b"\r")
        self.assertTrue(self.client.reset)
        self.client.send(get(1))
        stream.finish()
        self.client.send(get(1))
        self.assertEqual(len(self.requests), 1)

    def test_after_a_stream(self) -> None:
        """The connection is as good as new."""
        stream = self.ask(get(0))
        stream.begin(200, [], None)
        stream.write(b"0")
        stream.finish()
        self.answer(self.ask(get(1)))
        self.assertEqual((self.numbers(), self.client.reset), ([0, 1], False))

    def test_reading_ahead_of_a_client_that_does_not_read(self) -> None:
        """No request begins while the answers before it lie unread: they would pile up here."""
        reader = self.slow_reader()
        self.plain.site.begin = lambda request: reply(request, b"x" * 10_000)
        segment = b"".join(map(get, range(100)))
        reader.send(segment)
        unread = reader.unread
        self.assertLess(unread, 80_000)
        self.assertEqual(reader.producerState, "paused")
        for _ in range(3):
            reader.send(segment)
        self.assertEqual((reader.unread, reader.reset), (unread, False))
        while reader.unread:
            reader.reads(reader.unread)
        self.assertEqual(len(reader.value().split(b"HTTP/1.1 200 OK")), 401)
        self.assertEqual(reader.producerState, "producing")

    def test_a_stalled_stream_and_the_request_behind_it(self) -> None:
        """It waits for the client to read the stream."""
        reader = self.slow_reader()
        stream = self.ask(get(0) + get(1))
        stream.begin(200, [], None)
        stream.write(b"x" * 100_000)
        stream.finish()
        self.assertEqual(len(self.requests), 1)
        self.assertEqual(self.plain.site.channels[0].held_bytes, len(get(1)))
        reader.reads(99_000)
        self.assertEqual(len(self.requests), 1)
        reader.reads(10_000)
        self.assertEqual(self.plain.site.channels[0].held_bytes, 0)
        self.answer(self.requests[1])


class PersistenceTests(PlainTestCase):
    def connection(self, data: bytes) -> tuple[str | None, bool]:
        """What a whole answer says of the connection, and whether it ends it."""
        self.setUp()
        reply(self.ask(data))
        answer = self.client.answer()
        self.assertEqual(answer.body, b"ok")
        self.assertEqual(self.client.half_closed, False)
        said = answer.headers.get("connection"), self.client.disconnecting
        self.client.settle()
        return said

    def test_whole_answers(self) -> None:
        """Only the one side that leaves it open keeps it open (9.3)."""
        for fields, version, expected in (
            ((), b"1.1", (None, False)),
            ((b"Connection: close",), b"1.1", ("close", True)),
            ((b"Connection: te, Close",), b"1.1", ("close", True)),
            ((), b"1.0", ("close", True)),
            ((b"Connection: keep-alive",), b"1.0", ("keep-alive", False)),
            ((b"Connection: keep-alive, close",), b"1.0", ("close", True)),
        ):
            with self.subTest(fields=fields, version=version):
                self.assertEqual(self.connection(get(0, *fields, version=version)), expected)

    def test_what_follows_a_close(self) -> None:
        """It is dropped, and the answer not overtaken by a reset."""
        reply(self.ask(get(0, b"Connection: close") + get(1)))
        self.assertEqual((self.client.half_closed, self.client.disconnecting), (True, False))
        self.client.send(get(2))
        self.assertEqual(len(self.requests), 1)

    def test_empty_lines_behind_a_close(self) -> None:
        """They are nothing that could cause a reset, so there is nothing to drain."""
        reply(self.ask(get(0, b"Connection: close") + b"\r\n\r\n"))
        self.assertEqual((self.client.half_closed, self.client.disconnecting), (False, True))

    def test_streams(self) -> None:
        """Chunked in HTTP/1.1; in HTTP/1.0 the connection is the end, whatever was wished."""
        for fields, version, chunked, said in (
            ((), b"1.1", "chunked", None),
            ((b"Connection: close",), b"1.1", "chunked", "close"),
            ((), b"1.0", None, "close"),
            ((b"Connection: keep-alive",), b"1.0", None, "close"),
        ):
            with self.subTest(fields=fields, version=version):
                self.setUp()
                request = self.ask(get(0, *fields, version=version))
                request.begin(200, [], None)
                request.write(b"")
                request.write(b"ab")
                request.write(b"c")
                request.finish()
                self.assertEqual(self.client.disconnecting, said == "close")
                answer = self.client.answer()
                self.assertEqual((answer.body, answer.whole), (b"abc", True))
                self.assertEqual(answer.headers.get("transfer-encoding"), chunked)
                self.assertEqual(answer.headers.get("connection"), said)
                self.assertEqual("content-length" in answer.headers, False)
                self.assertEqual(self.client.value(), b"")

    def test_head(self) -> None:
        """The same fields, and no body, also behind a stream; the next request is served."""
        for size in (2, None):
            with self.subTest(size=size):
                self.setUp()
                request = self.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
                request.begin(200, [], size)
                request.write(b"ok")
                request.finish()
                answer = self.client.answer(head=True)
                framed = "content-length" if size else "transfer-encoding"
                self.assertEqual(answer.headers[framed], "2" if size else "chunked")
                self.assertEqual(self.client.value(), b"")
                reply(self.ask(get(1)))
                self.assertEqual(self.client.answer().body, b"ok")

    def test_a_site_that_closes(self) -> None:
        """It says so in its last answers."""
        request = self.ask(get())
        self.plain.site.closing = True
        reply(request)
        self.assertEqual(self.client.answer().headers["connection"], "close")
        self.assertTrue(self.client.disconnecting)

    def test_the_date(self) -> None:
        """Each answer has one, of the wall clock."""
        reply(self.ask(get()))
        self.assertEqual(self.client.answer().headers["date"], "Tue, 14 Nov 2023 22:13:20 GMT")


class TlsConnection(MemoryConnection):
    """One that says that it is encrypted."""

    def __init__(self, site: GatewaySite) -> None:
        directlyProvides(self, ISSLTransport)
        super().__init__(site)


class EndTests(PlainTestCase):
    def test_nothing_after_the_end(self) -> None:
        """An answer that is over says no more, whatever it is told."""
        request = self.ask(get())
        reply(request)
        written = self.client.value()
        request.write(b"more")
        request.finish()
        request.break_off()
        request.abort()
        self.assertEqual((self.client.value(), self.client.reset), (written, False))
        self.assertFalse(self.client.disconnecting)

    def test_nothing_after_the_client(self) -> None:
        """Nor one whose client has gone in the middle of it."""
        request = self.ask(get())
        request.begin(200, [], None)
        request.write(b"some")
        written = self.client.value()
        self.client.leave()
        request.write(b"more")
        request.finish()
        self.assertEqual(self.client.value(), written)

    def test_a_fault_without_an_answer(self) -> None:
        """What has no head cannot be written: nothing true can be said, so it is a reset."""
        request = self.ask(get())
        request.write(b"<html>")
        self.assertEqual((self.client.value(), self.client.reset), (b"", True))

    def test_nothing_after_a_reset(self) -> None:
        """A connection that we have reset neither reads nor writes a next request."""
        request = self.ask(get(0) + get(1))
        request.abort()
        self.client.send(get(2))
        reply(request)
        self.client.send(get(3))
        self.assertEqual(len(self.requests), 1)
        self.client.settle()
        self.assertEqual(self.plain.site.channels, [])

    def test_an_answer_that_ends_in_its_middle(self) -> None:
        """What arrives behind a broken answer is dropped."""
        request = self.ask(get())
        request.begin(200, [], None)
        request.write(b"some")
        request.break_off()
        self.assertTrue(self.client.disconnecting)
        self.client.send(get(1))
        self.assertEqual((len(self.requests), self.client.reset), (1, False))
        self.assertFalse(self.client.answer().whole)

    def test_a_client_that_goes_on_and_on(self) -> None:
        """Behind a refusal so much is dropped, and no more."""
        self.client.send(b"nonsense\r\n\r\n")
        piece = b"x" * (1 << 20)
        for _ in range(DRAIN_BYTES // len(piece)):
            self.client.send(piece)
        self.assertFalse(self.client.reset)
        self.client.send(b"x")
        self.assertTrue(self.client.reset)

    def test_a_client_that_goes_behind_a_refusal(self) -> None:
        """It has read the answer, and nothing is left."""
        self.client.send(b"nonsense\r\n\r\n")
        self.client.leave()
        self.assertFalse(self.client.reset)

    def test_a_drain_while_the_site_closes(self) -> None:
        """The refusal can still be read: its connection is not idle."""
        self.client.send(b"nonsense\r\n\r\n")
        closing = Deferred.fromCoroutine(self.plain.site.close())
        self.plain.clock.advance(1)
        self.assertEqual((self.client.disconnecting, self.client.reset), (False, False))
        self.client.leave()
        self.plain.clock.advance(1)
        self.successResultOf(closing)

    def test_tls_has_no_half_to_close(self) -> None:
        """There what arrives is dropped for a while, and then it is a reset."""
        self.client.leave()
        client = self.client = TlsConnection(self.plain.site)
        client.send(b"nonsense\r\n\r\n")
        self.assertEqual((client.half_closed, client.disconnecting), (False, False))
        self.assertTrue(client.protocol.isSecure())  # type: ignore[attr-defined]
        self.plain.clock.pump([TICK_S] * 10)
        self.assertTrue(client.reset)


class RefusalTests(SynchronousTestCase):
    def test_the_dialect_of_a_bad_head(self) -> None:
        """That of its path, in whatever pieces it came."""
        for data in (
            b"GET /v1/models HTTP/1.1\r\n\r\n",
            b"\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n",
            b"GET /v1/models HTTP/2.0\r\n",
            b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r X",
        ):
            for cut in range(len(data)):
                client = House().connect()
                client.send(data[:cut])
                client.send(data[cut:])
                answer = client.answer()
                with self.subTest(data=data, cut=cut, body=answer.body):
                    self.assertIn("type", answer.json()["error"])
                    self.assertEqual(answer.headers["connection"], "close")

    def test_the_dialect_of_messages(self) -> None:
        """It is the third, for what is badly framed and for a path that is not served."""
        for data, status in (
            (b"POST /v1/messages HTTP/1.1\r\nHost : x\r\n\r\n", 400),
            (b"POST /v1/messages/none HTTP/1.1\r\nHost: x\r\nX-Api-Key: x\r\n\r\n", 401),
        ):
            client = House().connect()
            client.send(data)
            answer = client.answer()
            body = answer.json()
            with self.subTest(data=data, body=body):
                self.assertEqual((answer.status, body["type"]), (status, "error"))
                self.assertEqual(body["request_id"], answer.headers["x-request-id"])

    def test_it_is_recorded(self) -> None:
        """Once, without a path, and without what was sent."""
        house = House()
        client = house.connect()
        client.send(b"GET /secret HTTP/1.1\r\nHost : canary\r\n\r\n")
        self.assertEqual(house.sink.outcomes, ["refused:invalid_request/framing"])
        self.assertNotIn("secret", str(house.sink.events))
        self.assertNotIn("canary", str(house.sink.events))

    def test_a_client_without_an_address(self) -> None:
        """A local socket is served like any other."""
        house = House()
        client = MemoryConnection(house.site, peer=UNIXAddress("/run/x"))
        self.assertEqual(client.request("GET", "/api/tags", x_api_key=KEY).answer().status, 200)


class StreamTests(SurfaceTestCase):
    def test_bytes_in_a_stream(self) -> None:
        """The host is let go of, and the record says that the client left."""
        client = self.house.ask("POST", "/api/chat", CHAT)
        self.upstream.streams[0].send(chat_frame("Hello"))
        client.send(b"\r\n")
        self.assertTrue(client.reset)
        client.settle()
        self.assertTrue(self.upstream.streams[0].stopped)
        self.assertEqual(self.house.sink.outcomes, ["client_abort"])
        self.assertEqual(self.house.clock.getDelayedCalls(), [])
