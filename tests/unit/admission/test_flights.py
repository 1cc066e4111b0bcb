"""Single flight: one piece of work, many who wait, each free to leave."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.flights import SingleFlight
from neuronetz_twisted.errors import InvalidApiKey


class Broken(Exception):  # noqa: N818 - a name for a fault
    """A fault that nobody foresaw."""


class SingleFlightTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Nothing is under way."""
        self.flights: SingleFlight[str, int] = SingleFlight()
        self.works: list[Deferred[int]] = []

    async def work(self) -> int:
        """Work that ends when the test says so."""
        self.works.append(Deferred())
        return await self.works[-1]

    def test_those_who_wait_share_one_work(self) -> None:
        """The second starts nothing and gets the same result."""
        waiters = [self.flights.join("a", self.work) for _ in range(3)]
        self.assertEqual(len(self.works), 1)
        self.works[0].callback(5)
        self.assertEqual([self.successResultOf(waiter) for waiter in waiters], [5, 5, 5])

    def test_keys_are_apart(self) -> None:
        """Another key is another work."""
        first, second = self.flights.join("a", self.work), self.flights.join("b", self.work)
        self.works[1].callback(2)
        self.assertNoResult(first)
        self.assertEqual(self.successResultOf(second), 2)

    def test_after_the_end_a_new_work_starts(self) -> None:
        """Results are handed out, not kept; also for one who asks while being answered."""
        again: list[Deferred[int]] = []
        first = self.flights.join("a", self.work)
        first.addCallback(lambda _: again.append(self.flights.join("a", self.work)))
        self.works[0].callback(1)
        self.assertEqual(len(self.works), 2)
        self.works[1].callback(2)
        self.assertEqual(self.successResultOf(again[0]), 2)

    def test_a_cancelled_waiter_leaves_alone(self) -> None:
        """The work and the others go on, also when the one who began it leaves."""
        first, second = self.flights.join("a", self.work), self.flights.join("a", self.work)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.works[0].callback(7)
        self.assertEqual(self.successResultOf(second), 7)

    def test_a_waiter_cancelled_by_another_ones_answer(self) -> None:
        """He gets his cancellation, the third his result."""
        first, second, third = (self.flights.join("a", self.work) for _ in range(3))
        first.addCallback(lambda _: second.cancel())
        self.works[0].callback(7)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(third), 7)

    def test_the_work_ends_though_all_have_left(self) -> None:
        """Nobody hears the result, and the key is free again."""
        waiter = self.flights.join("a", self.work)
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.works[0].callback(1)
        self.flights.join("a", self.work)
        self.assertEqual(len(self.works), 2)

    def test_each_gets_a_refusal_of_his_own(self) -> None:
        """Equal in all that it says, but without the frames of the work."""
        first, second = self.flights.join("a", self.work), self.flights.join("a", self.work)
        self.works[0].errback(InvalidApiKey(why="wrong", retry_after=3))
        refusals = [self.failureResultOf(w, InvalidApiKey).value for w in (first, second)]
        self.assertIsNot(refusals[0], refusals[1])
        for refusal in refusals:
            self.assertEqual((refusal.why, refusal.retry_after), ("wrong", 3))
            self.assertIsNone(refusal.__traceback__)

    def test_a_fault_reaches_all(self) -> None:
        """An unforeseen failure is each waiter's failure."""
        first, second = self.flights.join("a", self.work), self.flights.join("a", self.work)
        self.works[0].errback(Broken())
        self.failureResultOf(first, Broken)
        self.failureResultOf(second, Broken)

    def test_a_fault_that_nobody_hears_is_logged(self) -> None:
        """A refusal is not: it was an answer to one who has left."""
        for error in (Broken(), InvalidApiKey(why="wrong")):
            waiter = self.flights.join("a", self.work)
            waiter.cancel()
            self.failureResultOf(waiter, CancelledError)
            self.works[-1].errback(error)
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)
