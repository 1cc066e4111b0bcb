"""Counted refusals are recorded each minute, and at the end."""

from unittest.mock import Mock, patch

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.audit.refusals import Refusals
from neuronetz_twisted.errors import InvalidApiKey
from neuronetz_twisted.settlement.minutes import MINUTE_S, RefusalMinutes
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.testing.admission import FakeLimiter
from neuronetz_twisted.testing.audit import FakePrompts, FakeTrail
from neuronetz_twisted.testing.calls import RecordingSink, made_arrival


class RefusalMinutesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Every refusal is only counted."""
        self.clock = Clock()
        self.trail = FakeTrail()
        self.settlement = Settlement(
            clock=self.clock,
            trail=self.trail,
            limiter=FakeLimiter(),
            estimates=PromptEstimates(),
            log=RecordingSink(),
            prompts=FakePrompts(),
            bucket_of=str,
            of_strangers=Refusals(per_caller=0),
        )
        self.minutes = RefusalMinutes(self.clock, self.settlement)

    def refuse(self) -> None:
        """Count a refusal."""
        self.settlement.refused(made_arrival(), InvalidApiKey())

    def test_each_minute(self) -> None:
        """At its end, not before."""
        self.minutes.startService()
        for expected in (1, 2):
            self.refuse()
            self.clock.advance(MINUTE_S - 1)
            self.assertEqual(len(self.trail.notes), expected - 1)
            self.clock.advance(1)
            self.assertEqual(len(self.trail.notes), expected)

    def test_stop(self) -> None:
        """What was counted is recorded; nothing is left behind."""
        self.minutes.startService()
        self.refuse()
        self.successResultOf(self.minutes.stopService())
        self.assertEqual(len(self.trail.notes), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_without_a_start(self) -> None:
        """A gateway that did not come up can be stopped."""
        self.successResultOf(self.minutes.stopService())

    def test_a_fault(self) -> None:
        """A fault of ours is logged, and the next minute is recorded all the same."""
        self.minutes.startService()
        self.refuse()
        with patch.object(self.settlement, "_trail", None):
            self.clock.advance(MINUTE_S)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.refuse()
        self.clock.advance(MINUTE_S)
        self.assertEqual(len(self.trail.notes), 1)

    def test_a_fault_at_the_end(self) -> None:
        """It does not keep the gateway from its end."""
        self.minutes.startService()
        self.refuse()
        self.patch(self.settlement, "_trail", None)
        self.successResultOf(self.minutes.stopService())
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_given_up(self) -> None:
        """Who waits for the end may stop waiting; that is no fault."""
        minutes = RefusalMinutes(self.clock, Mock(minute_over=Deferred))
        stopping = minutes.stopService()
        stopping.cancel()
        self.failureResultOf(stopping, CancelledError)
        self.assertEqual(self.flushLoggedErrors(), [])
