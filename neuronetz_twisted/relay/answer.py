"""One answer from the model host to the client, with a single way out.

    streaming --pauseProducing--> stalled --resumeProducing--> streaming
        |                            |
        +---- final, lost, idle, nonsense, stalled too long, client gone, cut ----> ended

Whatever happens, `_finish` runs once: it stops timers and the model host, ends the client's answer
truthfully (SPEC 8) and fires the outcome. Nothing on the way of a token allocates a timer or a
Deferred.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from neuronetz_twisted.dialects.writers import Writer
from neuronetz_twisted.errors import (
    Refusal,
    UpstreamFailed,
    UpstreamNonsense,
    UpstreamTimeout,
)
from neuronetz_twisted.relay.fold import Fold
from neuronetz_twisted.relay.meter import Meter
from neuronetz_twisted.seams import Client, NativeStream
from neuronetz_twisted.vocabulary import CLIENT_CLOSED, End, Outcome, Ticket, Usage

OK = 200


@frozen(kw_only=True)
class RelayLimits:
    """Times in seconds, sizes in bytes.

    `idle_s`: silence of the model host; `stall_s`: a client that reads nothing.
    """

    idle_s: float
    stall_s: float
    max_folded_bytes: int


class _Answer:
    """What both kinds share: timers, the end, and the one exit."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts, given once by Relay.run
        self,
        clock: IReactorTime,
        limits: RelayLimits,
        stream: NativeStream,
        client: Client,
        ticket: Ticket,
        writer: Writer,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._stream = stream
        self._client = client
        self._ticket = ticket
        self._writer = writer
        self._meter = Meter(ticket.call.request.prompt_bytes)
        self._timer: IDelayedCall | None = None
        self._heard_at = 0.0
        self._ended = False
        self._bytes_sent = 0
        self._first_byte_at: float | None = None
        self._cut_by: Refusal | None = None
        self._outcome: Outcome | None = None
        self._done: Deferred[Outcome] | None = None

    async def run(self) -> Outcome:
        """Answer to the end. To cancel means that the client has gone."""
        self._begin()
        self._stream.attach(self)
        if self._outcome is not None:
            # Many an answer is whole by then, and needs neither a timer nor a Deferred.
            return self._outcome
        if self._timer is None:
            self._watch()
        self._done = Deferred(lambda _: self._finish(End.CLIENT_GONE))
        return await self._done

    def cut(self, refusal: Refusal) -> None:
        """End the answer before its time; the client is told why."""
        self._cut_by = refusal
        self._finish(End.CUT)

    def framesReceived(self, lines: Sequence[bytes]) -> None:
        """Take the frames of one read."""
        if self._ended:
            return
        self._heard_at = self._clock.seconds()
        meter = self._meter
        passed = meter.feed(lines)
        try:
            if meter.broken:
                self._pass_on(passed, None)
                self._finish(End.UPSTREAM_ERROR)
            else:
                self._pass_on(passed, meter.final)
        except UpstreamNonsense:
            self._finish(End.UPSTREAM_ERROR)

    def streamEnded(self, *, clean: bool) -> None:
        """The body is over before its final frame: it is broken, however clean its framing."""
        del clean
        self._finish(End.UPSTREAM_LOST)

    def streamBroken(self) -> None:
        """The body holds a line over the limit."""
        self._finish(End.UPSTREAM_ERROR)

    def _begin(self) -> None:
        raise NotImplementedError

    def _pass_on(self, lines: Sequence[bytes], final: Mapping[str, Any] | None) -> None:
        raise NotImplementedError

    def _end_answer(self, end: End, usage: Usage) -> int:
        """End what the client gets; gives the status for the record."""
        raise NotImplementedError

    def _watch(self) -> None:
        """See to it that what is waited for does not take too long."""
        if not self._ended:
            self._watch_host()

    def _watch_host(self) -> None:
        self._disarm()
        self._heard_at = self._clock.seconds()
        self._timer = self._clock.callLater(self._limits.idle_s, self._look_at_host)

    def _look_at_host(self) -> None:
        """End the answer if its host is silent for too long, else look again when it may be.

        To put the timer off with each frame would cost more than the frame does.
        """
        left = self._heard_at + self._limits.idle_s - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._look_at_host)
        else:
            self._finish(End.UPSTREAM_IDLE)

    def _arm(self, seconds: float, end: End) -> None:
        self._disarm()
        self._timer = self._clock.callLater(seconds, self._finish, end)

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _finish(self, end: End) -> None:
        if self._ended:
            return
        self._ended = True
        self._disarm()
        if end is End.COMPLETE:
            self._stream.finish()
        else:
            self._stream.stop()
        usage = self._meter.usage()
        status = self._end_answer(end, usage)
        self._outcome = outcome = Outcome(
            end=end,
            word=end.value,
            status=status,
            usage=usage,
            bytes_sent=self._bytes_sent,
            first_byte_after=self._first_byte_at,
            backend=self._stream.backend,
        )
        # Not kept: it knows us by its canceller, and garbage in cycles costs a collection.
        done, self._done = self._done, None
        if done is not None:
            done.callback(outcome)

    def _refusal_of(self, end: End) -> Refusal:
        """What the client is told of an answer that ended so."""
        if self._cut_by is not None:
            return self._cut_by
        return UpstreamTimeout() if end is End.UPSTREAM_IDLE else UpstreamFailed()

    def _sent(self, count: int) -> None:
        if self._first_byte_at is None:
            self._first_byte_at = self._clock.seconds() - self._ticket.call.arrival.received
        self._bytes_sent += count


@implementer(IPushProducer)
class StreamedAnswer(_Answer):
    """Frames go out as they come; the client's socket paces the model host."""

    _paused = False
    _last = b""

    def _begin(self) -> None:
        self._client.begin(self._writer.stream_type)
        self._client.register(self)

    def pauseProducing(self) -> None:
        """The client reads too slowly: hold the model host, watch the client."""
        if not self._ended and not self._paused:
            self._paused = True
            self._stream.pause()
            self._watch()

    def resumeProducing(self) -> None:
        """The client has read: let the model host go on, watch it again."""
        if not self._ended and self._paused:
            self._paused = False
            self._watch()
            self._stream.resume()

    def stopProducing(self) -> None:
        """The client has gone."""
        self._finish(End.CLIENT_GONE)

    def _watch(self) -> None:
        if self._paused and not self._ended:
            self._arm(self._limits.stall_s, End.CLIENT_STALLED)
        else:
            super()._watch()

    def _pass_on(self, lines: Sequence[bytes], final: Mapping[str, Any] | None) -> None:
        data = self._writer.frames(lines) if lines else b""
        if final is None:
            self._write(data)
            return
        try:
            self._last = data + self._writer.last(final, self._meter.usage())
        except UpstreamNonsense:
            self._write(data)
            raise
        self._finish(End.COMPLETE)

    def _write(self, data: bytes) -> None:
        if data:
            self._sent(len(data))
            self._client.write(data)

    def _end_answer(self, end: End, usage: Usage) -> int:
        del usage  # The final frame had it.
        self._client.unregister()
        if end is End.COMPLETE:
            self._sent(len(self._last))
            self._client.complete(self._last)
        elif end is End.CLIENT_STALLED:
            self._client.abort()
        elif end is not End.CLIENT_GONE:
            self._write(self._writer.fault(self._refusal_of(end), self._ticket.call.id))
            self._client.break_off()
        return CLIENT_CLOSED if end is End.CLIENT_GONE else OK


class FoldedAnswer(_Answer):
    """Frames are collected and answered in one piece; a failure is a plain refusal."""

    def _begin(self) -> None:
        self._fold = Fold(self._limits.max_folded_bytes)

    def _pass_on(self, lines: Sequence[bytes], final: Mapping[str, Any] | None) -> None:
        self._fold.add(lines)
        if final is not None:
            self._finish(End.COMPLETE)

    def _end_answer(self, end: End, usage: Usage) -> int:
        if end is End.CLIENT_GONE:
            return CLIENT_CLOSED
        if end is End.COMPLETE and self._meter.final is not None:
            folded = self._fold.finish(self._meter.final)
            body = self._writer.whole(folded, usage)
            self._sent(len(body))
            self._client.answer(b"application/json", body)
            return OK
        refusal = self._refusal_of(end)
        self._client.refuse(refusal)
        return refusal.status
