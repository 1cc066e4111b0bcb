"""Answers as bytes on a client's connection: the one place that renders a refusal (SPEC 8)."""

import orjson
from twisted.internet.interfaces import IPushProducer

from neuronetz_twisted.dialects.faults import render_error
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.errors import InvalidApiKey, MethodNotAllowed, Refusal


class HttpAnswer:
    """The `Client` of seams.py, over one request.

    `headers` are those that every form of the answer carries.
    """

    def __init__(self, request: GatewayRequest, request_id: str) -> None:
        self._request = request
        self._request_id = request_id
        self.headers: dict[bytes, bytes] = {}
        self._closing = False
        self._registered = False

    def begin(self, content_type: bytes) -> None:
        """Prepare the head of a streamed answer; it goes out with the first bytes."""
        self.headers[b"Cache-Control"] = b"no-store"
        self.headers[b"X-Accel-Buffering"] = b"no"
        self._head(200, content_type, None)

    def write(self, data: bytes) -> None:
        """Send bytes; the request frames them."""
        self._request.write(data)

    def register(self, producer: IPushProducer) -> None:
        """Pace `producer` by the client's socket."""
        if not self._request.over:
            self._registered = True
            self._request.registerProducer(producer, True)  # noqa: FBT003 - Twisted's signature

    def unregister(self) -> None:
        """Let go of the producer; the connection of a client that has gone has done so."""
        if self._registered and not self._request.over:
            self._request.unregisterProducer()
        self._registered = False

    def answer(self, content_type: bytes, body: bytes) -> None:
        """Send a whole answer."""
        self.whole(200, content_type, body)

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal in the dialect of the path."""
        if self._request.startedWriting:
            return
        render = render_error(self._request.asked_path)
        if refusal.retry_after is not None:
            self.headers[b"Retry-After"] = b"%d" % refusal.retry_after
        if isinstance(refusal, InvalidApiKey):
            self.headers[b"WWW-Authenticate"] = b"Bearer"
        if isinstance(refusal, MethodNotAllowed):
            self.headers[b"Allow"] = refusal.allow.encode("ascii")
        self.headers.update(refusal.fields)
        body = orjson.dumps(render(refusal, self._request_id))
        self.whole(refusal.status, b"application/json", body)

    def complete(self, last: bytes) -> None:
        """End a streamed answer with its last bytes and its last chunk."""
        self._request.finish(last)

    def break_off(self) -> None:
        """Close without an end of the answer once the client has read the rest (SPEC 8)."""
        if not self._closing:
            self._closing = True
            self._request.break_off()

    def abort(self) -> None:
        """Reset the connection."""
        self._request.abort()

    def whole(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send an answer in one piece."""
        if self._request.startedWriting:
            return
        self._head(status, content_type, len(body))
        self._request.finish(body)

    def _head(self, status: int, content_type: bytes, length: int | None) -> None:
        fields = [(b"Content-Type", content_type), *self.headers.items()]
        self._request.begin(status, fields, length)
