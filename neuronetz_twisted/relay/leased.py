"""Frames of a caller with a budget: no more of them go on than its leases cover (SPEC 7).

It stands between the model host and the answer, of such callers only: for all others nothing is in
the way of a token. What no lease covers is held here. While anything is held the model host is
paused, so that it is what one read has brought; and what stood behind it, the final frame or a
fault, comes when it has gone on. `admission/leases.py` decides what is to be done, here it is done.

A draw is never cancelled: one that is answered when the answer is over changes nothing here, and
the limiter keeps its own books.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.admission.leases import Step, TokenLeases
from neuronetz_twisted.dialects.frames import MAX_LINE_BYTES
from neuronetz_twisted.errors import (
    AuditUnavailable,
    InternalError,
    LimitsUnavailable,
    Refusal,
    UpstreamNonsense,
)
from neuronetz_twisted.relay.cuts import cut_frame, marked
from neuronetz_twisted.relay.meter import Meter
from neuronetz_twisted.vocabulary import End, Ticket, Usage

MOST_HELD = MAX_LINE_BYTES
"""In bytes: with more of it held no read is taken. A host that is paused does not get there."""

_log = Logger()


@frozen
class LeaseSource:
    """Where leases come from.

    `size` is how many tokens are drawn at a time. `draw` takes the id of a call and the tokens that
    it is to have in all, and gives what it has then. It raises `LimitsUnavailable` where nobody can
    say; the same may then be asked again.
    """

    size: int
    draw: Callable[[str, int], Awaitable[int]]


class LeasedAnswer(Protocol):
    """The answer behind the leases."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        ...

    def heard(self) -> None:
        """Note that the model host is not silent."""
        ...

    def hold(self, *, for_lease: bool) -> None:
        """Pause the model host while a lease is missing."""
        ...

    def pass_on(
        self, lines: Sequence[bytes], final: Mapping[str, Any] | None, end: End = End.COMPLETE
    ) -> None:
        """Send frames; a final one behind them ends the answer."""
        ...

    def cut(self, refusal: Refusal, end: End = End.CUT) -> None:
        """End with an error."""
        ...

    def finish(self, end: End) -> None:
        """End."""
        ...


class LeasedFrames:
    """The `FrameReceiver` of one answer that leases cover."""

    def __init__(
        self,
        clock: IReactorTime,
        source: LeaseSource,
        ticket: Ticket,
        meter: Meter,
        answer: LeasedAnswer,
    ) -> None:
        grant = ticket.grant
        self._clock = clock
        self._source = source
        self._ticket = ticket
        self._meter = meter
        self._answer = answer
        self._leases = TokenLeases(
            prompt=grant.prompt, granted=grant.lease, size=source.size, most=grant.num_predict
        )
        self._held: Sequence[bytes] = ()
        self._final: Mapping[str, Any] | None = None
        self._behind: End | None = None
        self._timer: IDelayedCall | None = None
        self._refusal: Refusal = LimitsUnavailable(why="lease")

    def framesReceived(self, lines: Sequence[bytes]) -> None:
        """Take the frames of one read. What comes behind the end of the answer is not read."""
        if self._behind is not None:
            return
        self._answer.heard()
        if self._held and sum(map(len, self._held)) > MOST_HELD:
            self._answer.finish(End.UPSTREAM_ERROR)
            return
        meter = self._meter
        self._held = [*self._held, *meter.feed(lines)]
        if meter.broken:
            self._behind = End.UPSTREAM_ERROR
        elif meter.final is not None:
            self._final = marked(meter.final, self._ticket.grant)
            self._behind = End.COMPLETE
        self._advance()

    def streamEnded(self, *, clean: bool) -> None:
        """The body is over; without a final frame it is broken, however clean its framing."""
        del clean
        self._ends(End.UPSTREAM_LOST)

    def streamBroken(self) -> None:
        """The body holds a line over the limit."""
        self._ends(End.UPSTREAM_ERROR)

    def usage(self, end: End) -> Usage:
        """What the answer costs that ends so.

        Where no final frame went on, those that were read count, but no more than one lease beyond
        what was granted: by so much a budget may be passed. The prompt's count is the host's own
        where it has come.
        """
        usage = self._meter.usage()
        if end is End.COMPLETE:
            return usage
        most = self._leases.granted + self._leases.size
        return evolve(usage, completion_tokens=min(self._meter.frames, most), estimated=True)

    def stop(self) -> None:
        """Hold nothing more, and have nothing to come: the answer is over."""
        self._held = ()
        self._behind = None
        self._disarm()

    def _ends(self, end: End) -> None:
        if self._behind is None:
            self._behind = end
            self._advance()

    def _advance(self) -> None:
        if self._goes_short():
            Deferred.fromCoroutine(self._draw()).addErrback(self._failed)

    async def _draw(self) -> None:
        """Draw until no lease is missing, or nothing can be drawn now.

        The reservation is in the spool before a frame goes on that it covers.
        """
        leases, answer = self._leases, self._answer
        is_due = True
        while is_due:
            try:
                total = await self._source.draw(self._ticket.call.id, leases.want)
                if not answer.is_over and total > leases.reserved:
                    self._ticket.slot.extend(total)
            except (LimitsUnavailable, AuditUnavailable) as refusal:
                self._refusal = refusal
                leases.failed(self._clock.seconds())
            else:
                leases.drew(total)
            is_due = self._goes_short()

    def _failed(self, failure: Failure) -> None:
        """A fault of ours, whatever it is: nobody may wait for ever because of it."""
        _log.failure("drawing a lease failed", failure)
        self._answer.cut(InternalError())

    def _goes_short(self) -> bool:
        """Pass on what is covered, and see to the rest; True where a lease is to be drawn.

        Whoever is told so has to draw it.
        """
        now = self._clock.seconds()
        self._pass_on(now)
        if self._answer.is_over:
            return False
        step = self._leases.step(now)
        if step is Step.CUT:
            waited = now - self._ticket.call.arrival.received
            frame = cut_frame(self._ticket, waited, self._leases.used)
            self._try_passing((), frame, End.CUT_BY_BUDGET)
            return False
        if step is Step.FAIL:
            self._answer.cut(self._refusal, End.CUT_WITHOUT_LIMITS)
            return False
        is_due = step in {Step.DRAW, Step.DRAW_AND_HOLD}
        if is_due:
            self._leases.drawing()
        self._arm(now)
        # At last: a host that goes on may bring frames at once.
        self._answer.hold(for_lease=self._leases.is_held)
        return is_due

    def _pass_on(self, now: float) -> None:
        """Pass on what leases cover, and behind the last of it the end that stood there."""
        held, behind = self._held, self._behind
        count = self._leases.passing(len(held), now)
        self._held = held[count:]
        if self._held or behind is None:
            self._try_passing(held[:count], None)
        elif self._final is not None:
            self._try_passing(held, self._final)
        else:
            self._try_passing(held, None)
            self._answer.finish(behind)

    def _try_passing(
        self, lines: Sequence[bytes], final: Mapping[str, Any] | None, end: End = End.COMPLETE
    ) -> None:
        try:
            self._answer.pass_on(lines, final, end)
        except UpstreamNonsense:
            self._answer.finish(End.UPSTREAM_ERROR)

    def _arm(self, now: float) -> None:
        """Look again when it is time for that, unless something happens before."""
        self._disarm()
        if self._leases.look_at is not None:
            self._timer = self._clock.callLater(self._leases.look_at - now, self._advance)

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
