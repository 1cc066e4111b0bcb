from functools import partial

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.owed import PORTION, Owed
from neuronetz_twisted.errors import LimitsUnavailable, RedisUnavailable


class OwedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Owe nothing."""
        self.clock = Clock()
        self.owed = Owed(clock=self.clock, most=3, chance=lambda: 1.0)
        self.tries: list[tuple[str, Deferred[None]]] = []

    def owe(self, name: str, what: str | None = None) -> None:
        """Owe a call; each attempt is kept."""

        def attempt() -> Deferred[None]:
            answer: Deferred[None] = Deferred()
            self.tries.append((what or name, answer))
            return answer

        self.owed.owe(name, attempt)

    def made(self) -> list[str]:
        """What was tried, in order."""
        return [what for what, _ in self.tries]

    def acknowledge(self, place: int = -1) -> None:
        """Let an attempt succeed."""
        self.tries[place][1].callback(None)

    def lose(self, place: int = -1) -> None:
        """Let an attempt fail."""
        self.tries[place][1].errback(RedisUnavailable("late"))

    def test_at_once(self) -> None:
        """A call is made at once and, acknowledged, owed no more."""
        self.owe("a")
        self.assertEqual((self.made(), len(self.owed)), (["a"], 1))
        self.acknowledge()
        self.assertEqual(len(self.owed), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_until_it_is_acknowledged(self) -> None:
        """It is made again after growing pauses, however often it fails."""
        self.owe("a")
        for pause in (0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
            self.lose()
            self.clock.advance(pause - 0.01)
            made = len(self.tries)
            self.clock.advance(0.01)
            self.assertEqual(len(self.tries), made + 1)
        self.tries[-1][1].errback(LimitsUnavailable())
        self.clock.advance(5.0)
        self.acknowledge()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.owe("b")
        self.lose()
        self.clock.advance(0.2)
        self.assertEqual(self.made()[-2:], ["b", "b"])

    def test_together(self) -> None:
        """Those that wait are made again in one turn; one under way is not."""
        for name in ("a", "b", "c"):
            self.owe(name)
        self.lose(0)
        self.lose(1)
        self.clock.advance(0.2)
        self.assertEqual(self.made(), ["a", "b", "c", "a", "b"])

    def test_another_of_the_same_name(self) -> None:
        """While one is under way its successor waits for it, and is then made too."""
        self.owe("a", "old")
        self.owe("a", "new")
        self.assertEqual(self.made(), ["old"])
        self.acknowledge()
        self.assertEqual((self.made(), len(self.owed)), (["old", "new"], 1))
        self.acknowledge()
        self.assertEqual(len(self.owed), 0)

    def test_a_successor_takes_over_the_wait(self) -> None:
        """After a failure only the successor is made."""
        self.owe("a", "old")
        self.lose()
        self.owe("a", "new")
        self.clock.advance(0.2)
        self.assertEqual(self.made(), ["old", "new"])

    def test_full(self) -> None:
        """Whoever asks learns that there are as many as there may be."""
        for name in ("a", "b", "c"):
            self.assertFalse(self.owed.is_full)
            self.owe(name)
        self.assertTrue(self.owed.is_full)

    def test_portions(self) -> None:
        """Very many are not made again in one turn."""
        for number in range(PORTION + 1):
            self.owe(str(number))
        for place in range(PORTION + 1):
            self.lose(place)
        self.clock.advance(0.2)
        self.assertEqual(len(self.tries), 2 * PORTION + 1)
        self.clock.advance(0.01)
        self.assertEqual(len(self.tries), 2 * PORTION + 2)

    def test_those_that_always_fail(self) -> None:
        """Debts that fail at once, in a whole portion, do not keep those behind from their turn."""
        tried: list[int] = []

        def attempt(number: int) -> Deferred[None]:
            tried.append(number)
            return fail(RedisUnavailable("away"))

        for number in range(PORTION + 1):
            self.owed.owe(number, partial(attempt, number))
        tried.clear()
        self.clock.advance(0.2)
        self.assertEqual(tried, list(range(PORTION)))
        self.clock.advance(0.01)
        self.assertEqual(tried[PORTION:], [PORTION])
        self.clock.advance(0.39)
        self.assertEqual(len(tried), PORTION + 1)
        self.clock.advance(0.01)
        self.assertEqual(len(tried), 2 * PORTION + 1)

    def test_each_once_in_a_round(self) -> None:
        """However many fail, and however late, each is tried once between two pauses."""
        self.owed = Owed(clock=self.clock, most=10_000, chance=lambda: 1.0)
        for number in range(3 * PORTION):
            self.owe(str(number))
        for place in range(3 * PORTION):
            self.lose(place)
        for pause in (0.2, 0.4, 0.8):
            made = len(self.tries)
            self.clock.advance(pause)
            self.lose(made)
            self.clock.pump([0.01] * 5)
            self.assertEqual(len(self.tries), made + 3 * PORTION)
            for place in range(made + 1, made + 3 * PORTION):
                self.lose(place)

    def test_unforeseen(self) -> None:
        """A fault of ours is logged, and the call made again all the same."""
        self.owe("a")
        self.tries[-1][1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(0.2)
        self.assertEqual(self.made(), ["a", "a"])

    def test_paid(self) -> None:
        """At the end all is tried at once; it is over when the last is acknowledged."""
        self.assertIsNone(self.successResultOf(self.owed.paid(2.0)))
        for name in ("a", "b"):
            self.owe(name)
            self.lose()
        paid = self.owed.paid(2.0)
        self.clock.advance(0.0)
        self.assertEqual(self.made(), ["a", "b", "a", "b"])
        self.acknowledge(2)
        self.assertNoResult(paid)
        self.acknowledge(3)
        self.successResultOf(paid)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_paid(self) -> None:
        """At the end of its time it is given up; a late answer changes nothing."""
        for name in ("a", "b", "c"):
            self.owe(name)
        self.lose(0)
        paid = self.owed.paid(2.0)
        self.clock.advance(0.0)
        self.lose(3)
        self.clock.advance(2.0)
        self.successResultOf(paid)
        given_up = len(self.tries)
        self.acknowledge(1)
        self.lose(2)
        self.clock.advance(10.0)
        self.assertEqual((len(self.owed), len(self.tries)), (0, given_up))
        self.assertEqual(self.clock.getDelayedCalls(), [])
