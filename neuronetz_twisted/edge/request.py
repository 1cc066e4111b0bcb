"""A request as endpoints see it: twisted.web's class, with the parts that a gateway must own.

The path is looked up to the letter: whatever is not literally in the table of routes is the one
unknown path (SPEC 3). The body is only read when it is asked for. Framing of the answer is ours.
"""

import re
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request

from neuronetz_twisted.edge.framing import HTTP_1_1, RequestHead
from neuronetz_twisted.edge.responses import LAST_CHUNK, chunk, head_of

if TYPE_CHECKING:
    from neuronetz_twisted.edge.channel import GatewayChannel

UNKNOWN_PATH = b"/unknown"
MODEL_PATH = b"/v1/models/"
_MODEL_ID = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.:-]*(?:/[A-Za-z0-9_.:-]+)*/?")
ROUTES = frozenset(
    {
        b"/",
        b"/healthz",
        b"/readyz",
        b"/api/chat",
        b"/api/generate",
        b"/api/embed",
        b"/api/embeddings",
        b"/api/tags",
        b"/api/show",
        b"/api/version",
        b"/v1/chat/completions",
        b"/v1/completions",
        b"/v1/embeddings",
        b"/v1/messages",
        b"/v1/models",
        b"/v1/responses",
        b"/gateway/limits",
        b"/gateway/usage",
    }
)


def routed_path(path: bytes) -> bytes:
    """The path that is looked up: itself if it is one of ours to the letter, else the unknown one.

    Only the tail of a model's path may be percent-encoded; decoded once, it must be made of the
    characters that a model's name can have.
    """
    if path in ROUTES:
        return path
    head, _, tail = path.partition(MODEL_PATH)
    if head == b"" and _MODEL_ID.fullmatch(unquote_to_bytes(tail)):
        return path
    return UNKNOWN_PATH


class GatewayRequest(Request):
    """One request. `asked_path` is the path as the client wrote it, `running` what answers it.

    `begin`, `write` and `finish` make the answer; after the client has gone they do nothing.
    """

    channel: "GatewayChannel"  # type: ignore[assignment] # not the stock one

    def __init__(self, channel: "GatewayChannel", head: RequestHead) -> None:
        # The stock constructor makes headers, cookies and addresses that nobody here asks for.
        self.channel = channel
        self.notifications = []
        self.head = head
        self.method = head.line.method
        self.asked_path = self.uri = head.line.path
        self.path = routed_path(head.line.path)
        self.clientproto = head.line.version
        self.running: Deferred[None] | None = None
        self._unsent = b""
        self._goes_on = False

    def body(self, limit: int) -> Coroutine[Deferred[bytes], object, bytes]:
        """The whole body, of at most `limit` bytes. Raises the `Refusal` of any other."""
        return self.channel.read_body(limit)

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone: whatever still runs for it is cancelled."""
        super().connectionLost(reason)
        if self.running is not None:
            self.running.cancel()

    def stop(self) -> None:
        """Cancel what runs for it although the client is there, unless its answer has begun."""
        if self.running is not None and not self.startedWriting:
            self.running.cancel()

    def field(self, name: bytes) -> bytes | None:
        """The last value of a field, whose `name` is in lower case."""
        values = self.head.fields.get(name)
        return values[-1] if values else None

    @property
    def gone(self) -> bool:
        """Whether the client has gone."""
        return bool(self._disconnected)

    @property
    def over(self) -> bool:
        """Whether the answer is whole, or nobody is there to read it."""
        return bool(self._disconnected or self.finished)

    def begin(self, status: int, fields: Iterable[tuple[bytes, bytes]], length: int | None) -> None:
        """Prepare the head of an answer; it goes out with the first bytes.

        `length` is the body's in bytes, None for a stream, which is chunked, or in HTTP/1.0 ends
        with the connection (RFC 9112 6.3).
        """
        if self._disconnected:
            return
        self.startedWriting = 1
        is_modern = self.head.line.version == HTTP_1_1
        goes_on = self.channel.goes_on(streams=length is None)
        framing = list(fields)
        cross_origin = self.channel.factory.cross_origin
        if cross_origin is not None:
            framing += cross_origin.answer_lines(self.head)
        if length is None and is_modern:
            self.chunked = True
            framing.append((b"Transfer-Encoding", b"chunked"))
        elif length is not None and status != HTTPStatus.NO_CONTENT:
            # An answer that can have no body must not say how long it is (RFC 9110 8.6).
            framing.append((b"Content-Length", b"%d" % length))
        self._goes_on = goes_on and (length is not None or is_modern)
        if not self._goes_on:
            framing.append((b"Connection", b"close"))
        elif not is_modern:
            framing.append((b"Connection", b"keep-alive"))
        self._unsent = head_of(status, self.channel.factory.date_line(), framing)

    def write(self, data: bytes) -> None:
        """Send bytes of the answer's body, if it has one."""
        if not self.over:
            self._send(data, b"")

    def finish(self, last: bytes = b"") -> None:
        """End the answer, with the last bytes of its body if there are any, in one write."""
        if self.over:
            return
        self._send(last, LAST_CHUNK if self.chunked else b"")
        self.finished = 1
        notifications, self.notifications = self.notifications, []
        for notification in notifications:
            notification.callback(None)
        self.channel.finished(goes_on=self._goes_on)

    def break_off(self) -> None:
        """Close behind an answer that is not whole."""
        if not self.over:
            self.channel.break_off()

    def abort(self) -> None:
        """Reset the connection."""
        if not self.over:
            self.channel.abort()

    def _send(self, data: bytes, end: bytes) -> None:
        """Write the head if it has yet to go out, `data` framed, and `end`."""
        if not self.startedWriting:
            # Only a fault in the layers between could bring us here; nothing true can be said.
            self.channel.abort()
            return
        if self.method == b"HEAD":
            data = end = b""
        elif self.chunked and data:
            data = chunk(data)
        head, self._unsent = self._unsent, b""
        if head or data or end:
            self.channel.write(b"".join((head, data, end)))
