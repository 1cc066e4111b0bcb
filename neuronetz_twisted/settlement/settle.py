"""The hand-over of an outcome to the record: synchronous, so that no cancel can come between.

Records and limits join here with their own parts of the contract (SPEC 7, 9); in this version an
outcome goes to the log, with the fields that the record will have.
"""

from attrs import define
from twisted.internet.interfaces import IReactorTime

from neuronetz_twisted.audit.event import arrival_event, call_event
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.seams import AuditSink
from neuronetz_twisted.vocabulary import CLIENT_CLOSED, Arrival, End, Outcome, Ticket


@define
class Settlement:
    """Turns outcomes and refusals into events of the record."""

    _clock: IReactorTime
    _sink: AuditSink

    def settle(self, ticket: Ticket, outcome: Outcome) -> None:
        """Settle an admitted call. Called once for each, whatever happened to it."""
        duration = self._clock.seconds() - ticket.call.arrival.received
        self._sink.record(call_event(ticket, outcome, duration))

    def answered(self, arrival: Arrival, bytes_sent: int) -> None:
        """Record a list or a page that was answered from what the gateway knows."""
        duration = self._clock.seconds() - arrival.received
        self._sink.record(arrival_event(arrival, 200, "ok", duration, bytes_sent))

    def left(self, arrival: Arrival) -> None:
        """Record a client that went before its request was admitted."""
        duration = self._clock.seconds() - arrival.received
        event = arrival_event(arrival, CLIENT_CLOSED, End.CLIENT_GONE.value, duration)
        self._sink.record(event)

    def refused(self, arrival: Arrival, refusal: Refusal) -> None:
        """Record a request that was refused before it was admitted."""
        duration = self._clock.seconds() - arrival.received
        self._sink.record(arrival_event(arrival, refusal.status, refusal.outcome, duration))
