"""Model hosts that do what a test tells them: as a stream, as an upstream, and as an agent."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.seams import FrameReceiver
from neuronetz_twisted.testing.identity import Gate
from neuronetz_twisted.vocabulary import Ticket

MODEL_HOST = IPv4Address("TCP", "127.0.0.1", 11434)


def chat_frame(content: str) -> bytes:
    """A frame in the middle of a chat, as Ollama writes it."""
    message = {"role": "assistant", "content": content}
    return orjson.dumps({"model": "llama3", "message": message, "done": False})


def chat_final(prompt: int | None = 3, answer: int | None = 2, reason: str = "stop") -> bytes:
    """A chat's final frame; a count of None is left out."""
    counts = {"prompt_eval_count": prompt, "eval_count": answer}
    frame = {
        "model": "llama3",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": reason,
        **{name: count for name, count in counts.items() if count is not None},
    }
    return orjson.dumps(frame)


@define
class ScriptedStream:
    """A `NativeStream`; what is sent while `paused` still arrives, as bytes under way do."""

    backend: str = "default"
    paused: bool = False
    stopped: bool = False
    _receiver: FrameReceiver | None = field(default=None, init=False)
    _held: list[bytes] = field(factory=list, init=False)

    def attach(self, receiver: FrameReceiver) -> None:
        """Deliver what was held."""
        self._receiver = receiver
        if self._held:
            receiver.framesReceived(self._held)

    def pause(self) -> None:
        """Note that the host is held back."""
        self.paused = True

    def resume(self) -> None:
        """Note that it may go on."""
        self.paused = False

    def stop(self) -> None:
        """Note that the connection was closed."""
        self.stopped = True

    def send(self, *lines: bytes) -> None:
        """Let lines arrive in one read, unless the stream was stopped."""
        if self._receiver is None:
            self._held.extend(lines)
        elif not self.stopped:
            self._receiver.framesReceived(lines)

    def end(self, *, clean: bool = True) -> None:
        """Let the body end."""
        if self._receiver is not None and not self.stopped:
            self._receiver.streamEnded(clean=clean)

    def break_line(self) -> None:
        """Let a line grow over the limit: the stream stops itself and says so."""
        self.stopped = True
        if self._receiver is not None:
            self._receiver.streamBroken()


@define
class ScriptedUpstream:
    """An `Upstream` that opens a `ScriptedStream` per call, or fails with `refusal`.

    While its gate is held, a call waits for its first frame until that is released.
    """

    gate: Gate = field(factory=Gate)
    refusal: Refusal | None = None
    frames: Sequence[bytes] = ()
    asked: list[Ticket] = field(factory=list, init=False)
    streams: list[ScriptedStream] = field(factory=list, init=False)

    async def open(self, ticket: Ticket) -> ScriptedStream:
        """Open a stream that has `frames` ready."""
        self.asked.append(ticket)
        stream = await self.gate.answer(self._stream)
        if self.refusal is not None:
            raise self.refusal
        return stream

    def _stream(self) -> ScriptedStream:
        stream = ScriptedStream()
        stream.send(*self.frames)
        self.streams.append(stream)
        return stream


@implementer(IPushProducer, ITransport)
@define
class BodyTransport:
    """The client's side of a connection that brings a body."""

    paused: bool = False
    closing: bool = False

    def pauseProducing(self) -> None:
        """Note that nothing more is read."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Note that reading goes on."""
        self.paused = False

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Note the wish to close; the test says when that has happened."""
        self.closing = True

    def write(self, data: bytes) -> None:
        """Object: who reads a body has nothing to write."""
        raise AssertionError(f"written to a body: {data!r}")

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Object as well."""
        self.write(b"".join(data))

    def getPeer(self) -> IPv4Address:
        """Give the model host's address."""
        return MODEL_HOST

    def getHost(self) -> IPv4Address:
        """Give our own."""
        return MODEL_HOST


@implementer(IResponse)
@define(eq=False)
class ScriptedResponse:
    """A response whose body the test sends. What comes before `deliverBody` is kept."""

    code: int
    headers: Headers
    transport: BodyTransport = field(factory=BodyTransport)
    version: tuple[bytes, int, int] = (b"HTTP", 1, 1)
    phrase: bytes = b"-"
    length: Any = UNKNOWN_LENGTH
    request: Any = None
    previousResponse: Any = None
    _protocol: IProtocol | None = None
    _early: list[bytes] = field(factory=list)
    _end: Failure | None = None

    def deliverBody(self, protocol: IProtocol) -> None:
        """Send the body to `protocol`."""
        self._protocol = protocol
        protocol.makeConnection(self.transport)
        for data in self._early:
            protocol.dataReceived(data)
        if self._end is not None:
            protocol.connectionLost(self._end)

    def setPreviousResponse(self, response: IResponse) -> None:
        """Keep the response that this one follows."""
        self.previousResponse = response

    def send(self, data: bytes) -> None:
        """Let bytes of the body arrive."""
        if self._protocol is None:
            self._early.append(data)
        else:
            self._protocol.dataReceived(data)

    def finish(self) -> None:
        """Let the body end as its framing says."""
        self._over(Failure(ResponseDone()))

    def lose(self) -> None:
        """Let the connection be lost."""
        self._over(Failure(ResponseFailed([Failure(ConnectionLost())])))

    def _over(self, reason: Failure) -> None:
        self._end = reason
        if self._protocol is not None:
            self._protocol.connectionLost(reason)


@define(eq=False)
class Asked:
    """One request that an agent was given, and the means to answer it."""

    method: bytes
    url: bytes
    headers: Headers
    body: bytes
    answer: Deferred[IResponse]
    cancelled: bool = False

    def respond(self, status: int = 200, body: bytes = b"", **headers: str) -> ScriptedResponse:
        """Answer with a head, and with `body` if there is one, whole."""
        fields = Headers()
        for name, value in headers.items():
            fields.setRawHeaders(name.replace("_", "-"), [value])
        response = ScriptedResponse(status, fields)
        if body:
            response.send(body)
            response.finish()
        self.answer.callback(response)
        return response

    def fail(self, error: Exception) -> None:
        """Fail before a head has come."""
        self.answer.errback(error)


@implementer(IAgent)
@define
class ScriptedAgent:
    """An `IAgent` that keeps what it is asked until the test answers.

    A cancelled request fails as Twisted's own does: not with `CancelledError`.
    """

    asked: list[Asked] = field(factory=list)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Keep one request."""
        body = _Collected()
        if bodyProducer is not None:
            bodyProducer.startProducing(body)
        asked = Asked(method, uri, headers or Headers(), body.data, Deferred(self._cancel))
        self.asked.append(asked)
        return asked.answer

    def _cancel(self, answer: Deferred[IResponse]) -> None:
        for asked in self.asked:
            if asked.answer is answer:
                asked.cancelled = True
        answer.errback(ResponseNeverReceived([Failure(CancelledError())]))


@implementer(IConsumer)
@define
class _Collected:
    """Where a request's body goes."""

    data: bytes = b""

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001 - theirs
        """Bodies of ours are written at once."""

    def unregisterProducer(self) -> None:
        """Nothing to let go of."""

    def write(self, data: bytes) -> None:
        """Keep bytes."""
        self.data += data
