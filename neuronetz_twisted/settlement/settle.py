"""The hand-over of an outcome to the record: synchronous, so that no cancel can come between.

Each request with a key ends in one record: an admitted call completes the slot that its intent has
in the spool, all others append a note. No request has two, since the record's own chain would miss
the one that the database does not take twice (SPEC 9). The limiter hears what a call has cost once
its record is written (SPEC 7).
"""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.admission.limits import Limiter
from neuronetz_twisted.audit.event import arrival_event, call_event, charge_of, record_of
from neuronetz_twisted.audit.refusals import Refusals
from neuronetz_twisted.errors import AuditUnavailable, Refusal
from neuronetz_twisted.seams import AuditSink, AuditTrail, PromptSink
from neuronetz_twisted.vocabulary import CLIENT_CLOSED, Arrival, End, Outcome, Ticket

PORTION = 50
"""How many records are written in one turn of the reactor, at the end of a minute."""

LISTS_PER_KEY = 60
"""How many lists and pages of each key and minute have a record of their own."""


def _lists() -> Refusals:
    return Refusals(per_caller=LISTS_PER_KEY, singles=1000 * LISTS_PER_KEY)


@define(kw_only=True)
class Settlement:
    """Turns outcomes and refusals into records, which go to the spool and to the log.

    `bucket_of` gives what the refusals of an address are counted under, where no key is known.
    Keys have places of their own among those that are counted: no flood of strangers takes them.
    """

    _clock: IReactorTime
    _trail: AuditTrail
    _limiter: Limiter
    _estimates: PromptEstimates
    _log: AuditSink
    _prompts: PromptSink
    _bucket_of: Callable[[str], str]
    _of_keys: Refusals = field(factory=Refusals)
    _of_strangers: Refusals = field(factory=Refusals)
    _lists: Refusals = field(factory=_lists)
    _minutes: DeferredLock = field(factory=DeferredLock, init=False)

    def settle(self, ticket: Ticket, outcome: Outcome) -> None:
        """Settle an admitted call. Called once for each, whatever happened to it."""
        duration = self._clock.seconds() - ticket.call.arrival.received
        kept = None
        if ticket.principal.prompt_logging:
            kept = self._prompts.keep(ticket, outcome)
        event = call_event(ticket, outcome, duration, prompt_log=kept)
        try:
            ticket.slot.complete(record_of(event))
        finally:
            self._limiter.settle(ticket.call.id, charge_of(event))
        if outcome.end is End.COMPLETE and not outcome.usage.estimated:
            request = ticket.call.request
            self._estimates.learn(
                ticket.principal.tenant,
                ticket.model.name,
                request.prompt_bytes,
                outcome.usage.prompt_tokens,
                images=request.images,
            )
        self._log.record(event)

    def answered(self, arrival: Arrival, bytes_sent: int) -> None:
        """Record a list or a page that is about to be answered from what the gateway knows.

        Beyond `LISTS_PER_KEY` a minute it is counted. Raises `AuditUnavailable` where that record
        cannot be kept.
        """
        self._trail.check()
        event = arrival_event(arrival, 200, "ok", self._since(arrival), bytes_sent)
        if self._lists.is_single(_caller_of(arrival), event) and not self._trail.note(
            record_of(event)
        ):
            raise AuditUnavailable(why=self._trail.denies or "full")
        self._log.record(event)

    def left(self, arrival: Arrival) -> None:
        """Record a client that went before its request was admitted."""
        self._turned_away(arrival, CLIENT_CLOSED, End.CLIENT_GONE.value)

    def refused(self, arrival: Arrival, refusal: Refusal) -> None:
        """Record a request that was refused before it was admitted, or count it."""
        self._turned_away(arrival, refusal.status, refusal.outcome)

    def minute_over(self) -> Deferred[None]:
        """Record what was only counted since the last call, some of it in each turn.

        Fires when that is done, and what was asked before.
        """
        return self._minutes.run(self._record_counted)

    async def _record_counted(self) -> None:
        counters = (self._of_keys, self._of_strangers, self._lists)
        counted = [event for counter in counters for event in counter.over()]
        for start in range(0, len(counted), PORTION):
            if start:
                await deferLater(self._clock, 0)
            for event in counted[start : start + PORTION]:
                self._trail.note(record_of(event))

    def _turned_away(self, arrival: Arrival, status: int, outcome: str) -> None:
        event = arrival_event(arrival, status, outcome, self._since(arrival))
        if arrival.principal is None:
            single = self._of_strangers.is_single(self._bucket_of(arrival.address), event)
        else:
            single = self._of_keys.is_single(arrival.principal.key, event)
        if single:
            # Where there is no room for it the log is all there is: the caller has his answer.
            self._trail.note(record_of(event))
        self._log.record(event)

    def _since(self, arrival: Arrival) -> float:
        return self._clock.seconds() - arrival.received


def _caller_of(arrival: Arrival) -> str:
    return "" if arrival.principal is None else arrival.principal.key
