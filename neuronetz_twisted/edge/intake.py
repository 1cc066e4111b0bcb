"""What a client sends behind the head of the request that is being answered.

That is the body, which nobody reads before it is asked for, and perhaps the next request. Both are
kept in memory within bounds. Where the end of the body is not known for sure, `in_doubt` says so:
then nothing that follows may be taken for a request.
"""

from collections.abc import Callable
from math import inf

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from neuronetz_twisted.edge.bodies import Body, body_of, too_large
from neuronetz_twisted.edge.framing import RequestHead
from neuronetz_twisted.errors import Refusal, RequestTimeout
from neuronetz_twisted.transports import IStreamTransport

BODY_S = 30.0
BODY_GRACE_S = 10.0
BODY_BYTES_PER_S = 512
"""A body may take `BODY_GRACE_S`, a second more for as many bytes, and never over `BODY_S`."""

HOLD_BACK_BYTES = 16 * 1024
"""So much of a body that nobody has asked for, and no more is read."""

MAX_BEHIND_BYTES = 64 * 1024
"""So much behind a whole request, and the connection ends: one that is not read from cannot be
heard leaving."""


class Upload:
    """A body that somebody waits for. `begun` is on the clock, and so is `deadline`."""

    def __init__(self, begun: float) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._begun = begun
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def deadline(self) -> float:
        """When the rest must be here; it moves on with what arrives."""
        return self._begun + min(BODY_S, BODY_GRACE_S + self._size / BODY_BYTES_PER_S)

    def take(self, content: bytes) -> None:
        """Keep a piece."""
        self._pieces.append(content)
        self._size += len(content)

    def finish(self) -> None:
        """Hand the whole body over."""
        self.done.callback(b"".join(self._pieces))


class Intake:
    """The intake of one connection.

    `invite` tells a client that waits for it to send its body; `abort` resets the connection where
    a client sends what it must not.
    """

    def __init__(
        self,
        transport: IStreamTransport,
        clock: IReactorTime,
        invite: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._invite = invite
        self._abort = abort
        self._body: Body | None = None
        self._head: RequestHead | None = None
        self._upload: Upload | None = None
        self._held_back = False
        self.pending = b""
        self.in_doubt = False
        self.closed_for_stream = False

    @property
    def deadline(self) -> float:
        """When the rest of the body must be here; infinite where nobody waits for it."""
        return inf if self._upload is None else self._upload.deadline

    @property
    def is_over(self) -> bool:
        """Whether nothing of the running request is still to come or lies unread."""
        return self._body is None and not self.in_doubt and not self.pending

    def begin(self, head: RequestHead, behind: bytes, limit: int) -> None:
        """A request is whole up to its body, and `behind` came with it."""
        self.pending = behind
        self._head = head
        if head.length != 0:
            self._body = body_of(head.length, limit)

    def read(self, limit: int) -> Deferred[bytes]:
        """The body. Fails with the `Refusal` of one that is too long, too slow or malformed."""
        if self._body is None or self._head is None:
            return succeed(b"")
        if self._head.length is not None and self._head.length > limit:
            return fail(too_large(limit))
        if self._head.invited and not self.pending:
            self._invite()
        upload = self._upload = Upload(self._clock.seconds())
        self.release()
        pending, self.pending = self.pending, b""
        self.take(pending)
        return upload.done

    def take(self, data: bytes) -> None:
        """Take bytes of the body that is waited for, or keep them."""
        if self._upload is None or self._body is None:
            self._keep(data)
            return
        try:
            content, rest = self._body.feed(data)
        except Refusal as refusal:
            self._fail(refusal)
            return
        self._upload.take(content)
        if self._body.done:
            upload, self._upload, self._body = self._upload, None, None
            if rest:
                self._keep(rest)
            upload.finish()

    def expired(self) -> None:
        """The body has not come in time."""
        self._fail(RequestTimeout())

    def skip(self) -> bool:
        """Drop a body that nobody asked for, if all of it is here; False if it is not."""
        if self._body is None or self.in_doubt:
            return not self.in_doubt
        try:
            _, self.pending = self._body.feed(self.pending)
        except Refusal:
            self.in_doubt = True
            return False
        if self._body.done:
            self._body = None
        return self._body is None

    def hold(self, data: bytes) -> None:
        """Keep what is behind an answer that the client has yet to read, and read no more."""
        self.pending += data
        self._held_back = True
        self._transport.pauseProducing()

    def release(self) -> None:
        """Read on from the connection."""
        if self._held_back:
            self._held_back = False
            self._transport.resumeProducing()

    def _fail(self, refusal: Refusal) -> None:
        upload, self._upload = self._upload, None
        self.in_doubt = True
        if upload is not None:
            upload.done.errback(refusal)

    def _keep(self, data: bytes) -> None:
        if self.closed_for_stream:
            self._abort()
            return
        self.pending += data
        if self._body is None:
            if len(self.pending) > MAX_BEHIND_BYTES:
                self._abort()
        elif len(self.pending) > HOLD_BACK_BYTES:
            self.hold(b"")
