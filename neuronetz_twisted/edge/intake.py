"""What a client sends behind the head of the request that is being answered.

That is the body, which nobody reads before it is asked for, and perhaps the next request. Both are
kept in memory within bounds. Where the end of the body is not known for sure, `in_doubt` says so:
then nothing that follows may be taken for a request.
"""

from collections.abc import Callable
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from neuronetz_twisted.edge.bodies import Body, body_of, too_large
from neuronetz_twisted.edge.deadlines import BODY_BYTES_PER_S, BODY_GRACE_S, BODY_S
from neuronetz_twisted.edge.framing import RequestHead
from neuronetz_twisted.errors import Refusal, RequestTimeout
from neuronetz_twisted.transports import IStreamTransport

HOLD_BACK_BYTES = 16 * 1024
"""So much of a body that nobody has asked for, and no more is read."""

MAX_BEHIND_BYTES = 64 * 1024
"""So much behind a whole request, and the connection ends: one that is not read from cannot be
heard leaving."""


class Upload:
    """A body on its way. `begun` is on the clock, and so is `deadline`.

    Where it is not `wanted`, its request is answered already, and it is only read to its end.
    """

    def __init__(self, begun: float, *, wanted: bool) -> None:
        self.done: Deferred[bytes] = Deferred()
        self.wanted = wanted
        self._begun = begun
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def deadline(self) -> float:
        """When the rest must be here; it moves on with what arrives."""
        return self._begun + min(BODY_S, BODY_GRACE_S + self._size / BODY_BYTES_PER_S)

    def take(self, content: bytes) -> None:
        """Keep a piece, or count it."""
        self._size += len(content)
        if self.wanted:
            self._pieces.append(content)

    def finish(self) -> None:
        """Hand the whole body over."""
        if self.wanted:
            self.done.callback(b"".join(self._pieces))

    def fail(self, refusal: Refusal) -> None:
        """There will be no body."""
        if self.wanted:
            self.done.errback(refusal)


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
        self._limit = 0
        self._upload: Upload | None = None
        self._held_back = False
        self.pending = b""
        self.in_doubt = False
        self.closed_for_stream = False

    @property
    def deadline(self) -> float:
        """When the rest of the body must be here; infinite where none is read."""
        return inf if self._upload is None else self._upload.deadline

    @property
    def drops(self) -> bool:
        """Whether the body of a request that is answered is still coming."""
        return self._upload is not None and not self._upload.wanted

    @property
    def is_over(self) -> bool:
        """Whether nothing of the running request is still to come, or of a next one unread."""
        return self._body is None and not self.in_doubt and not self.pending.strip(b"\r\n")

    def begin(self, head: RequestHead, behind: bytes, limit: int) -> None:
        """A request is whole up to its body, and `behind` came with it."""
        self.pending = behind
        self._head = head
        self._limit = limit
        if head.length != 0:
            self._body = body_of(head.length, limit)

    async def read(self, limit: int) -> bytes:
        """The body. Raises the `Refusal` of one that is too long, too slow or malformed."""
        if self._body is None or self._head is None:
            return b""
        self._limit = limit
        length = self._head.length
        if length is None:
            # Nothing of it has been read yet, and the limit may be less than that of `begin`.
            self._body = body_of(None, limit)
        elif length > limit:
            raise too_large(limit)
        elif len(self.pending) >= length:
            return self._read_at_once(length)
        if self._head.invited and not self.pending:
            self._invite()
        return await self._begin_upload(wanted=True).done

    def _read_at_once(self, length: int) -> bytes:
        """The body that is all here, as most are."""
        whole, behind = self.pending[:length], self.pending[length:]
        self._body, self.pending = None, b""
        if behind:
            self._keep(behind)
        self.release()
        return whole

    def take(self, data: bytes) -> None:
        """Take bytes of the body that is read, or keep them."""
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
        """Drop a body that nobody asked for, now or as it comes; False where that cannot be.

        That is so for one over the limit, for one that the client may never send, and for the rest
        of one in chunks.
        """
        if self._body is None or self._head is None or self.in_doubt:
            return not self.in_doubt
        length = self._head.length
        if self._upload is not None or (length is not None and length > self._limit):
            return False
        if b"expect" in self._head.fields and not self.pending:
            return False
        self._begin_upload(wanted=False)
        if self.drops and length is None:
            # Taking chunks apart costs more than they are worth to anybody.
            self._upload, self.in_doubt = None, True
        return not self.in_doubt

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

    def _begin_upload(self, *, wanted: bool) -> Upload:
        upload = self._upload = Upload(self._clock.seconds(), wanted=wanted)
        self.release()
        pending, self.pending = self.pending, b""
        self.take(pending)
        return upload

    def _fail(self, refusal: Refusal) -> None:
        upload, self._upload = self._upload, None
        self.in_doubt = True
        if upload is not None:
            upload.fail(refusal)

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
