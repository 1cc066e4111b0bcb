"""The life of a request, on one page.

    edge        bytes -> a request; who is calling (edge/doors.py calls `Pipeline.run`)
    admission   may it run?            -> Ticket, whose intent is in the spool, or a Refusal
    upstream    which backend, ask it  -> a native Ollama stream whose first frame is there
    relay       frames through, metered, with back-pressure -> Outcome
    settlement  what it really cost: exactly once, synchronous
    audit       the record that outlives us

Every call that gets a ticket is settled, whatever happens after: the last step is synchronous, so
that neither a client that goes nor a second cancel can come between (SPEC 2, R3).
"""

from collections.abc import Callable

from attrs import define
from twisted.internet.defer import CancelledError

from neuronetz_twisted.admission.admit import Admission
from neuronetz_twisted.dialects.writers import Writer
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.seams import AuditTrail, Client, Upstream
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.vocabulary import Call, End, Outcome, Ticket

UNKNOWN = Outcome(end=End.FAILED, word=End.FAILED.value, status=500)


@define
class Pipeline:
    """The six steps, joined. One instance serves all requests."""

    _admission: Admission
    _upstream: Upstream
    _live: LiveCalls
    _relay: Relay
    _settlement: Settlement
    _trail: AuditTrail

    async def run(
        self,
        call: Call,
        client: Client,
        writer_of: Callable[[Ticket], Writer],
        admitted: Callable[[Ticket], object],
    ) -> None:
        """Run one call to its end; cancelled when the client goes.

        Raises the refusal of one that is not admitted. From when `admitted` is called, it is
        answered and settled here: only a fault of ours can come out then, and it is on record.
        """
        ticket = await self._admission.admit(call)
        live = self._live.enter(ticket)
        outcome = UNKNOWN
        try:
            admitted(ticket)
            if (committed := self._trail.committed()) is not None:
                # AUDIT_DURABILITY=disk: the intent is not only written, it is on the disk.
                await committed
            stream = await self._upstream.open(ticket, live)
            outcome = await self._relay.run(stream, client, live, writer_of(ticket))
        except Refusal as refusal:
            outcome = live.ended_by(refusal)
            client.refuse(refusal)
        except CancelledError as gone:
            outcome = live.ended_by(gone)
        finally:
            self._live.leave(live)
            self._settlement.settle(ticket, outcome)
