"""One connection to a model host, and one request on its way over it.

    idle --ask--> asked --head--> answering --end as framed--> idle, or closed
                    |                 |
                    +--- lost, nonsense, aborted ----> closed

A connection holds one of its pool's places from `ask` until it is idle or closed; it is given back
at one of `_release`, `abort` and `connectionLost`, whichever is first.
"""

from collections.abc import Callable
from typing import Protocol as Typed
from typing import cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse
from zope.interface import implementer

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.transports import IStreamTransport, tune, unsent_bytes, writer_of
from neuronetz_twisted.upstream.answer_parser import AnswerParser
from neuronetz_twisted.upstream.response import Body, Response
from neuronetz_twisted.upstream.targets import Target

RETRY_WITHIN_S = 0.1
"""A used connection that closes this soon had been given up by the host already (SPEC 6)."""

_DONE = Failure(ResponseDone())


@define(eq=False)
class Exchange:
    """One request: its bytes, and the Deferred of its answer.

    `sent` is called each time the request goes out. `stop` ends whatever is under way for it, and
    is set by whoever has it in hand.
    """

    target: Target
    request: bytes = field(repr=False)
    sent: Callable[[], None]
    answer: Deferred[IResponse] = field(init=False)
    stop: Callable[[], object] = field(default=lambda: None, init=False)
    retried: bool = field(default=False, init=False)
    _cancelled: bool = field(default=False, init=False)

    @answer.default
    def _make_answer(self) -> Deferred[IResponse]:
        return Deferred(self._cancel)

    def fail(self, reason: Failure | Exception) -> None:
        """Say that there will be no answer, unless nobody waits for one."""
        if not self._cancelled:
            self.answer.errback(reason)

    def _cancel(self, answer: Deferred[IResponse]) -> None:
        del answer
        self._cancelled = True
        self.stop()


class Keeper(Typed):
    """What a connection tells its pool.

    `heard` is set with each read of an answer, `left_by_host` where the host closes a connection.
    """

    clock: IReactorTime
    heard: bool
    left_by_host: bool

    def made(self, connection: "Connection") -> None:
        """It is connected."""
        ...

    def released(self, connection: "Connection") -> None:
        """It gives its place back, and may be used again."""
        ...

    def left(self) -> None:
        """A connection that closes gives its place back."""
        ...

    def drains(self, connection: "Connection") -> None:
        """It waits for the end of an answer that nobody reads any more."""
        ...

    def closing(self, connection: "Connection") -> None:
        """It may not be used again."""
        ...

    def lost(self, connection: "Connection") -> None:
        """It is closed."""
        ...

    def again(self, exchange: Exchange) -> None:
        """Its place goes on to a new connection, for the same request."""
        ...


@implementer(IHandshakeListener)
class Connection(Protocol):
    """Sends one request after the other, and reads their answers.

    `ready` fires, where TLS comes first, when it has shaken hands with the host that was meant; it
    fails with `ResponseNeverReceived`, and cancelling it closes the connection.
    """

    def __init__(self, target: Target, pool: Keeper) -> None:
        self.idle_since = 0.0
        self.ready: Deferred[Connection] | None = None
        if target.secure:
            self.ready = Deferred(lambda _: self.close())
        self._pool = pool
        self._parser = AnswerParser()
        self._exchange: Exchange | None = None
        self._body: Body | None = None
        self._used = False
        self._answered = False
        self._asked_at = 0.0
        self._closing = False
        self._delivering = False
        self._held = False
        self._paused = False

    def connectionMade(self) -> None:
        """Be ready to be asked."""
        self._transport = cast("IStreamTransport", self.transport)
        tune(self._transport)
        self._write = writer_of(self._transport)
        self._pool.made(self)

    def handshakeCompleted(self) -> None:
        """Be ready under TLS; the host's certificate was judged by then."""
        if self.ready is not None:
            self.ready.callback(self)

    def ask(self, exchange: Exchange) -> None:
        """Send a request, on a place that the pool has given."""
        self._exchange = exchange
        self._answered = False
        self._asked_at = self._pool.clock.seconds()
        self._parser.begin()
        exchange.stop = self.abort
        exchange.sent()
        self._write(exchange.request)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read. Pauses and resumes meanwhile count when all of it was passed on."""
        if self._closing:
            return
        if self._exchange is None:
            # Nobody asked: whatever it is, the next answer would be taken for another one.
            self.abort()
            return
        self._answered = True
        self._pool.heard = True
        self._delivering = True
        try:
            self._take(self._exchange, data)
        finally:
            self._delivering = False
            if self._held is not self._paused:
                self._apply_hold()

    @property
    def expects(self) -> bool:
        """Whether the host owes something: a request is out, and we would read the answer."""
        return self._exchange is not None and not self._held

    def hold(self, *, held: bool) -> None:
        """Read no more for now, or read on."""
        self._held = held
        if not self._delivering:
            self._apply_hold()

    def drain(self) -> None:
        """Drop what is left of the answer; the pool says for how long."""
        self.hold(held=False)
        self._pool.drains(self)

    def abort(self) -> None:
        """Close at once. Who reads a body hears of it when the connection is lost."""
        if self._exchange is not None:
            self._exchange = None
            self._pool.left()
        self.close()

    def close(self) -> None:
        """Close at once, and let whoever waits for an answer hear of it."""
        if not self._closing:
            self._closing = True
            self._pool.closing(self)
            self._transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed: the end of a body, or of the hope for an answer."""
        exchange, self._exchange = self._exchange, None
        body, self._body = self._body, None
        if not self._closing:
            self._pool.left_by_host = True
        self._pool.lost(self)
        if self.ready is not None and not self.ready.called:
            self.ready.errback(ResponseNeverReceived([reason]))
        if exchange is not None and body is None and self._is_stale(exchange):
            exchange.retried = True
            self._pool.again(exchange)
            return
        if exchange is not None:
            self._pool.left()
        if body is not None:
            body.ended(self._end_of_body(reason))
        elif exchange is not None:
            exchange.fail(ResponseNeverReceived([reason]))

    def _take(self, exchange: Exchange, data: bytes) -> None:
        parser, body = self._parser, self._body
        content = parser.feed(data)
        if parser.over:
            self._finish(exchange, content)
        elif body is not None:
            if content:
                body.received(content)
        elif parser.head is not None:
            body = self._body = Body(self)
            body.received(content)
            # It will not be sent again, and an answer may take long.
            exchange.request = b""
            exchange.answer.callback(Response(parser.head, body))
            body.hold_unless_read()

    def _finish(self, exchange: Exchange, content: bytes) -> None:
        """The last of an answer: its end as framed, or the point where it is no HTTP any more."""
        head, fault = self._parser.head, self._parser.fault
        body = self._body
        self._release()
        if head is None:
            exchange.fail(UpstreamNonsense(fault))
            return
        end = Failure(ResponseFailed([Failure(UpstreamNonsense(fault))])) if fault else _DONE
        if body is None:
            exchange.answer.callback(Response(head, Body(None, content, end)))
            return
        body.detach()
        if content:
            body.received(content)
        body.ended(end)

    def _release(self) -> None:
        """Give the place back before anybody hears of the end, who might want it at once."""
        self._body = None
        if not self._parser.reusable or unsent_bytes(self._transport):
            # A host may answer before it has read: the rest would stand before the next request.
            self.abort()
            return
        self._exchange = None
        self._used = True
        self._held = False
        self._pool.released(self)

    def _apply_hold(self) -> None:
        if self._held is self._paused or self._closing:
            return
        self._paused = self._held
        if self._held:
            self._transport.pauseProducing()
        else:
            self._transport.resumeProducing()

    def _is_stale(self, exchange: Exchange) -> bool:
        """Whether the host had closed the connection before it could read the request."""
        return (
            self._used
            and not self._answered
            and not self._closing
            and not exchange.retried
            and self._pool.clock.seconds() - self._asked_at <= RETRY_WITHIN_S
        )

    def _end_of_body(self, reason: Failure) -> Failure:
        if self._parser.ends_with_connection and reason.check(ConnectionDone):
            return Failure(PotentialDataLoss())
        return Failure(ResponseFailed([reason]))
