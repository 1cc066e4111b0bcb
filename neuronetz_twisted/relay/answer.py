"""One answer from the model host to the client, with a single way out.

    streaming --a client that is slow, or a lease that is missing--> held --neither--> streaming
        |                                                              |
        +-- final, lost, idle, nonsense, stalled too long, client gone, cut --> ended

Whatever happens, `finish` runs once: it stops timers and the model host, ends the client's answer
truthfully (SPEC 8) and fires the outcome. Nothing on the way of a token allocates a timer or a
Deferred. `streamed.py` and `folded.py` have the two kinds, `leased.py` what stands before the
answers of callers with a budget.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from neuronetz_twisted.errors import (
    Refusal,
    UpstreamFailed,
    UpstreamNonsense,
    UpstreamTimeout,
)
from neuronetz_twisted.relay.leased import LeasedFrames, LeaseSource
from neuronetz_twisted.relay.meter import Meter
from neuronetz_twisted.seams import Client, NativeStream
from neuronetz_twisted.vocabulary import End, Outcome, Ticket, Usage

OwnWriter = TypeVar("OwnWriter")
"""Renders what one kind of answers needs."""

OK = 200
"""The status of an answer that has begun, however it ends."""


@frozen(kw_only=True)
class RelayLimits:
    """Times in seconds, sizes in bytes.

    `idle_s`: silence of the model host; `stall_s`: a client that reads nothing.
    """

    idle_s: float
    stall_s: float
    max_folded_bytes: int


class Answer(Generic[OwnWriter]):
    """What both kinds share: timers, the end, and the one exit."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts, given once by Relay.run
        self,
        clock: IReactorTime,
        limits: RelayLimits,
        stream: NativeStream,
        client: Client,
        ticket: Ticket,
        writer: OwnWriter,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._stream = stream
        self._client = client
        self._ticket = ticket
        self._writer = writer
        self._meter = Meter(ticket.grant.prompt, is_whole=ticket.call.request.is_whole)
        self._leased: LeasedFrames | None = None
        self._timer: IDelayedCall | None = None
        self._heard_at = 0.0
        self._is_slow = False
        self._is_short = False
        self._ended = False
        self._bytes_sent = 0
        self._first_byte_at: float | None = None
        self._cut_by: Refusal | None = None
        self._outcome: Outcome | None = None
        self._done: Deferred[Outcome] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def lease_from(self, source: LeaseSource) -> None:
        """Pass nothing on that no lease covers. Called before `run`."""
        self._leased = LeasedFrames(self._clock, source, self._ticket, self._meter, self)

    async def run(self) -> Outcome:
        """Answer to the end. To cancel means that the client has gone."""
        try:
            self._begin()
            self._stream.attach(self if self._leased is None else self._leased)
        except BaseException:
            # A fault of ours, which nobody else would end: its place would be taken for ever.
            self._ended = True
            self._disarm()
            if self._leased is not None:
                self._leased.stop()
            self._stream.stop()
            raise
        if self._outcome is not None:
            # Many an answer is whole by then, and needs neither a timer nor a Deferred.
            return self._outcome
        self._watch()
        self._done = Deferred(lambda _: self.finish(End.CLIENT_GONE))
        return await self._done

    def cut(self, refusal: Refusal, end: End = End.CUT) -> None:
        """End the answer before its time; the client is told why."""
        self._cut_by = refusal
        self.finish(end)

    def finish(self, end: End) -> None:
        """End the answer; only the first end counts."""
        if self._ended:
            return
        self._ended = True
        self._disarm()
        if self._leased is not None:
            self._leased.stop()
        if end is End.COMPLETE:
            self._stream.finish()
        else:
            self._stream.stop()
        usage = self._usage(end)
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
        # Not kept: they know us, and garbage in cycles costs a collection.
        self._leased = None
        done, self._done = self._done, None
        if done is not None:
            done.callback(outcome)

    def hold(self, *, for_lease: bool) -> None:
        """Pause the model host while a lease is missing."""
        if for_lease is not self._is_short:
            self._is_short = for_lease
            if not self._is_slow:
                self._pace()

    def heard(self) -> None:
        """Note that the model host is not silent."""
        self._heard_at = self._clock.seconds()

    def framesReceived(self, lines: Sequence[bytes]) -> None:
        """Take the frames of one read."""
        if self._ended:
            return
        self._heard_at = self._clock.seconds()
        meter = self._meter
        passed = meter.feed(lines)
        try:
            if meter.broken:
                self.pass_on(passed, None)
                self.finish(End.UPSTREAM_ERROR)
            else:
                self.pass_on(passed, meter.final)
        except UpstreamNonsense:
            self.finish(End.UPSTREAM_ERROR)

    def streamEnded(self, *, clean: bool) -> None:
        """The body is over before its final frame: it is broken, however clean its framing."""
        del clean
        self.finish(End.UPSTREAM_LOST)

    def streamBroken(self) -> None:
        """The body holds a line over the limit."""
        self.finish(End.UPSTREAM_ERROR)

    def pass_on(
        self, lines: Sequence[bytes], final: Mapping[str, Any] | None, end: End = End.COMPLETE
    ) -> None:
        """Send frames; a final one behind them ends the answer.

        Raises `UpstreamNonsense` for what cannot be sent.
        """
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _end_answer(self, end: End, usage: Usage) -> int:
        """End what the client gets; gives the status for the record."""
        raise NotImplementedError

    def _pace(self) -> None:
        """Let the model host go on, or hold it, as the client and the leases demand."""
        self._watch()
        if self._is_slow or self._is_short:
            self._stream.pause()
        else:
            self._stream.resume()

    def _watch(self) -> None:
        """See to it that what is waited for does not take too long."""
        if self._ended:
            return
        if self._is_slow:
            self._arm(self._limits.stall_s, End.CLIENT_STALLED)
        elif self._is_short:
            # Nobody but us is to blame: `leased.py` has a timer of its own.
            self._disarm()
        else:
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
            self.finish(End.UPSTREAM_IDLE)

    def _arm(self, seconds: float, end: End) -> None:
        self._disarm()
        self._timer = self._clock.callLater(seconds, self.finish, end)

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _usage(self, end: End) -> Usage:
        """The tokens of an answer that ends so, once it is known how."""
        return self._meter.usage() if self._leased is None else self._leased.usage(end)

    def _refusal_of(self, end: End) -> Refusal:
        """What the client is told of an answer that ended so."""
        if self._cut_by is not None:
            return self._cut_by
        return UpstreamTimeout() if end is End.UPSTREAM_IDLE else UpstreamFailed()

    def _sent(self, count: int) -> None:
        if self._first_byte_at is None:
            self._first_byte_at = self._clock.seconds() - self._ticket.call.arrival.received
        self._bytes_sent += count
