"""A settlement between fakes, at second three."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.audit.refusals import Refusals
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.testing.admission import FakeLimiter
from neuronetz_twisted.testing.audit import FakePrompts, FakeSlot, FakeTrail
from neuronetz_twisted.testing.calls import RecordingSink
from neuronetz_twisted.vocabulary import End, Outcome, Ticket, Usage

OK = Outcome(
    end=End.COMPLETE,
    word="ok",
    status=200,
    usage=Usage(prompt_tokens=3, completion_tokens=2),
    bytes_sent=9,
    first_byte_after=0.25,
    backend="default",
)


class SettlementTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """It is second three."""
        self.clock = Clock()
        self.clock.advance(3)
        self.trail = FakeTrail()
        self.sink = RecordingSink()
        self.limiter = FakeLimiter()
        self.estimates = PromptEstimates()
        self.prompts = FakePrompts()
        self.settlement = Settlement(
            clock=self.clock,
            trail=self.trail,
            limiter=self.limiter,
            estimates=self.estimates,
            log=self.sink,
            prompts=self.prompts,
            bucket_of=lambda address: address.rpartition(".")[0],
            of_keys=Refusals(per_caller=1),
            of_strangers=Refusals(per_caller=2),
        )

    def settled(self, ticket: Ticket, outcome: Outcome = OK) -> dict[str, Any]:
        """Settle; gives the record in the ticket's slot."""
        self.settlement.settle(ticket, outcome)
        slot = ticket.slot
        assert isinstance(slot, FakeSlot)
        assert slot.record is not None
        return slot.record
