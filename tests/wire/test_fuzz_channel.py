"""Requests that are almost right, in any segments, from clients that come and go."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.channel_drive import SEEDS, ChannelDrive
from tests.wire.mutations import mutated

EXAMPLES = 600
SEED = st.integers(0, 2**64 - 1)


class ChannelFuzzTests(SynchronousTestCase):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changes=SEED, events=SEED)
    def test_changed_entries(self, changes: int, events: int) -> None:
        """Nothing is raised, nothing hangs, memory is bounded, and every answer is exact."""
        ChannelDrive().run(events, mutated(changes, SEEDS))
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=EXAMPLES // 3, derandomize=True, deadline=None, database=None)
    @given(data=st.binary(max_size=300), events=SEED)
    def test_any_bytes(self, data: bytes, events: int) -> None:
        """The same for bytes that mean nothing."""
        ChannelDrive().run(events, data)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_entries_as_they_are(self) -> None:
        """Most of what is drawn gets an answer: the drive does reach the application."""
        answers = [ChannelDrive().run(number, data) for number, data in enumerate(SEEDS)]
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertGreater(sum(map(bool, answers)), len(SEEDS) // 2)
