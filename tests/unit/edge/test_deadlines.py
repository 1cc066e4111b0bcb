"""How long a client may take, on a clock: its head, its body, its reading, and its silence."""

from math import ceil

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.connections import TICK_S
from neuronetz_twisted.edge.deadlines import (
    BODY_GRACE_S,
    BODY_S,
    CUT_1_0_S,
    CUT_S,
    DRAIN_S,
    HEAD_S,
    KEEP_ALIVE_S,
    STALL_S,
)
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.errors import RequestTimeout
from neuronetz_twisted.testing.http import Answer, MemoryConnection
from tests.unit.edge.house import KEY
from tests.unit.edge.plain import PlainSite, SlowReader, reply
from tests.unit.edge.surface import SurfaceTestCase

STEP_S = 0.4
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ENDLESS = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1000
POST = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\n" % KEY.encode()


class DeadlineTestCase(SurfaceTestCase):
    def setUp(self) -> None:
        """A gateway and one client."""
        super().setUp()
        self.clock = self.house.clock
        self.client: MemoryConnection = self.house.connect()

    def tearDown(self) -> None:
        """When the client has gone, no timer is left."""
        self.client.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        super().tearDown()

    def closed(self) -> bool:
        """Whether our side has begun to end the connection."""
        client = self.client
        return client.disconnecting or client.half_closed or client.reset

    def waits(self, seconds: float) -> None:
        """Let time pass in which nothing comes; the connection stays."""
        self.clock.pump([TICK_S] * int((seconds - TICK_S) / TICK_S))
        self.assertFalse(self.closed())

    def closed_after(self, seconds: float) -> None:
        """Let time pass; the connection ends then, and not before."""
        self.waits(seconds)
        self.clock.pump([TICK_S] * 3)
        self.assertTrue(self.closed())

    def dribble(self, data: bytes, step_s: float = STEP_S) -> float:
        """Send a byte at a time until the connection ends; how long that took."""
        began = self.clock.seconds()
        for at in range(len(data)):
            if self.closed():
                return self.clock.seconds() - began
            self.client.send(data[at : at + 1])
            self.clock.pump([step_s / 4] * 4)
        raise AssertionError("it never ended")

    def about(self, seconds: float, expected: float, step_s: float = STEP_S) -> None:
        """Within a tick and the step of the sender."""
        self.assertGreaterEqual(seconds, expected - step_s)
        self.assertLessEqual(seconds, expected + TICK_S + step_s)

    def timed_out(self) -> Answer:
        """A 408 that can be read, and then the end."""
        answer = self.client.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (408, "close"))
        self.assertEqual((self.client.half_closed, self.client.reset), (True, False))
        self.clock.pump([TICK_S] * ceil(DRAIN_S / TICK_S + 1))
        self.assertTrue(self.client.reset)
        return answer


class HeadTests(DeadlineTestCase):
    def test_a_byte_now_and_then(self) -> None:
        """Ten seconds for all of it, whatever comes meanwhile; the answer is that of its path."""
        self.assertEqual(HEAD_S, 10.0)
        self.about(self.dribble(ENDLESS), HEAD_S)
        self.assertEqual(self.timed_out().json()["error"]["code"], "request_timeout")
        self.assertEqual(self.house.sink.outcomes, ["refused:request_timeout"])

    def test_in_time(self) -> None:
        """A slow head that is whole in time is served."""
        for at in range(len(HEALTH)):
            self.clock.pump([TICK_S / 2])
            self.client.send(HEALTH[at : at + 1])
        self.assertEqual(self.client.answer().status, 200)

    def test_silence(self) -> None:
        """Who says nothing is told nothing."""
        self.closed_after(HEAD_S)
        self.assertEqual((self.client.value(), self.client.disconnecting), (b"", True))
        self.assertEqual(self.house.sink.outcomes, [])

    def test_from_the_connection(self) -> None:
        """A first byte that comes late does not help."""
        self.waits(9)
        self.about(self.dribble(ENDLESS), 1)
        self.timed_out()

    def test_empty_lines(self) -> None:
        """They are nothing, so they extend nothing and are told nothing."""
        self.about(self.dribble(b"\r\n" * 1000), HEAD_S)
        self.assertEqual((self.client.value(), self.client.disconnecting), (b"", True))

    def test_a_half_empty_line(self) -> None:
        """Nor is half of one a request that has begun."""
        self.client.send(b"\r")
        self.closed_after(HEAD_S)
        self.assertEqual(self.client.value(), b"")

    def test_empty_lines_and_then_a_head(self) -> None:
        """The clock runs from the connection all the same."""
        self.client.send(b"\r\n\r\n")
        self.waits(5)
        self.client.send(b"\r\n\r\nGET /v1/models")
        self.about(self.dribble(b"a" * 100), 5)
        self.timed_out()


class SecondHeadTests(DeadlineTestCase):
    def setUp(self) -> None:
        """A client that was served once."""
        super().setUp()
        self.client.send(HEALTH)
        self.assertEqual(self.client.answer().status, 200)

    def test_from_its_first_byte(self) -> None:
        """However long the connection was idle before."""
        for idle_s in (1, 30, KEEP_ALIVE_S - 1):
            with self.subTest(idle_s=idle_s):
                self.setUp()
                self.waits(idle_s)
                self.about(self.dribble(ENDLESS), HEAD_S)
                self.timed_out()

    def test_idle(self) -> None:
        """A connection that is not used ends without a word."""
        self.assertEqual(KEEP_ALIVE_S, 75.0)
        self.closed_after(KEEP_ALIVE_S)
        self.assertEqual((self.client.value(), self.client.disconnecting), (b"", True))

    def test_idle_from_the_last_answer(self) -> None:
        """Each request begins it anew."""
        for _ in range(3):
            self.waits(KEEP_ALIVE_S - 1)
            self.client.send(HEALTH)
            self.assertEqual(self.client.answer().status, 200)
        self.closed_after(KEEP_ALIVE_S)

    def test_empty_lines_extend_nothing(self) -> None:
        """In pieces or whole: the connection is as idle as before."""
        self.about(self.dribble(b"\r\n" * 1000), KEEP_ALIVE_S)
        self.assertEqual((self.client.value(), self.client.disconnecting), (b"", True))

    def test_a_head_behind_another(self) -> None:
        """What came with the request before has begun."""
        self.client.send(HEALTH + b"GET ")
        self.assertEqual(self.client.answer().status, 200)
        self.about(self.dribble(b"/" * 100), HEAD_S)
        self.timed_out()

    def test_no_deadline_while_it_is_answered(self) -> None:
        """Nobody counts against the client what takes us long."""
        self.house.keys.gate.held = True
        self.client.send(POST.replace(b"POST /api/chat", b"GET /api/tags") + b"\r\n")
        self.waits(1000)
        self.house.keys.gate.release_all()
        self.assertEqual(self.client.answer().status, 200)
        self.closed_after(KEEP_ALIVE_S)


class BodyTests(DeadlineTestCase):
    def test_a_byte_now_and_then(self) -> None:
        """It is far too slow: 408 a little after the grace."""
        self.client.send(POST + b"Content-Length: 150\r\n\r\n")
        self.about(self.dribble(b" " * 150), BODY_GRACE_S)
        self.assertEqual(self.timed_out().json()["code"], "request_timeout")
        self.assertEqual(self.house.sink.outcomes, ["refused:request_timeout"])

    def test_chunks(self) -> None:
        """What frames the content does not count as content."""
        self.client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        extended = b"1;" + b"x" * 250 + b"\r\nx\r\n"
        began = self.clock.seconds()
        while not self.closed():
            self.client.send(extended)
            self.clock.pump([TICK_S] * 2)
        self.about(self.clock.seconds() - began, BODY_GRACE_S)
        self.timed_out()

    def test_a_body_in_pieces_leaves_no_deadline(self) -> None:
        """What ends in the last piece is served, and the connection is as idle as any."""
        self.client.send(POST + b"Content-Length: 2\r\n\r\n[")
        self.clock.advance(BODY_GRACE_S - 1)
        self.client.send(b"]")
        self.assertEqual(self.client.answer().status, 400)
        self.closed_after(KEEP_ALIVE_S)

    def test_a_body_that_fails_in_a_piece(self) -> None:
        """The drain behind its answer ends."""
        self.client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        self.client.send(b"zz\r\n")
        self.assertEqual(self.client.answer().status, 400)
        self.assertTrue(self.client.half_closed)
        self.clock.pump([TICK_S] * ceil(DRAIN_S / TICK_S + 1))
        self.assertTrue(self.client.reset)

    def test_a_head_behind_a_body_in_pieces(self) -> None:
        """Its deadline is its own."""
        self.client.send(POST + b"Content-Length: 2\r\n\r\n[")
        self.client.send(b"]GET /v1/")
        self.assertEqual(self.client.answer().status, 400)
        self.about(self.dribble(b"a" * 100), HEAD_S)
        self.timed_out()

    def test_not_while_nobody_waits_for_it(self) -> None:
        """The time in which we find out who asks is ours."""
        self.house.keys.gate.held = True
        self.client.send(POST + b"Content-Length: 150\r\n\r\n")
        self.waits(100)
        self.client.send(b" ")
        self.waits(100)
        self.house.keys.gate.release_all()
        self.about(self.dribble(b" " * 149), BODY_GRACE_S)
        self.timed_out()

    def test_a_request_that_takes_long_behind_its_body(self) -> None:
        """The body's deadline ends with it."""
        self.house.limiter.gate.held = True
        body = b'{"model":"llama3","messages":[{"role":"user","content":"Hi"}]}'
        self.client.send(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        self.client.send(body)
        self.waits(100)
        self.client.send(b"\r\n")
        self.waits(100)
        self.house.limiter.gate.release_all()


class PlainDeadlineTestCase(DeadlineTestCase):
    def setUp(self) -> None:
        """A site whose application is this test."""
        super().setUp()
        self.client.leave()
        self.plain = PlainSite()
        self.clock = self.plain.clock
        self.client = self.reader = SlowReader(self.plain.site)

    def ask(self, data: bytes = HEALTH) -> GatewayRequest:
        """Send a request."""
        self.client.send(data)
        return self.plain.requests[-1]


class LongBodyTests(PlainDeadlineTestCase):
    def upload(self, size: int, per_step: int, step_s: float) -> tuple[float, str]:
        """Send a body at a pace; how long it took, and how it ended."""
        request = self.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        ends: list[str] = []
        running = self.plain.body(request)
        running.addCallbacks(
            lambda body: ends.append(f"{len(body)} bytes"),
            lambda failure: ends.append(failure.type.__name__),
        )
        began = self.clock.seconds()
        while not ends:
            self.clock.pump([step_s / 4] * 4)
            if not ends:
                self.client.send(b"x" * min(per_step, size))
                size -= per_step
        return self.clock.seconds() - began, ends[0]

    def test_slow_and_steady(self) -> None:
        """A kilobyte a second may take almost half a minute."""
        seconds, end = self.upload(28_000, 500, 0.5)
        self.assertEqual(end, "28000 bytes")
        self.about(seconds, 28.0)

    def test_too_slow(self) -> None:
        """Half of the least rate doubles the grace, and that is all."""
        seconds, end = self.upload(28_000, 128, 0.5)
        self.assertEqual(end, "RequestTimeout")
        self.about(seconds, 2 * BODY_GRACE_S, 0.5)

    def test_too_large_for_its_pace(self) -> None:
        """Half a minute is the end of it, at whatever rate."""
        seconds, end = self.upload(1 << 20, 5_000, 0.5)
        self.assertEqual((end, BODY_S), ("RequestTimeout", 30.0))
        self.about(seconds, BODY_S)


class StallTests(PlainDeadlineTestCase):
    def test_reads_nothing(self) -> None:
        """Whoever takes nothing of a whole answer for two minutes is reset."""
        self.assertEqual(STALL_S, 120.0)
        reply(self.ask(), b"x" * 200_000)
        self.closed_after(STALL_S)
        self.assertTrue(self.client.reset)

    def test_reads_a_little(self) -> None:
        """Whoever takes something now and then is left alone, and the connection then lives on."""
        reply(self.ask(), b"x" * 200_000)
        for _ in range(10):
            self.waits(100)
            self.reader.reads(1000)
        self.reader.reads(200_000)
        self.closed_after(KEEP_ALIVE_S)
        self.assertFalse(self.client.reset)

    def test_reads_a_little_and_then_nothing(self) -> None:
        """Two minutes from where that was noticed."""
        reply(self.ask(), b"x" * 200_000)
        self.waits(100)
        self.reader.reads(1000)
        self.waits(STALL_S)
        self.waits(STALL_S - 100)
        self.clock.pump([TICK_S] * 10)
        self.assertTrue(self.client.reset)

    def test_before_a_close(self) -> None:
        """The same for an answer behind which the connection closes."""
        reply(self.ask(HEALTH[:-2] + b"Connection: close\r\n\r\n"), b"x" * 200_000)
        self.assertTrue(self.client.disconnecting)
        for _ in range(5):
            self.clock.pump([TICK_S] * int(100 / TICK_S))
            self.assertFalse(self.client.reset)
            self.reader.reads(1000)
        self.clock.pump([TICK_S] * int(2 * STALL_S / TICK_S + 2))
        self.assertTrue(self.client.reset)

    def test_sends_instead_of_reading(self) -> None:
        """What it sends does not make it a reader."""
        reply(self.ask(), b"x" * 200_000)
        for _ in range(11):
            self.clock.pump([TICK_S] * int(10 / TICK_S))
            self.client.send(HEALTH)
        self.assertFalse(self.closed())
        self.clock.pump([TICK_S] * int(11 / TICK_S))
        self.assertTrue(self.client.reset)
        self.assertEqual(len(self.plain.requests), 1)

    def test_a_stream_without_a_producer(self) -> None:
        """One that nobody paces is watched here, whatever the client sends meanwhile."""
        request = self.ask(HEALTH + b"GET")
        request.begin(200, [], None)
        request.write(b"x" * 200_000)
        self.closed_after(STALL_S)
        self.assertTrue(self.client.reset)

    def test_a_body_that_a_slow_reader_owes(self) -> None:
        """Whether it reads or not, its body has its own deadline."""
        for reads in (0, 1000, 300_000):
            with self.subTest(reads=reads):
                self.setUp()
                request = self.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
                body = self.plain.body(request)
                request.begin(200, [], None)
                request.write(b"x" * 200_000)
                self.reader.reads(reads)
                self.clock.pump([TICK_S] * int((BODY_GRACE_S - TICK_S) / TICK_S))
                self.assertNoResult(body)
                self.clock.pump([TICK_S] * 3)
                self.failureResultOf(body, RequestTimeout)

    def test_reads_before_its_answer_is_whole(self) -> None:
        """A client that has caught up has no deadline while it is answered."""
        request = self.ask()
        request.begin(200, [], None)
        request.write(b"x" * 200_000)
        self.waits(60)
        self.reader.reads(300_000)
        self.waits(1000)
        request.finish()
        self.closed_after(KEEP_ALIVE_S)


class WayOutTests(PlainDeadlineTestCase):
    def test_a_broken_answer(self) -> None:
        """Five seconds for its last frame; in HTTP/1.0, where a close is an end, half a second."""
        for version, seconds in ((b"1.1", CUT_S), (b"1.0", CUT_1_0_S)):
            with self.subTest(version=version):
                self.setUp()
                request = self.ask(HEALTH.replace(b"1.1", version))
                request.begin(200, [], None)
                request.write(b"x")
                request.break_off()
                self.assertEqual(self.client.disconnecting, version == b"1.1")
                self.clock.pump([TICK_S] * int(seconds / TICK_S - 1))
                self.assertFalse(self.client.reset)
                self.clock.pump([TICK_S] * 3)
                self.assertTrue(self.client.reset)
                self.client.settle()
                self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((CUT_S, CUT_1_0_S), (5.0, 0.5))

    def test_a_broken_answer_to_one_who_reads_slowly(self) -> None:
        """Reading a little extends nothing there."""
        request = self.ask()
        request.begin(200, [], None)
        request.write(b"x" * 200_000)
        request.break_off()
        for _ in range(int(CUT_S / TICK_S + 2)):
            self.reader.reads(100)
            self.clock.advance(TICK_S)
        self.assertTrue(self.client.reset)

    def test_a_drain(self) -> None:
        """Two seconds, whatever comes meanwhile."""
        self.assertEqual(DRAIN_S, 2.0)
        self.client.send(b"nonsense\r\n\r\n")
        self.reader.reads(1000)
        self.clock.advance(TICK_S)
        self.assertTrue(self.client.half_closed)
        for _ in range(int(DRAIN_S / TICK_S - 1)):
            self.client.send(b"x" * 1000)
            self.clock.advance(TICK_S)
        self.assertFalse(self.client.reset)
        self.clock.pump([TICK_S] * 3)
        self.assertTrue(self.client.reset)

    def close_with_more_behind(self) -> None:
        """A whole answer, and a request behind the one that ends the connection."""
        reply(self.ask(HEALTH[:-2] + b"Connection: close\r\n\r\n" + HEALTH), b"x" * 200_000)
        self.assertEqual((self.client.half_closed, self.client.disconnecting), (True, False))

    def test_a_drain_behind_an_answer_that_is_read_slowly(self) -> None:
        """Its time begins when the answer is flushed, however long that takes."""
        self.close_with_more_behind()
        for _ in range(10):
            self.clock.pump([TICK_S] * int(100 / TICK_S))
            self.assertFalse(self.client.reset)
            self.reader.reads(1000)
        self.reader.reads(200_000)
        self.clock.pump([TICK_S] * int(DRAIN_S / TICK_S))
        self.assertFalse(self.client.reset)
        self.clock.pump([TICK_S] * 2)
        self.assertTrue(self.client.reset)

    def test_a_drain_flushed_late(self) -> None:
        """In the last moment of a stall: there is still time to drain."""
        self.close_with_more_behind()
        self.clock.pump([TICK_S] * int(STALL_S / TICK_S - 2))
        self.reader.reads(300_000)
        self.clock.pump([TICK_S] * 4)
        self.assertFalse(self.client.reset)

    def test_a_drain_behind_an_answer_that_nobody_reads(self) -> None:
        """As long as any other client may stall."""
        self.close_with_more_behind()
        self.clock.pump([TICK_S] * int(STALL_S / TICK_S - 1))
        self.assertFalse(self.client.reset)
        self.clock.pump([TICK_S] * 2)
        self.assertTrue(self.client.reset)


class ManyTests(SynchronousTestCase):
    def test_nothing_is_left(self) -> None:
        """Clients in every state, and then none: one timer at most, and none at the end."""
        plain = PlainSite()
        starts = (
            b"",
            b"\r\n",
            b"GET /",
            HEALTH,
            HEALTH * 3,
            b"nonsense\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
        )
        clients = [SlowReader(plain.site) for _ in range(4 * len(starts))]
        for number, client in enumerate(clients):
            client.send(starts[number % len(starts)])
        for number, request in enumerate(plain.requests):
            if number % 3 == 0:
                reply(request, b"x" * 100_000)
            elif number % 3 == 1:
                request.break_off()
        self.assertEqual(len(plain.clock.getDelayedCalls()), 1)
        for _ in range(int(400 / TICK_S)):
            plain.clock.advance(TICK_S)
            for client in clients:
                client.settle()
        running = [client for client in clients if client.open]
        self.assertEqual(len(running), len(plain.site.channels))
        self.assertEqual(len(plain.clock.getDelayedCalls()), 1)
        self.assertFalse(any(channel.is_idle for channel in plain.site.channels))
        for client in running:
            client.leave()
        self.assertEqual(plain.clock.getDelayedCalls(), [])
