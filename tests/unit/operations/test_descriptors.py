"""How many connections the limits of the system leave for clients."""

import resource

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.operations.descriptors import MOST, OWN, clients_within, raise_limit

NONE = resource.RLIM_INFINITY


class DescriptorsTests(SynchronousTestCase):
    def limits(self, soft: int, hard: int) -> list[tuple[int, int]]:
        """Let the process have these; gives those that are set."""
        changes: list[tuple[int, int]] = []
        self.patch(
            resource, "getrlimit", lambda which: {resource.RLIMIT_NOFILE: (soft, hard)}[which]
        )
        self.patch(
            resource,
            "setrlimit",
            lambda which, limits: changes.append({resource.RLIMIT_NOFILE: limits}[which]),
        )
        return changes

    def test_raised_to_the_hard_limit(self) -> None:
        """The soft one is only a default; the hard one is left as it is."""
        for soft, hard, expected in (
            (1024, 4096, (4096, 4096)),
            (4096, 4096, (4096, 4096)),
            (1024, MOST, (MOST, MOST)),
            (1024, 2 * MOST, (MOST, 2 * MOST)),
            (1024, NONE, (MOST, NONE)),
        ):
            with self.subTest(soft=soft, hard=hard):
                changes = self.limits(soft, hard)
                raise_limit()
                self.assertEqual(changes, [expected])

    def test_of_this_process(self) -> None:
        """What is asked for is what the system grants."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        raise_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual((soft, hard), (min(hard, MOST) if hard != NONE else MOST, before[1]))

    def test_clients(self) -> None:
        """As many as are wanted, or what model hosts and we ourselves leave of the limit."""
        for soft, wanted, upstream, expected in (
            (NONE, 10**9, 100, 10**9),
            (4096, 1000, 100, 1000),
            (4096, 10_000, 100, 4096 - 100 - OWN),
            (4096, 4096 - 100 - OWN, 100, 4096 - 100 - OWN),
            (4096, 4097 - 100 - OWN, 100, 4096 - 100 - OWN),
            (100, 1000, 100, 1),
            (1024, 1000, 10**6, 1),
        ):
            with self.subTest(soft=soft, wanted=wanted):
                self.limits(soft, NONE)
                self.assertEqual(clients_within(wanted, upstream), expected)
