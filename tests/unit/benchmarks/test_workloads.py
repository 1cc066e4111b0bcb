"""What a run does."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.targets import NO_LIMIT
from benchmarks.workloads import WORKLOADS, plan


def names(*wanted: str, quick: bool = False) -> list[str]:
    """The names of a plan."""
    return [workload.name for workload in plan(wanted, quick=quick)]


class PlanTests(SynchronousTestCase):
    """Which workloads are chosen."""

    def test_all(self) -> None:
        """Without names, all."""
        self.assertEqual(names(), [workload.name for workload in WORKLOADS])

    def test_group(self) -> None:
        """A name stands for its group, and a whole name for itself alone."""
        self.assertEqual(names("chat"), ["chat-1", "chat-16", "chat-64"])
        self.assertEqual(names("paced-100"), ["paced-100"])

    def test_unknown(self) -> None:
        """A name that fits none is refused with those that there are."""
        error = self.assertRaises(ValueError, plan, ["chats"], quick=False)
        self.assertIn("chat-16", str(error))

    def test_quick(self) -> None:
        """A quick run has one round of each, and no slow peers on paced streams."""
        workloads = {workload.name: workload for workload in plan([], quick=True)}
        self.assertEqual({workload.rounds for workload in workloads.values()}, {1})
        self.assertEqual(workloads["paced-500"].rounds_of(500), 0)
        self.assertEqual(workloads["chat-16"].rounds_of(500), 1)
        self.assertNotIn("paced-2000", workloads)


class RoundTests(SynchronousTestCase):
    """How often a target is measured."""

    def test_streams(self) -> None:
        """All rounds for the fast, one for those with a limit, none beyond it."""
        (workload,) = plan(["paced-500"], quick=False)
        rounds = [workload.rounds_of(most) for most in (NO_LIMIT, 500, 499)]
        self.assertEqual(rounds, [workload.rounds, 1, 0])
