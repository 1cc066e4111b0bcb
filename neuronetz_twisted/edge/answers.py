"""Answers as bytes on a client's connection: the one place that renders a refusal (SPEC 8)."""

from typing import TYPE_CHECKING, cast

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime

from neuronetz_twisted.dialects.faults import native_error, openai_error
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.errors import InvalidApiKey, MethodNotAllowed, Refusal

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITCPTransport

FLUSH_S = 5.0
"""How long a client has to read a broken answer to its last frame."""

HTTP_1_0_FLUSH_S = 0.5
"""The same for a client to whom only a reset says that the answer is not whole."""


class HttpAnswer:
    """The `Client` of seams.py, over one request of twisted.web.

    `ended` fires when the answer is over: sent, or the client gone. `headers` are those that every
    form of the answer carries.
    """

    def __init__(self, request: GatewayRequest, clock: IReactorTime, request_id: str) -> None:
        self._request = request
        self._clock = clock
        self._request_id = request_id
        self.headers: dict[bytes, bytes] = {}
        self.ended: Deferred[None] = Deferred()
        self._over = False
        self._begun = False
        self._registered = False
        self._closing: IDelayedCall | None = None
        request.notifyFinish().addBoth(self._finished)

    def begin(self, content_type: bytes) -> None:
        """Prepare the head of a streamed answer; it goes out with the first bytes."""
        self._head(200, content_type)
        self._request.setHeader(b"Cache-Control", b"no-store")
        self._request.setHeader(b"X-Accel-Buffering", b"no")

    def write(self, data: bytes) -> None:
        """Send bytes; twisted.web frames them."""
        if not self._over:
            self._request.write(data)

    def register(self, producer: IPushProducer) -> None:
        """Pace `producer` by the client's socket."""
        if not self._over:
            self._registered = True
            self._request.registerProducer(producer, True)  # noqa: FBT003 - Twisted's signature

    def unregister(self) -> None:
        """Let go of the producer. After a disconnect twisted.web has done so, and would raise."""
        if self._registered and not self._over and self._request.channel is not None:
            self._request.unregisterProducer()
        self._registered = False

    def answer(self, content_type: bytes, body: bytes) -> None:
        """Send a whole answer."""
        self.whole(200, content_type, body)

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal in the dialect of the path."""
        if self._over or self._begun:
            return
        render = openai_error if self._request.asked_path.startswith(b"/v1/") else native_error
        if refusal.retry_after is not None:
            self.headers[b"Retry-After"] = b"%d" % refusal.retry_after
        if isinstance(refusal, InvalidApiKey):
            self.headers[b"WWW-Authenticate"] = b"Bearer"
        if isinstance(refusal, MethodNotAllowed):
            self.headers[b"Allow"] = refusal.allow.encode("ascii")
        body = orjson.dumps(render(refusal, self._request_id))
        self.whole(refusal.status, b"application/json", body)

    def complete(self) -> None:
        """End a streamed answer with its last chunk."""
        if not self._over:
            self._request.finish()

    def break_off(self) -> None:
        """Close without a last chunk once the client has read the rest.

        In HTTP/1.0 the close itself would look like the end, so there it is a reset (SPEC 8).
        """
        if self._over or self._closing is not None:
            return
        if self._request.clientproto == b"HTTP/1.0":
            self._closing = self._clock.callLater(HTTP_1_0_FLUSH_S, self.abort)
        else:
            self._closing = self._clock.callLater(FLUSH_S, self.abort)
            self._request.loseConnection()

    def abort(self) -> None:
        """Reset the connection."""
        if not self._over:
            cast("ITCPTransport", self._request.channel.transport).abortConnection()

    def whole(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send an answer in one piece."""
        if self._over or self._begun:
            return
        self._head(status, content_type)
        self._request.setHeader(b"Content-Length", b"%d" % len(body))
        self._request.write(body)
        self._request.finish()

    def _head(self, status: int, content_type: bytes) -> None:
        self._begun = True
        self._request.setResponseCode(status)
        self._request.responseHeaders.removeHeader(b"server")
        self._request.setHeader(b"Content-Type", content_type)
        for name, value in self.headers.items():
            self._request.setHeader(name, value)

    def _finished(self, _: object) -> None:
        self._over = True
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self.ended.callback(None)
