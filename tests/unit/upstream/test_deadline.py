"""A deadline that says truthfully why it ended."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DeadlinePassed
from neuronetz_twisted.upstream.deadline import Deadline


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Two things that take their time, to be there within three seconds from second two on."""
        self.clock = Clock()
        self.clock.advance(2)
        self.cancels = 0
        self.first: Deferred[str] = Deferred(self.count_cancel)
        self.second: Deferred[str] = Deferred(self.count_cancel)
        self.deadline = Deadline(self.clock)
        self.work: Deferred[str] = Deferred.fromCoroutine(self.both())

    async def both(self) -> str:
        """Await one, then the other."""
        with self.deadline:
            self.deadline.start(3.0)
            return await self.deadline.wait(self.first) + await self.deadline.wait(self.second)

    def count_cancel(self, _: "Deferred[str]") -> None:
        """Count."""
        self.cancels += 1

    def at_rest(self) -> None:
        """No timer is left."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_time(self) -> None:
        """The results pass; one timer serves both."""
        self.clock.advance(1.5)
        self.first.callback("he")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(1.4)
        self.second.callback("re")
        self.assertEqual(self.successResultOf(self.work), "here")
        self.at_rest()

    def test_failure_in_time(self) -> None:
        """So does a failure."""
        self.first.errback(Failure(KeyError()))
        self.failureResultOf(self.work, KeyError)
        self.at_rest()

    def test_too_late(self) -> None:
        """At the deadline what is awaited is cancelled."""
        self.clock.advance(2.9)
        self.first.callback("he")
        self.clock.advance(0.1)
        self.failureResultOf(self.work, DeadlinePassed)
        self.assertEqual(self.cancels, 1)
        self.at_rest()

    def test_cancelled(self) -> None:
        """A cancel from outside is a cancel."""
        self.work.cancel()
        self.failureResultOf(self.work, CancelledError)
        self.assertEqual(self.cancels, 1)
        self.at_rest()

    def waited(self, work: Coroutine[Any, Any, str]) -> "Deferred[str]":
        """Start a wait."""
        return Deferred.fromCoroutine(work)

    def test_starts_once(self) -> None:
        """A second start changes nothing."""
        self.deadline.start(9.0)
        self.clock.advance(3)
        self.failureResultOf(self.work, DeadlinePassed)

    def test_passed_before_the_wait(self) -> None:
        """What is awaited too late is cancelled at once; what is there already passes."""
        deadline = Deadline(self.clock)
        deadline.start(1.0)
        self.clock.advance(1.0)
        never: Deferred[str] = Deferred(self.count_cancel)
        self.failureResultOf(self.waited(deadline.wait(never)), DeadlinePassed)
        self.assertEqual(self.successResultOf(self.waited(deadline.wait(succeed("x")))), "x")
        self.work.cancel()
        self.failureResultOf(self.work, CancelledError)

    def test_not_started(self) -> None:
        """Without a start there is no timer and no end."""
        with Deadline(self.clock) as deadline:
            waiting = self.waited(deadline.wait(Deferred()))
            self.clock.advance(2.9)
            self.assertNoResult(waiting)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
