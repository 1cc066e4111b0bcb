"""The body of an answer as lines, held back until somebody reads them."""

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from neuronetz_twisted.dialects.frames import (
    MAX_LINE_BYTES,
    LineSplitter,
    is_ordinary,
    read_frame,
)
from neuronetz_twisted.dialects.vectors import read_vectors
from neuronetz_twisted.errors import Refusal, UpstreamNonsense
from neuronetz_twisted.seams import FrameReceiver
from neuronetz_twisted.upstream.bodies import is_encoded
from neuronetz_twisted.upstream.storage import Share, Storage

if TYPE_CHECKING:
    from neuronetz_twisted.upstream.response import Body


class LineStream(Protocol):
    """A `NativeStream` (seams.py) over the body of one response.

    Behind its first line the model host is held until `attach`. A line has at most `limit` bytes,
    for which `share` is asked first.
    """

    transport: "Body | None"  # type: ignore[assignment]  # less than ITransport

    def __init__(
        self, backend: str, limit: int = MAX_LINE_BYTES, share: Share | None = None
    ) -> None:
        self.backend = backend
        self._share = share
        self._splitter = LineSplitter(limit)
        self._receiver: FrameReceiver | None = None
        self._held: list[bytes] = []
        self._awaited: Deferred[bytes] | None = None
        self._fault: Exception | None = None
        self._clean: bool | None = None
        self._stopped = False
        self._paused = False

    @property
    def first(self) -> bytes | None:
        """The first line, if it is there.

        Raises `UpstreamNonsense` where the body ended before it, or it is too long, and what its
        share of the storage raises.
        """
        if self._fault is not None:
            raise self._fault
        return self._held[0] if self._held else None

    def until_first(self) -> Deferred[bytes]:
        """Fires with a first line that is still to come, or fails as `first` does."""
        self._awaited = Deferred(lambda _: self.stop())
        return self._awaited

    def attach(self, receiver: FrameReceiver) -> None:
        """Deliver the held lines, then what follows."""
        self._receiver = receiver
        self._paused = False
        held, self._held = self._held, []
        receiver.framesReceived(held)
        if self._stopped:
            return
        if self._clean is not None:
            receiver.streamEnded(clean=self._clean)
        elif not self._paused:
            self.resume()

    def pause(self) -> None:
        """Stop reading from the model host."""
        self._paused = True
        if self.transport is not None and self._clean is None:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self.transport is not None and self._clean is None and not self._stopped:
            self.transport.resumeProducing()

    def stop(self) -> None:
        """Close the connection; nothing more is delivered."""
        if self._stopped:
            return
        self._let_go()
        if self.transport is not None and self._clean is None:
            self.transport.abortConnection()

    def finish(self) -> None:
        """Let the rest go by; nothing more is delivered."""
        if self._stopped:
            return
        self._let_go()
        if self.transport is not None and self._clean is None:
            self.transport.drain()

    def _let_go(self) -> None:
        self._stopped = True
        # The reader knows us: together we would be garbage that only a collection finds.
        self._receiver = None
        self._give_back()

    def _give_back(self) -> None:
        share, self._share = self._share, None
        if share is not None:
            share.give_back()

    def dataReceived(self, data: bytes) -> None:
        """Split bytes into lines and pass them on or hold them."""
        if self._stopped:
            return
        try:
            if self._share is not None:
                self._share.hold(self._splitter.held + len(data))
            lines = self._splitter.feed(data)
        except (UpstreamNonsense, Refusal) as error:
            self._break(error)
            return
        if not lines:
            return
        if self._receiver is not None:
            self._receiver.framesReceived(lines)
            return
        self._held.extend(lines)
        self.pause()
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.callback(lines[0])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is over."""
        whole = isinstance(reason.value, ResponseDone)
        if whole and self._splitter.held:
            # Ollama answers an empty request with one object and no line feed.
            self.dataReceived(b"\n")
        self._clean = whole
        if self._stopped:
            return
        if self._receiver is not None:
            self._receiver.streamEnded(clean=self._clean)
        elif not self._held:
            self._fail(UpstreamNonsense("the answer ended before its first frame"))

    def _break(self, error: Exception) -> None:
        receiver = self._receiver
        self.stop()
        if receiver is not None:
            receiver.streamBroken()
        elif not self._held:
            self._fail(error)

    def _fail(self, fault: Exception) -> None:
        self._give_back()
        self._fault = fault
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.errback(fault)


def stream_of(response: IResponse, backend: str, storage: Storage | None) -> LineStream:
    """The body of an answer as lines; a whole one is held in `storage`.

    Raises `UpstreamNonsense` for an encoding, which was never offered.
    """
    if storage is None:
        stream = LineStream(backend)
    else:
        stream = LineStream(backend, storage.largest, Share(storage))
    response.deliverBody(stream)
    if is_encoded(response):
        stream.stop()
        raise UpstreamNonsense("an encoding")
    return stream


def check_first(stream: LineStream, first: bytes, *, is_whole: bool) -> None:
    """Stop a stream whose first line is no frame. Raises `UpstreamNonsense`."""
    if is_ordinary(first):
        return
    try:
        if is_whole:
            read_vectors(first)
        else:
            read_frame(first)
    except UpstreamNonsense:
        stream.stop()
        raise
