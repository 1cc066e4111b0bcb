"""Any bytes, cut anywhere, ended anyhow: nothing raises, nothing hangs, little is held."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.upstream.answer_parser import MAX_HEAD_BYTES, AnswerParser
from tests.unit.upstream.network import CHUNKED, EMPTY, LAST_CHUNK, A, Network, Reader, Wire, read

EXAMPLES = settings(
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LARGEST_READ = 65536

LINES = st.sampled_from(
    (
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 -\r\n",
        b"HTTP/1.1 204 -\r\n",
        b"HTTP/1.1 503 -\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"RTSP/1.0 200 OK\r\n",
    )
)
FIELDS = st.sampled_from(
    (
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"Content-Type: text/plain\r\n",
        b"X: " + b"y" * 5000 + b"\r\n",
        b" folded\r\n",
        b"X: y\r\n" * 60,
    )
)
PIECES = st.sampled_from(
    (
        b"\r\n",
        b"5\r\nhello\r\n",
        b"hello",
        b"1;" + b"x" * 900 + b"\r\n",
        b"ffffffffffffffff\r\n",
        b"T: " + b"z" * 900 + b"\r\n",
        LAST_CHUNK,
        EMPTY,
        CHUNKED,
    )
)
BYTES = st.lists(LINES | FIELDS | PIECES | st.binary(max_size=20), max_size=12).map(b"".join)
WELL_FORMED = st.one_of(
    BYTES,
    st.tuples(LINES, st.lists(FIELDS, max_size=4).map(b"".join), st.just(b"\r\n"), BYTES).map(
        b"".join
    ),
    BYTES.map(CHUNKED.__add__),
)
SLIPS = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=3)


def mutated(data: bytes, slips: list[tuple[int, bytes]]) -> bytes:
    """Write other bytes over those at some places."""
    for at, other in slips:
        data = data[:at] + other + data[at + 1 :]
    return data


ANSWERS = st.builds(mutated, WELL_FORMED, SLIPS)
CUTS = st.lists(st.integers(1, 3000), min_size=1, max_size=8)
STEPS = st.sampled_from(("read", "cancel", "abort", "pause", "resume", "ask", "turn"))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut bytes into reads of sizes that come round again."""
    reads, at, number = [], 0, 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        reads.append(data[at : at + size])
        at, number = at + size, number + 1
    return reads


class Scene:
    """One agent with one place, and everything that was asked of it."""

    def __init__(self) -> None:
        self.network = Network()
        self.agent = self.network.agent(places=1)
        self.answers: list[Any] = []
        self.fired = 0
        self.responses: list[Any] = []
        self.readers: list[Reader] = []
        self.wire: Wire | None = None

    def ask(self) -> None:
        """Send a request, or wait in line with it."""
        answer = self.agent.request(b"GET", A.address_of("/"))
        self.answers.append(answer)
        answer.addCallbacks(self.responses.append, self._failed).addBoth(self._count)
        self.connect()

    def _failed(self, failure: Failure) -> None:
        """Any failure will do."""

    def _count(self, _: None) -> None:
        self.fired += 1

    def connect(self) -> None:
        """Make the connection that is wanted, if one is."""
        if self.network.pending:
            self.wire = self.network.connect()

    def do(self, step: str) -> None:
        """Let the reader do something."""
        if step == "ask":
            self.ask()
        elif step == "cancel":
            self.answers[-1].cancel()
        elif step == "turn":
            self.network.turn()
        elif step == "read" and len(self.readers) < len(self.responses):
            self.readers.append(read(self.responses[len(self.readers)]))
        elif step != "read" and self.readers:
            connection = self.readers[-1].connection
            ways = {
                "abort": connection.abortConnection,
                "pause": connection.pauseProducing,
                "resume": connection.resumeProducing,
            }
            ways[step]()

    def finish(self) -> None:
        """Read what is left to read, and close."""
        for response in self.responses[len(self.readers) :]:
            self.readers.append(read(response))
        closed = self.agent.close()
        self.network.turn()
        if not closed.called:
            raise AssertionError("something is left open")


class FuzzTests(SynchronousTestCase):
    @EXAMPLES
    @given(data=ANSWERS, sizes=CUTS, steps=st.lists(STEPS, max_size=12))
    def test_agent(self, data: bytes, sizes: list[int], steps: list[str]) -> None:
        """Each request is answered or fails, each body ends, once; no timer is left."""
        scene = Scene()
        scene.ask()
        for number, each in enumerate(cut(data, sizes)):
            if number < len(steps):
                scene.do(steps[number])
            if scene.wire is not None and not scene.wire.lost:
                scene.wire.send(each)
            scene.connect()
        scene.finish()
        self.assertEqual(scene.fired, len(scene.answers))
        self.assertEqual(len(scene.readers), len(scene.responses))
        self.assertTrue(all(reader.end is not None for reader in scene.readers))
        self.assertEqual(scene.network.reactor.getDelayedCalls(), [])

    @EXAMPLES
    @given(data=ANSWERS, sizes=CUTS)
    def test_cuts_make_no_difference(self, data: bytes, sizes: list[int]) -> None:
        """The same bytes are the same answer, however they were cut."""
        self.assertEqual(self.parsed([data]), self.parsed(cut(data, sizes)))

    def parsed(self, reads: list[bytes]) -> object:
        """What a parser makes of reads."""
        parser = AnswerParser()
        body = b""
        for each in reads:
            body += parser.feed(each)
            if parser.over:
                break
        head = parser.head
        return (head, body, parser.over, bool(parser.fault))

    @EXAMPLES
    @given(begin=ANSWERS, more=PIECES | LINES | FIELDS | st.binary(min_size=1, max_size=50))
    def test_memory(self, begin: bytes, more: bytes) -> None:
        """Endless bytes end, or are passed on: what brings nothing is bounded."""
        parser = AnswerParser()
        parser.feed(begin)
        idle = 0
        while not parser.over and idle <= 2 * MAX_HEAD_BYTES + LARGEST_READ:
            if parser.feed(more * 100):
                return
            idle += len(more) * 100
        self.assertTrue(parser.over)
