"""Model hosts that fail under load, again and again, in figures."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.upstream.health import STALL_S
from tests.fleet import SLOTS, Fleet, shared_fleet

ROUNDS = 3
WAVES = 5
CALLS = 3 * SLOTS
"""More than two hosts have slots, and no more than they have slots and places in line."""

BACK_S = 30.0
WAVE_S = STALL_S + 15.0


@contextmanager
def _killed(fleet: Fleet) -> Iterator[None]:
    fleet.kill(0)
    try:
        yield
    finally:
        fleet.revive(0)


FAULTS: dict[str, Callable[[Fleet], AbstractContextManager[None]]] = {
    "killed": _killed,
    "frozen": lambda fleet: fleet.frozen(0),
    "stands still": lambda fleet: fleet.ill(0, fail="stall"),
    "lying": lambda fleet: fleet.ill(0, lie=True),
    "slow": lambda fleet: fleet.ill(0, slow=3),
}


class FaultTests(SynchronousTestCase):
    def test_faults(self) -> None:
        """Every call is answered, by one host alone, and the one that was ill is back in time."""
        fleet = shared_fleet()
        for _ in range(ROUNDS):
            for name, fault in FAULTS.items():
                with fault(fleet):
                    waves = [self.seconds_of_a_wave(fleet) for _ in range(WAVES)]
                back = fleet.seconds_until_served(0)
                shown = ", ".join(f"{seconds:.1f}" for seconds in waves)
                sys.stderr.write(f"\n{name}: waves of {CALLS} in {shown} s, back in {back:.1f} s")
                self.assertTrue(back < BACK_S, f"{name}: {back} s")
        sys.stderr.write("\n")

    def seconds_of_a_wave(self, fleet: Fleet) -> float:
        """How long many calls at once take."""
        began = time.monotonic()
        fleet.answered(CALLS, "[[n=9 delay=10ms wait=100ms]]", within_s=WAVE_S)
        return time.monotonic() - began
