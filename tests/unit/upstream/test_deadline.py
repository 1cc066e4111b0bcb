"""A deadline that says truthfully why it ended."""

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DeadlinePassed
from neuronetz_twisted.upstream.deadline import within


class WithinTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Something that takes its time, to be there at second five."""
        self.clock = Clock()
        self.clock.advance(2)
        self.inner: Deferred[str] = Deferred(self.cancelled)
        self.cancels = 0
        self.outer = within(self.clock, 5.0, self.inner)

    def cancelled(self, inner: "Deferred[str]") -> None:
        """Fail as an agent does: not with what the caller should see."""
        self.cancels += 1
        inner.errback(ValueError("what it was doing"))

    def at_rest(self) -> None:
        """No timer is left."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_time(self) -> None:
        """The result passes."""
        self.clock.advance(2.9)
        self.inner.callback("here")
        self.assertEqual(self.successResultOf(self.outer), "here")
        self.at_rest()

    def test_failure_in_time(self) -> None:
        """So does a failure."""
        self.inner.errback(Failure(KeyError()))
        self.failureResultOf(self.outer, KeyError)
        self.at_rest()

    def test_too_late(self) -> None:
        """At the deadline the work is cancelled, and what it then says is dropped."""
        self.clock.advance(3)
        self.failureResultOf(self.outer, DeadlinePassed)
        self.assertEqual(self.cancels, 1)
        self.at_rest()

    def test_cancelled(self) -> None:
        """A cancel is a cancel, whatever the work makes of it."""
        self.outer.cancel()
        self.failureResultOf(self.outer, CancelledError)
        self.assertEqual(self.cancels, 1)
        self.at_rest()

    def test_there_already(self) -> None:
        """A result that is there needs no timer, even past the deadline."""
        self.assertEqual(self.successResultOf(within(self.clock, 0.0, succeed("here"))), "here")
        self.inner.callback("")
        self.at_rest()
