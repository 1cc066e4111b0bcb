"""How fast the model host learns of a client that went, in figures."""

import statistics
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.disconnects import PHASES, seconds_until_noticed
from tests.gateway import shared_stack

ROUNDS = 20
NOTICED_S = 0.05


class ClosingTests(SynchronousTestCase):
    def test_within_50_ms(self) -> None:
        """In each phase, by the median of many."""
        stack = shared_stack()
        key = stack.new_key()
        for phase in PHASES:
            seconds = [seconds_until_noticed(stack, key, phase) for _ in range(ROUNDS)]
            median, worst = statistics.median(seconds), max(seconds)
            sys.stderr.write(
                f"\n{phase.name}: median {median * 1000:.1f} ms, worst {worst * 1000:.1f} ms"
            )
            self.assertTrue(median < NOTICED_S, f"{phase.name}: {seconds}")
        sys.stderr.write("\n")
