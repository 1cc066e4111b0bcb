"""The breaker of one backend, on times that are given."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.upstream.health import (
    FAILURES,
    FIRST_PAUSE_S,
    LOAD_S,
    LONGEST_PAUSE_S,
    STALL_S,
    TRIAL_S,
    Health,
)

LOOK_S = 1.0


class HealthTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """A backend of which nothing is known yet."""
        self.said: list[str] = []
        self.health = Health(LOOK_S, self.said.append)

    def fail(self, now: float = 0.0, *, trial: bool = False, unreachable: bool = False) -> None:  # type: ignore[override]
        """Let a call fail."""
        self.health.failed(now, "why", trial=trial, unreachable=unreachable)

    def opened(self) -> None:
        """Have it left out since 0."""
        self.fail(unreachable=True)
        self.said.clear()


class BreakerTests(HealthTestCase):
    def test_failures_in_a_row(self) -> None:
        """The third one counts; a first frame between makes them begin anew."""
        for _ in range(FAILURES - 1):
            self.fail()
        self.health.answered()
        for _ in range(FAILURES - 1):
            self.fail()
            self.assertTrue(self.health.is_well)
        self.fail()
        self.assertFalse(self.health.is_well)
        self.assertEqual(self.said, ["why"])

    def test_unreachable(self) -> None:
        """A host that lets nobody connect is left out at once; who else fails says no more."""
        self.fail(unreachable=True)
        self.fail(unreachable=True)
        self.fail()
        self.assertFalse(self.health.is_due(0))
        self.assertEqual(self.said, ["why"])

    def test_one_trial_after_the_pause(self) -> None:
        """Then one call is tried, and no other meanwhile."""
        self.opened()
        self.assertFalse(self.health.begin(FIRST_PAUSE_S - 0.1))
        self.assertTrue(self.health.is_due(FIRST_PAUSE_S))
        self.assertTrue(self.health.begin(FIRST_PAUSE_S))
        self.assertFalse(self.health.is_due(FIRST_PAUSE_S))
        self.assertFalse(self.health.begin(FIRST_PAUSE_S))

    def test_well_is_no_trial(self) -> None:
        """While nothing speaks against it calls are calls."""
        self.assertTrue(self.health.is_due(0))
        self.assertFalse(self.health.begin(0))

    def test_longer_pauses(self) -> None:
        """Each trial that fails doubles the pause, up to the longest."""
        self.opened()
        now, pauses = 0.0, []
        for _ in range(6):
            before = now
            while not self.health.begin(now):
                now += 0.5
            pauses.append(now - before)
            self.fail(now, trial=True)
        self.assertEqual(pauses, [FIRST_PAUSE_S, 2, 4, 8, LONGEST_PAUSE_S, LONGEST_PAUSE_S])
        self.assertEqual(self.said, [])

    def test_others_do_not_lengthen_it(self) -> None:
        """Calls that were under way when it began change nothing."""
        self.opened()
        self.fail(0.5)
        self.assertTrue(self.health.begin(FIRST_PAUSE_S))

    def test_closed_by_an_answer(self) -> None:
        """The first frame of any call, and the next pause begins at its shortest."""
        self.opened()
        self.health.begin(FIRST_PAUSE_S)
        self.fail(FIRST_PAUSE_S, trial=True)
        self.health.answered()
        self.assertTrue(self.health.is_well)
        self.assertEqual(self.said, [""])
        self.fail(5.0, unreachable=True)
        self.assertTrue(self.health.is_due(5.0 + FIRST_PAUSE_S))

    def test_a_trial_that_tells_nothing(self) -> None:
        """Where its client goes, the next call is the trial; the end of others frees nothing."""
        self.opened()
        self.health.begin(FIRST_PAUSE_S)
        self.health.ended(trial=False)
        self.assertFalse(self.health.is_due(FIRST_PAUSE_S))
        self.health.ended(trial=True)
        self.assertTrue(self.health.begin(FIRST_PAUSE_S))


class ProgressTests(HealthTestCase):
    def look(self, *seconds: float, heard: bool = False, expects: bool = True) -> None:
        """Look at these times."""
        for now in seconds:
            self.health.look(now, heard=heard, expects=expects)

    def silent(self, first: float, last: float) -> None:
        """Look each second while nothing comes."""
        while first <= last:
            self.look(first)
            first += LOOK_S

    def test_stalled(self) -> None:
        """What owes something and brings nothing for so long is left out, from the first call."""
        self.silent(101.0, 100 + STALL_S - 1)
        self.assertTrue(self.health.is_well)
        self.look(100 + STALL_S)
        self.assertTrue(self.health.is_stalled)
        self.assertFalse(self.health.is_well)
        self.silent(100 + STALL_S + 1, 140)
        (why,) = self.said
        self.assertIn("15 s", why)

    def test_it_may_be_silent_for_longer(self) -> None:
        """What was asked may need more time; then that is what counts."""
        for now in range(1, 40):
            self.health.look(now, heard=False, expects=True, allowed_s=40)
            self.assertTrue(self.health.is_well)
        self.assertEqual(self.health.quiet_s(39), 39)
        self.health.look(40, heard=False, expects=True, allowed_s=40)
        self.assertTrue(self.health.is_stalled)

    def test_longer_trials(self) -> None:
        """Each that fails leaves the next one more time, as a host may load that was restarted."""
        self.silent(1, STALL_S)
        now, times = STALL_S, []
        for _ in range(6):
            now += LONGEST_PAUSE_S
            times.append(self.health.trial_s)
            self.assertTrue(self.health.begin(now))
            self.health.failed(now, "why", trial=True)
        self.assertEqual(times, [TRIAL_S, 10, 20, 40, 80, LOAD_S])

    def test_any_byte_is_progress(self) -> None:
        """Silence begins with the last byte of any stream."""
        self.silent(1, 14)
        self.look(15, heard=True)
        self.silent(16, 29)
        self.assertFalse(self.health.is_stalled)
        self.look(30)
        self.assertTrue(self.health.is_stalled)

    def test_what_owes_nothing_is_not_silent(self) -> None:
        """While we hold every stream ourselves no byte can come."""
        self.silent(1, 14)
        self.look(15, 16, expects=False)
        self.silent(17, 30)
        self.assertFalse(self.health.is_stalled)

    def test_idle_time_does_not_count(self) -> None:
        """While nothing was under way nobody looked, and nothing was owed."""
        self.silent(1, 10)
        self.silent(50, 50 + STALL_S - 2)
        self.assertFalse(self.health.is_stalled)
        self.look(50 + STALL_S - 1)
        self.assertTrue(self.health.is_stalled)

    def test_it_goes_on(self) -> None:
        """A byte of what stood still is the end of that."""
        self.silent(1, 15)
        self.look(16, heard=True)
        self.assertTrue(self.health.is_well)
        self.assertFalse(self.health.is_stalled)
        self.assertEqual(self.said[1:], [""])

    def test_a_byte_does_not_mend_other_faults(self) -> None:
        """A host that lets nobody connect is left out, though an old stream goes on."""
        self.opened()
        self.silent(1, 20)
        self.look(21, heard=True)
        self.assertFalse(self.health.is_well)
        self.assertFalse(self.health.is_stalled)
        self.assertEqual(self.said, [])
