"""Hundreds of wrong but well-formed keys at once are refused at no cost to others (SPEC 5)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.flood import MOST_GROWTH, REFUSALS, flood
from tests.gateway import CHEAP_ARGON2, own_stack

ANSWERED_S = within(5.0)


class FloodTests(SynchronousTestCase):
    def test_floods(self) -> None:
        """From one address or from hundreds: all refused, the right keys are let in."""
        stack = own_stack(self)
        for addresses in (1, 500):
            seen = flood(stack, CHEAP_ARGON2, addresses=addresses)
            self.assertTrue({answer.status for answer in seen.answers} <= REFUSALS)
            slowest = max(answer.seconds for answer in [*seen.answers, *seen.warm])
            self.assertTrue(slowest < ANSWERED_S, f"{slowest} s")
            self.assertTrue(seen.growth < MOST_GROWTH, f"{seen.growth} bytes more")
            self.assertEqual({answer.status for answer in seen.warm}, {200})
            self.assertEqual(len(seen.let_in_after), 2)
            self.assertTrue(max(seen.let_in_after) < ANSWERED_S, f"{seen.let_in_after}")
            for answer in seen.answers:
                self.assertEqual("retry-after" in answer.headers, answer.status != 401)
