"""A response whose head has come, and its body on the way to whoever reads it."""

from functools import lru_cache
from typing import Any, Protocol, cast

from attrs import define, field
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from neuronetz_twisted.upstream.answer_parser import Head

_FIELDS_KEPT = 16


class Source(Protocol):
    """The connection that a body comes from."""

    def hold(self, *, held: bool) -> None:
        """Read no more for now, or read on."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...

    def drain(self) -> None:
        """Drop what is left of the answer, for a while."""
        ...


@implementer(IPushProducer)
@define(eq=False)
class Body:
    """A response's body: what came before somebody reads it, and the transport of who does.

    Every way to close it is at once: a friendly close waits, under TLS, for the word of a host that
    is held or frozen. When the answer has ended as its framing says, its connection is another's,
    and nothing that is done here reaches it.
    """

    _source: Source | None
    _unread: bytes = b""
    _end: Failure | None = None
    _reader: IProtocol | None = field(default=None, init=False)
    _given: bool = field(default=False, init=False)

    def deliver_to(self, reader: IProtocol) -> None:
        """Give `reader` what has come, and all that follows."""
        if self._given:
            raise RuntimeError("the body is read already")
        self._given = True
        self._reader = reader
        if self._source is not None:
            self._source.hold(held=False)
        # As Twisted's own, it is less than the whole ITransport: nothing is written to a body.
        reader.makeConnection(cast("ITransport", self))
        if self._unread:
            unread, self._unread = self._unread, b""
            reader.dataReceived(unread)
        if self._end is not None:
            self.ended(self._end)

    def received(self, data: bytes) -> None:
        """Pass on what was read of the body, or keep it: one read at most, then it is held."""
        if self._reader is not None:
            self._reader.dataReceived(data)
        else:
            self._unread += data

    def hold_unless_read(self) -> None:
        """Let the host wait where nobody reads yet."""
        if self._reader is None:
            self.pauseProducing()

    def detach(self) -> None:
        """Let go of the connection."""
        self._source = None

    def ended(self, end: Failure) -> None:
        """Say that no more will come, and why."""
        self._source = None
        self._end = end
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.connectionLost(end)

    def pauseProducing(self) -> None:
        """Stop reading from the host."""
        if self._source is not None:
            self._source.hold(held=True)

    def resumeProducing(self) -> None:
        """Read on."""
        if self._source is not None:
            self._source.hold(held=False)

    def abortConnection(self) -> None:
        """Close the connection; its loss is the end of the body."""
        if self._source is not None:
            self._source.abort()

    def drain(self) -> None:
        """Want no more: the connection is kept if the rest comes soon, else closed."""
        if self._source is not None:
            self._source.drain()

    def stopProducing(self) -> None:
        """Close the connection."""
        self.abortConnection()

    def loseConnection(self) -> None:
        """Close the connection."""
        self.abortConnection()


@lru_cache(_FIELDS_KEPT)
def _headers_of(fields: tuple[tuple[bytes, bytes], ...]) -> Headers:
    """Fields to be read and not changed: they are the same in nearly all answers."""
    headers = Headers()
    for name, value in fields:
        headers.addRawHeader(name, value)
    return headers


@implementer(IResponse)
@define(eq=False)
class Response:
    """What a model host answered, as far as it may be seen."""

    _head: Head
    _body: Body
    request: Any = field(default=None, init=False)
    previousResponse: IResponse | None = field(default=None, init=False)

    @property
    def code(self) -> int:
        """The status."""
        return self._head.code

    @property
    def version(self) -> tuple[bytes, int, int]:
        """The protocol, 1.0 or 1.1."""
        return (b"HTTP", 1, int(self._head.version[-1]))

    @property
    def phrase(self) -> bytes:
        """The words for the status, which are never the host's own."""
        return RESPONSES.get(self.code, b"")

    @property
    def headers(self) -> Headers:
        """The fields that may be seen (`answer_parser.PASSED`)."""
        return _headers_of(tuple(self._head.fields))

    @property
    def length(self) -> Any:
        """The body's length in bytes, or `UNKNOWN_LENGTH`."""
        return UNKNOWN_LENGTH if self._head.length is None else self._head.length

    def deliverBody(self, protocol: IProtocol) -> None:
        """Give the body to `protocol`, whose transport can also be aborted."""
        self._body.deliver_to(protocol)

    def setPreviousResponse(self, response: IResponse) -> None:
        """Keep the response that this one follows."""
        self.previousResponse = response
