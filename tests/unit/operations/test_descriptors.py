"""How many connections the limits of the system leave for clients."""

import resource

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.operations.descriptors import MOST, OWN, STEPS, clients_within, raise_limit

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

    def test_a_system_that_refuses(self) -> None:
        """Less is asked for, step by step, but never less than there is; it is no fault."""
        for soft, most, expected in (
            (256, 24_576, 24_576),
            (256, 10_240, 10_240),
            (256, 300, None),
            (24_576, 10_240, None),
        ):
            with self.subTest(soft=soft, most=most):
                self.limits(soft, NONE)
                granted: list[int] = []

                def change(_: int, limits: tuple[int, int]) -> None:
                    if limits[0] > most:  # noqa: B023 - called in this round
                        raise (ValueError if limits[0] == MOST else OSError)
                    granted.append(limits[0])  # noqa: B023 - as above

                self.patch(resource, "setrlimit", change)
                raise_limit()
                self.assertEqual(granted, [] if expected is None else [expected])
        self.assertEqual(sorted(STEPS, reverse=True), list(STEPS))

    def test_of_this_process(self) -> None:
        """What is asked for is what the system grants."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        raise_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual((soft, hard), (min(hard, MOST) if hard != NONE else MOST, before[1]))

    def test_clients(self) -> None:
        """As many as are wanted, or what model hosts and we ourselves leave of the limit."""
        for soft, wanted, others, expected in (
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
                with capturedLogs() as events:
                    self.assertEqual(clients_within(wanted, others), expected)
                said = (
                    f"GATEWAY_MAX_CONNECTIONS is {wanted}, but the limit of {soft} open files "
                    f"leaves {expected} connections; raise it (ulimit -n, LimitNOFILE)"
                )
                lines = [formatEvent(event) for event in events]
                self.assertEqual(lines, [said] if expected < wanted else [])
