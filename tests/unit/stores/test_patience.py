"""A deadline that waits for what has arrived."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.patience import GRACE_S, Patience


class PatienceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Ten seconds are given."""
        self.clock = Clock()
        self.called: list[str] = []
        self.patience = Patience(self.clock, 10.0, self.called.append, "over")

    def test_over(self) -> None:
        """It comes once, when the time and the grace are over."""
        self.clock.advance(10.0)
        self.clock.advance(GRACE_S / 2)
        self.assertEqual((self.called, self.patience.active()), ([], True))
        self.clock.advance(GRACE_S / 2)
        self.assertEqual((self.called, self.patience.active()), (["over"], False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_slow_turn_uses_nothing_up(self) -> None:
        """However late the timer is, the grace is still to come."""
        self.clock.advance(1000)
        self.assertEqual((self.called, self.patience.active()), ([], True))
        self.clock.advance(GRACE_S)
        self.assertEqual(self.called, ["over"])

    def test_two_more_turns(self) -> None:
        """Timers run before sockets are read: what the grace's own turn found is read first."""
        turns: list[float] = []

        class Turns(Clock):
            def callLater(self, when: float, *rest: object, **named: object) -> object:  # type: ignore[override]
                turns.append(when)
                return super().callLater(when, *rest, **named)  # type: ignore[arg-type]

        clock = Turns()
        Patience(clock, 10.0, self.called.append, "over")
        clock.pump([10.0, GRACE_S])
        self.assertEqual(turns, [10.0, GRACE_S, 0.0, 0.0])

    def test_called_off(self) -> None:
        """In time or in the grace, nothing is left of it."""
        for seconds in (1.0, 10.0):
            with self.subTest(seconds=seconds):
                self.setUp()
                self.clock.advance(seconds)
                self.patience.cancel()
                self.assertFalse(self.patience.active())
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.clock.advance(100)
                self.assertEqual(self.called, [])
