"""A model host that does anything to an agent's connections, and what must always hold."""

from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionAborted
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IResponse

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.upstream.agent import BytesProducer, OllamaAgent
from neuronetz_twisted.upstream.answer_parser import MAX_HEAD_BYTES
from neuronetz_twisted.upstream.pool import IDLE_S, PoolFull
from tests.unit.upstream.network import CONNECT_S, WAIT_S, A, Network, Reader, Wire
from tests.wire.channel_drive import segments

PLACES = 2
MOST_REQUESTS = 4

ALL_DEADLINES_S = 2 * (IDLE_S + CONNECT_S + WAIT_S)
_WAIT_S = 5.0

FAILURES = (
    CancelledError,
    ConnectError,
    ConnectionAborted,
    PoolFull,
    ResponseNeverReceived,
    UpstreamNonsense,
)
"""What a request may fail with, and nothing else."""

_OK = b"HTTP/1.1 200 OK\r\n"
_LINE = b'{"model":"llama3","message":{"role":"assistant","content":"Hi"},"done":false}\n'
_CHUNK = b"%x\r\n%b\r\n" % (len(_LINE), _LINE)
_LENGTH = b"Content-Length: %d\r\n" % len(_LINE)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_TYPE = b"Content-Type: application/x-ndjson\r\n"

SEEDS = (
    _OK + _LENGTH + b"\r\n" + _LINE,
    _OK + _TYPE + _CHUNKED + b"\r\n" + _CHUNK * 3 + b"0\r\n\r\n",
    _OK + _CHUNKED + b"\r\n" + _CHUNK + b"0;x=y\r\nX-Sum: 1\r\n\r\n",
    _OK + b"Content-Length: 0\r\n\r\n",
    _OK + b"\r\n" + _LINE,
    b"HTTP/1.0 200 OK\r\n\r\n" + _LINE * 2,
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + _LENGTH + b"\r\n" + _LINE,
    _OK + b"Connection: close\r\n" + _LENGTH + b"\r\n" + _LINE,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n" + _LENGTH + b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + _LENGTH + b"\r\n" + _LINE,
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + _OK + _LENGTH + b"\r\n" + _LINE,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\n" + b'Content-Length: 15\r\n\r\n{"error":"no"}\n',
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.9/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    _OK + _LENGTH + _CHUNKED + b"\r\n" + _CHUNK + b"0\r\n\r\n",
    _OK + _LENGTH + _LENGTH + b"\r\n" + _LINE,
    _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNK + b"0\r\n\r\n",
    _OK + b"Content-Encoding: gzip\r\n" + _LENGTH + b"\r\n" + _LINE,
    _OK + b"X-Long: " + b"x" * 9000 + b"\r\n" + _LENGTH + b"\r\n" + _LINE,
    _OK + b"X: 1\r\n" * 120 + _LENGTH + b"\r\n" + _LINE,
    _OK + b"Content-Length: 99999999999999999999\r\n\r\n" + _LINE,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.6\r\n",
)
"""Answers of model hosts and of what only looks like one."""


@define(eq=False)
class Question:
    """One request to the agent, and all that became of it."""

    deferred: Deferred[IResponse] = field(init=False)
    response: IResponse | None = field(default=None, init=False)
    failure: Failure | None = field(default=None, init=False)
    reader: Reader | None = field(default=None, init=False)

    def answered(self, response: IResponse) -> None:
        """Keep a response, which comes once."""
        if self.response is not None or self.failure is not None:
            raise AssertionError("a request ended twice")
        self.response = response

    def failed(self, failure: Failure) -> None:
        """Keep a failure, which comes once."""
        if self.response is not None or self.failure is not None:
            raise AssertionError("a request ended twice")
        self.failure = failure

    def read(self) -> None:
        """Read the body of a response."""
        if self.response is not None and self.reader is None:
            self.reader = Reader()
            self.response.deliverBody(self.reader)


@define
class AgentDrive:
    """An agent on a clock, to be done anything to; `finish` says whether all was well."""

    network: Network = field(factory=Network)
    questions: list[Question] = field(factory=list)
    agent: OllamaAgent = field(init=False)
    _unread: dict[int, bytes] = field(factory=dict, init=False)
    _largest: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Ask for the first time."""
        self.agent = self.network.agent(A, places=PLACES)
        self.ask(Random(0))

    def run(self, seed: int, data: bytes) -> list[Question]:
        """Answer with `data` in segments, with all that `seed` lets happen between them."""
        draw = Random(seed)
        self.connect(draw)
        for segment in segments(draw, data):
            self._largest = max(self._largest, len(segment))
            self.send(draw, segment)
            getattr(self, draw.choice(_EVENTS))(draw)
        return self.finish()

    def nothing(self, draw: Random) -> None:
        """Go on."""

    def ask(self, draw: Random) -> None:
        """Ask once more."""
        if len(self.questions) >= MOST_REQUESTS:
            return
        question = Question()
        self.questions.append(question)
        if draw.random() < 0.5:
            body = BytesProducer(b'{"model":"llama3"}', lambda: None)
            asked = self.agent.request(b"POST", A.address_of("/api/chat"), None, body)
        else:
            asked = self.agent.request(b"GET", A.address_of("/api/tags"))
        question.deferred = asked
        asked.addCallbacks(question.answered, question.failed)

    def connect(self, draw: Random) -> None:
        """Accept a connection."""
        del draw
        if self.network.pending:
            self.network.connect()

    def refuse(self, draw: Random) -> None:
        """Refuse one."""
        del draw
        if self.network.pending:
            self.network.refuse(Refused())

    def send(self, draw: Random, data: bytes) -> None:
        """Let bytes be read from one of the connections, unless it is held."""
        if wire := self._wire(draw):
            wire.send(data)
            self._check_memory(wire)

    def hang_up(self, draw: Random) -> None:
        """Close one."""
        if wire := self._wire(draw):
            wire.hang_up()

    def break_down(self, draw: Random) -> None:
        """Reset one."""
        if wire := self._wire(draw):
            wire.break_down()

    def read(self, draw: Random) -> None:
        """Read a body."""
        draw.choice(self.questions).read()

    def cancel(self, draw: Random) -> None:
        """Give a request up."""
        draw.choice(self.questions).deferred.cancel()

    def pause(self, draw: Random) -> None:
        """Read a body no further for now."""
        self._tell(draw, "pauseProducing")

    def resume(self, draw: Random) -> None:
        """Read on."""
        self._tell(draw, "resumeProducing")

    def stop(self, draw: Random) -> None:
        """Read a body no further."""
        self._tell(draw, "abortConnection")

    def wait(self, draw: Random) -> None:
        """Let time pass."""
        del draw
        self.network.reactor.advance(_WAIT_S)

    def turn(self, draw: Random) -> None:
        """Let the reactor do what is due."""
        del draw
        self.network.turn()

    def finish(self) -> list[Question]:
        """Close the agent; each request and each body must have ended, and nothing be left."""
        closed: list[None] = []
        self.agent.close().addCallback(closed.append)
        for question in self.questions:
            question.read()
        for _ in range(round(ALL_DEADLINES_S / _WAIT_S)):
            self.network.reactor.advance(_WAIT_S)
        if not closed or not all(wire.lost for wire in self.network.wires):
            raise AssertionError("a connection outlives its agent")
        if timers := self.network.reactor.getDelayedCalls():
            raise AssertionError(f"left on the clock: {timers}")
        for question in self.questions:
            _check(question)
        return self.questions

    def _wire(self, draw: Random) -> Wire | None:
        """One that is open, and read from."""
        wires = [
            wire
            for wire in self.network.wires
            if not wire.lost and not wire.disconnected and wire.producerState == "producing"
        ]
        return draw.choice(wires) if wires else None

    def _tell(self, draw: Random, what: str) -> None:
        question = draw.choice(self.questions)
        if question.reader is not None:
            getattr(question.reader.connection, what)()

    def _check_memory(self, wire: Wire) -> None:
        """What a connection keeps is within its limits (SPEC 2, R5)."""
        wrapper: Any = wire.protocol
        connection = wrapper._wrappedProtocol
        if connection._parser._head_bytes > MAX_HEAD_BYTES and not connection._parser.fault:
            raise AssertionError("a head over its limit is read")
        if connection._body is not None and len(connection._body._unread) > self._largest:
            raise AssertionError("more than one read is kept of a body that nobody reads")


def _check(question: Question) -> None:
    """A request has one end, and so has the body of its answer."""
    if (question.response is None) == (question.failure is None):
        raise AssertionError("a request did not end, or ended twice")
    if question.failure is not None and question.failure.check(*FAILURES) is None:
        raise AssertionError(f"a failure that nobody awaits: {question.failure}")
    if question.reader is not None and question.reader.end is None:
        raise AssertionError("a body did not end")


_EVENTS = (
    *("nothing",) * 20,
    *("connect", "read", "ask", "turn") * 4,
    *("pause", "resume") * 2,
    *("refuse", "hang_up", "break_down", "cancel", "stop", "wait"),
)
