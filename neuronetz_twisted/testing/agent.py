"""An agent that asks no host: the test answers, with responses whose bodies it sends itself."""

from collections.abc import Iterable
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

MODEL_HOST = IPv4Address("TCP", "127.0.0.1", 11434)


@implementer(IPushProducer, ITransport)
@define
class BodyTransport:
    """What a body has of its connection: as long as the body lasts, `abort` reaches that.

    `aborted` notes the wish to close, `drained` the wish to hear no more; the test says when that
    has happened.
    """

    paused: bool = False
    aborted: bool = False
    drained: bool = False
    over: bool = False

    def abortConnection(self) -> None:
        """Note it, unless there is no connection any more."""
        self.aborted = self.aborted or not self.over

    def drain(self) -> None:
        """Note it, unless there is no connection any more."""
        self.drained = self.drained or not self.over

    def pauseProducing(self) -> None:
        """Note that nothing more is read."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Note that reading goes on."""
        self.paused = False

    def stopProducing(self) -> None:
        """Close at once as well."""
        self.abortConnection()

    def loseConnection(self) -> None:
        """Close at once as well: a friendly close waits, under TLS, for a host that is frozen."""
        self.abortConnection()

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
        self.transport.over = True
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

    A cancelled request fails with `CancelledError`, as with our own agent. Unless it `sends`, no
    request goes out: it is in line.
    """

    asked: list[Asked] = field(factory=list)
    sends: bool = True

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Keep one request."""
        body = _Collected()
        if bodyProducer is not None and self.sends:
            bodyProducer.startProducing(body)
        asked = Asked(method, uri, headers or Headers(), body.data, Deferred(self._note_cancel))
        self.asked.append(asked)
        return asked.answer

    def _note_cancel(self, answer: Deferred[IResponse]) -> None:
        for asked in self.asked:
            if asked.answer is answer:
                asked.cancelled = True


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
