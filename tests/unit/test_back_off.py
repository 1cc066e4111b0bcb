"""Pauses that grow, and begin anew."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.back_off import FIRST_DELAY_S, LONGEST_DELAY_S, BackOff


class Pauses(SynchronousTestCase):
    def test_they_grow(self) -> None:
        """Each is twice the one before, up to the longest, and begins anew after a success."""
        back_off = BackOff(lambda: 1.0)
        pauses = [back_off.next() for _ in range(7)]
        self.assertEqual(pauses, [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_DELAY_S, LONGEST_DELAY_S])
        back_off.reset()
        self.assertEqual(back_off.next(), FIRST_DELAY_S)

    def test_chance(self) -> None:
        """Chance takes away half of a pause at most, so there is always one."""
        self.assertEqual(BackOff(lambda: 0.0).next(), FIRST_DELAY_S / 2)
