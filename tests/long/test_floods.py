"""The flood of wrong keys with the real cost of argon2, in figures."""

import sys
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tests.flood import MOST_GROWTH, REFUSALS, flood
from tests.gateway import REAL_ARGON2, own_stack

ROUNDS = 5
REFUSED_S = 5.0
LET_IN_S = 10.0


class FloodTests(SynchronousTestCase):
    def test_floods(self) -> None:
        """Again and again, from one address and from hundreds."""
        costs = {f"ARGON2_{name.upper()}": str(cost) for name, cost in REAL_ARGON2.items()}
        stack = own_stack(self, **costs)
        for addresses in (1, 500) * ROUNDS:
            seen = flood(stack, REAL_ARGON2, addresses=addresses)
            slowest = max(answer.seconds for answer in seen.answers)
            sys.stderr.write(
                f"\n{addresses} addresses: {dict(Counter(a.status for a in seen.answers))},"
                f" slowest {slowest:.2f} s, {seen.growth / 1e6:.0f} MB more,"
                f" {len(seen.warm)} warm up to {max(a.seconds for a in seen.warm):.2f} s,"
                f" cold keys let in after {max(seen.let_in_after, default=0):.2f} s"
            )
            self.assertTrue({answer.status for answer in seen.answers} <= REFUSALS)
            self.assertTrue(slowest < REFUSED_S, f"{slowest} s")
            self.assertTrue(seen.growth < MOST_GROWTH, f"{seen.growth} bytes more")
            self.assertEqual({answer.status for answer in seen.warm}, {200})
            self.assertEqual(len(seen.let_in_after), 2)
            self.assertTrue(max(seen.let_in_after) < LET_IN_S, f"{seen.let_in_after}")
        sys.stderr.write("\n")
