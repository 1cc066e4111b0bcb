"""A deadline that says truthfully why it ended."""

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DeadlinePassed
from neuronetz_twisted.upstream.deadline import Deadline, Timeouts


class DeadlineTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Two things that take their time, to be there within three seconds from second two on."""
        self.clock = Clock()
        self.clock.advance(2)
        self.cancels = 0
        self.first: Deferred[str] = Deferred(self.count_cancel)
        self.second: Deferred[str] = Deferred(self.count_cancel)
        self.timeouts = Timeouts(self.clock, 3.0)
        self.deadline = Deadline(self.timeouts)
        self.work: Deferred[str] = Deferred.fromCoroutine(self.both())

    async def both(self) -> str:
        """Await one, then the other."""
        with self.deadline:
            self.deadline.start()
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

    def test_interrupted(self) -> None:
        """The first interruption cancels the wait, and is raised in the place of the cancel."""
        self.deadline.interrupt(KeyError())
        self.deadline.interrupt(ValueError())
        self.failureResultOf(self.work, KeyError)
        self.assertEqual(self.cancels, 1)
        self.at_rest()

    def waited(self, deadline: Deadline, inner: "Deferred[str]") -> "Deferred[str]":
        """Start a wait under a deadline that runs or not."""

        async def work() -> str:
            with deadline:
                return await deadline.wait(inner)

        return Deferred.fromCoroutine(work())

    def test_starts_once(self) -> None:
        """A second start changes nothing."""
        self.clock.advance(1)
        self.deadline.start()
        self.clock.advance(2)
        self.failureResultOf(self.work, DeadlinePassed)

    def test_passed_before_the_wait(self) -> None:
        """What is awaited too late is cancelled at once; what is there already passes."""
        for inner, passes in ((Deferred(self.count_cancel), False), (succeed("x"), True)):
            deadline = Deadline(Timeouts(self.clock, 1.0))
            deadline.start()
            self.clock.advance(1.0)
            waiting = self.waited(deadline, inner)
            if passes:
                self.assertEqual(self.successResultOf(waiting), "x")
            else:
                self.failureResultOf(waiting, DeadlinePassed)
        self.work.cancel()
        self.failureResultOf(self.work, CancelledError)
        self.at_rest()

    def test_not_started(self) -> None:
        """Without a start there is no timer and no end."""
        waiting = self.waited(Deadline(self.timeouts), Deferred())
        self.clock.advance(9)
        self.failureResultOf(self.work, DeadlinePassed)
        self.assertNoResult(waiting)
        self.at_rest()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)


class TimeoutsTests(SynchronousTestCase):
    """Several deadlines of three seconds, each with one wait."""

    def setUp(self) -> None:
        """None runs."""
        self.clock = Clock()
        self.timeouts = Timeouts(self.clock, 3.0)
        self.inner: list[Deferred[str]] = []

    def work(self) -> "Deferred[str]":
        """Start a wait."""
        inner: Deferred[str] = Deferred()
        self.inner.append(inner)

        async def work() -> str:
            with Deadline(self.timeouts) as deadline:
                deadline.start()
                return await deadline.wait(inner)

        return Deferred.fromCoroutine(work())

    def then(self, first: "Deferred[str]", late: "list[Deferred[str]]") -> None:
        """Start another wait when one fails."""
        first.addErrback(lambda _: late.append(self.work()))

    def test_each_at_its_time(self) -> None:
        """They share a timer, and pass neither too early nor too late."""
        works = []
        for _ in range(3):
            works.append(self.work())
            self.clock.advance(0.7)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0.8)
        self.assertNoResult(works[0])
        for work in works:
            self.assertNoResult(work)
            self.clock.advance(0.1 + 1e-9)
            self.failureResultOf(work, DeadlinePassed)
            self.clock.advance(0.6 - 1e-9)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_first_ends(self) -> None:
        """Who is in time does not take the timer of the others along; the last one does."""
        first = self.work()
        self.clock.advance(1)
        second, third = self.work(), self.work()
        self.inner[0].callback("x")
        self.assertEqual(self.successResultOf(first), "x")
        self.clock.advance(2.9)
        self.inner[1].callback("y")
        self.assertEqual(self.successResultOf(second), "y")
        self.assertNoResult(third)
        self.clock.advance(0.1)
        self.failureResultOf(third, DeadlinePassed)
        fourth = self.work()
        self.inner[3].callback("z")
        self.assertEqual(self.successResultOf(fourth), "z")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_another_starts_as_one_passes(self) -> None:
        """It has all its time, also where it is the only one left or ends at once."""
        for others in (0, 1):
            for ends in (False, True):
                with self.subTest(others=others, ends=ends):
                    self.setUp()
                    first = self.work()
                    self.clock.advance(1)
                    rest = [self.work() for _ in range(others)]
                    late: list[Deferred[str]] = []
                    self.then(first, late)
                    if ends:
                        first.addCallback(lambda _: self.inner[-1].callback("x"))
                    self.clock.advance(2)
                    self.assertEqual(len(self.clock.getDelayedCalls()), int(others or not ends))
                    self.clock.advance(2.9)
                    for other in rest:
                        self.failureResultOf(other, DeadlinePassed)
                    if ends:
                        self.assertEqual(self.successResultOf(late[0]), "x")
                    else:
                        self.assertNoResult(late[0])
                        self.clock.advance(0.1)
                        self.failureResultOf(late[0], DeadlinePassed)
                    self.assertEqual(self.clock.getDelayedCalls(), [])
