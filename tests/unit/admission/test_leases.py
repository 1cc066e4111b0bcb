from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.leases import (
    HOLD_S,
    Step,
    TokenLeases,
    clamped_predict,
    is_cut_by_budget,
)


def leases(*, granted: int = 100, size: int = 100, most: int = 1000) -> TokenLeases:
    """The leases of a call whose prompt has ten tokens."""
    return TokenLeases(prompt=10, granted=granted, size=size, most=most)


class TokenLeasesTests(SynchronousTestCase):
    def test_flows(self) -> None:
        """More than half a lease is left: nothing is asked for."""
        held = leases()
        self.assertEqual(held.passing(49, 0.0), 49)
        self.assertIs(held.step(0.0), Step.FLOW)
        self.assertFalse(held.is_held)
        self.assertIsNone(held.look_at)

    def test_draws_ahead_of_need(self) -> None:
        """At half a lease the next is drawn, once; the total is asked for."""
        held = leases()
        held.passing(50, 0.0)
        self.assertIs(held.step(0.0), Step.DRAW)
        self.assertEqual(held.want, 210)
        held.drawing()
        self.assertIs(held.step(0.0), Step.FLOW)
        held.drew(210)
        self.assertEqual((held.granted, held.reserved), (200, 210))
        self.assertIs(held.step(0.0), Step.FLOW)
        self.assertEqual(held.passing(150, 0.0), 150)

    def test_not_beyond_the_answer(self) -> None:
        """Nothing is drawn ahead for what the model host will not write."""
        held = leases(most=130)
        held.passing(60, 0.0)
        self.assertEqual(held.want, 140)
        held.drawing()
        held.drew(140)
        held.passing(69, 0.0)
        self.assertIs(held.step(0.0), Step.FLOW)

    def test_a_host_that_writes_on(self) -> None:
        """A host that writes more than it was told to needs a lease for that too."""
        held = leases(most=100)
        self.assertEqual(held.passing(101, 0.0), 100)
        self.assertIs(held.step(0.0), Step.DRAW_AND_HOLD)
        self.assertEqual(held.want, 210)

    def test_holds(self) -> None:
        """What no lease covers waits, and goes on when the lease is there."""
        held = leases()
        self.assertEqual(held.passing(120, 5.0), 100)
        self.assertTrue(held.is_held)
        self.assertIs(held.step(5.0), Step.DRAW_AND_HOLD)
        held.drawing()
        self.assertIs(held.step(5.0), Step.HOLD)
        self.assertEqual(held.look_at, 5.0 + HOLD_S)
        held.drew(210)
        self.assertEqual(held.passing(20, 6.0), 20)
        self.assertIs(held.step(6.0), Step.FLOW)

    def test_lease_of_one(self) -> None:
        """With leases of one token each frame draws one, and many at once wait for theirs."""
        held = leases(granted=1, size=1)
        self.assertIs(held.step(0.0), Step.DRAW)
        self.assertEqual(held.passing(3, 0.0), 1)
        for waiting in (2, 1):
            self.assertIs(held.step(0.0), Step.DRAW_AND_HOLD)
            held.drawing()
            held.drew(held.want)
            self.assertEqual(held.passing(waiting, 0.0), 1)
        self.assertFalse(held.is_held)

    def test_progress_begins_the_wait_anew(self) -> None:
        """The ten seconds are those without any lease."""
        held = leases(granted=1, size=1)
        held.passing(3, 0.0)
        held.drawing()
        held.drew(12)
        held.passing(2, 9.0)
        self.assertIs(held.step(HOLD_S + 8.0), Step.DRAW_AND_HOLD)

    def test_cut(self) -> None:
        """A budget that has nothing left ends the answer where its lease ends."""
        held = leases()
        held.passing(100, 0.0)
        self.assertFalse(held.is_held)
        self.assertEqual(held.passing(1, 0.0), 0)
        held.drawing()
        held.drew(110)
        self.assertEqual(held.passing(1, 0.0), 0)
        self.assertIs(held.step(0.0), Step.CUT)

    def test_part_of_a_lease(self) -> None:
        """What the budget still has is used before the cut."""
        held = leases()
        held.passing(120, 0.0)
        held.drawing()
        held.drew(115)
        self.assertEqual(held.passing(20, 0.0), 5)
        self.assertIs(held.step(0.0), Step.DRAW_AND_HOLD)
        held.drawing()
        held.drew(115)
        self.assertIs(held.step(0.0), Step.CUT)

    def test_refused_ahead_of_need(self) -> None:
        """Then it flows on, asks no more, and asks once more at the end of its lease."""
        held = leases()
        held.passing(60, 0.0)
        held.drawing()
        held.drew(110)
        self.assertIs(held.step(0.0), Step.FLOW)
        held.passing(41, 1.0)
        self.assertIs(held.step(1.0), Step.DRAW_AND_HOLD)
        held.drawing()
        held.drew(210)
        self.assertEqual(held.passing(1, 1.0), 1)

    def test_lost_answer(self) -> None:
        """A draw whose answer was lost is asked for again as the same total, and found."""
        held = leases()
        held.passing(60, 0.0)
        held.drawing()
        wanted = held.want
        held.failed(0.0)
        self.assertEqual(held.want, wanted)
        self.assertIs(held.step(0.0), Step.FLOW)
        self.assertIs(held.step(0.1), Step.DRAW)
        held.drawing()
        held.drew(310)
        self.assertEqual(held.granted, 300)

    def test_nothing_is_taken_back(self) -> None:
        """A Redis that has lost a lease does not take back what has passed; it is as a no."""
        held = leases()
        held.passing(60, 0.0)
        held.drawing()
        held.drew(50)
        self.assertEqual(held.granted, 100)
        self.assertIs(held.step(0.0), Step.FLOW)

    def test_late(self) -> None:
        """Asked again after growing pauses; after ten seconds the answer ends honestly."""
        held = leases()
        held.passing(101, 0.0)
        asked, now = [], 0.0
        while (step := held.step(now)) is not Step.FAIL:
            if step is Step.DRAW_AND_HOLD:
                asked.append(round(now, 1))
                held.drawing()
                held.failed(now)
            look_at = held.look_at
            assert look_at is not None
            self.assertGreater(look_at, now)
            now = look_at
        self.assertEqual(now, HOLD_S)
        self.assertEqual(asked[:6], [0.0, 0.1, 0.3, 0.7, 1.5, 2.5])

    @given(st.integers(1, 300), st.integers(1, 50), st.lists(st.integers(0, 40), max_size=40))
    def test_never_more_than_the_budget(self, budget: int, size: int, reads: list[int]) -> None:
        """Whatever comes in whatever portions, what goes on is covered, and ends where it must."""
        first = min(size, budget)
        held = TokenLeases(prompt=0, granted=first, size=size, most=10_000)
        waiting, passed, cut = 0, 0, False
        for read in reads:
            if cut:
                break
            waiting += read
            while True:
                now_passed = held.passing(waiting, 0.0)
                waiting -= now_passed
                passed += now_passed
                step = held.step(0.0)
                if step not in {Step.DRAW, Step.DRAW_AND_HOLD}:
                    break
                held.drawing()
                held.drew(min(held.want, budget))
            cut = step is Step.CUT
            self.assertEqual(waiting > 0, cut)
        self.assertEqual(passed, min(budget, passed + waiting))
        self.assertLessEqual(held.granted, budget)


class ClampTests(SynchronousTestCase):
    def test_clamped(self) -> None:
        """No more is asked of the model host than the budget has, and at least one token."""
        self.assertEqual(clamped_predict(4096, 256, None), 4096)
        self.assertEqual(clamped_predict(4096, 256, 744), 1000)
        self.assertEqual(clamped_predict(100, 256, 744), 100)
        self.assertEqual(clamped_predict(100, 40, -5), 40)
        self.assertEqual(clamped_predict(100, 0, 0), 1)

    def test_whose_cut_it_was(self) -> None:
        """The budget cut what was clamped and ended for its length, and nothing else."""
        self.assertTrue(is_cut_by_budget(4096, 1000, "length"))
        self.assertFalse(is_cut_by_budget(4096, 1000, "stop"))
        self.assertFalse(is_cut_by_budget(4096, 1000, None))
        self.assertFalse(is_cut_by_budget(4096, 4096, "length"))
