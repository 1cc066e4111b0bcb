"""Answers that are almost right, in any segments, from model hosts that come and go."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.agent_drive import SEEDS, AgentDrive
from tests.wire.mutations import mutated

EXAMPLES = 600
SEED = st.integers(0, 2**64 - 1)


class AgentFuzzTests(SynchronousTestCase):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changes=SEED, events=SEED)
    def test_changed_answers(self, changes: int, events: int) -> None:
        """Nothing is raised or left behind, and every request and every body has one end."""
        AgentDrive().run(events, mutated(changes, SEEDS))
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=EXAMPLES // 3, derandomize=True, deadline=None, database=None)
    @given(data=st.binary(max_size=300), events=SEED)
    def test_any_bytes(self, data: bytes, events: int) -> None:
        """The same for bytes that mean nothing."""
        AgentDrive().run(events, data)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_answers_as_they_are(self) -> None:
        """Many of them are answers: the drive does reach the bodies."""
        asked = [AgentDrive().run(seed, data)[0] for data in SEEDS for seed in range(9)]
        self.assertEqual(self.flushLoggedErrors(), [])
        answered = [one for one in asked if one.response is not None]
        self.assertGreater(len(answered), len(SEEDS))
        self.assertTrue(any(one.reader is not None and one.reader.done for one in answered))
