"""Process lines as Linux writes them."""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.proc import PROC, Process, descendants, parse_stat, processes, resident_kib, split

TICKS = os.sysconf("SC_CLK_TCK")


def process(pid: int, parent: int, name: str = "some") -> Process:
    """A process without a past."""
    return Process(pid=pid, name=name, parent=parent, cpu_s=0.0)


class StatTests(SynchronousTestCase):
    """A /proc/PID/stat is read as proc(5) describes it."""

    LINE = "4711 ({name}) S 12 4711 4711 0 -1 4194560 900 0 0 0 {user} {system} 5 6 20 0 1 0 77\n"

    def test_fields(self) -> None:
        """The id, the name, the parent, and user and system time without those of children."""
        text = self.LINE.format(name="nginx", user=3 * TICKS, system=TICKS)
        found = parse_stat(text)
        self.assertEqual(found, Process(pid=4711, name="nginx", parent=12, cpu_s=4.0))

    def test_odd_name(self) -> None:
        """A name may hold spaces and parentheses."""
        found = parse_stat(self.LINE.format(name="a) S 1 (b", user=0, system=0))
        self.assertEqual((found.name, found.parent), ("a) S 1 (b", 12))


class TreeTests(SynchronousTestCase):
    """Which processes belong to a target."""

    EVERY = (
        process(1, 0),
        process(10, 1),
        process(12, 11, "postgres"),
        process(11, 10),
        process(20, 1),
    )

    def test_descendants(self) -> None:
        """Children and their children, wherever they stand in the list."""
        self.assertEqual([each.pid for each in descendants(self.EVERY, 10)], [10, 11, 12])

    def test_ended(self) -> None:
        """A process that is not there has no tree."""
        self.assertEqual(descendants(self.EVERY, 99), [])

    def test_split(self) -> None:
        """Stores are told from the rest by their name."""
        own, stores = split(descendants(self.EVERY, 10), {"postgres"})
        self.assertEqual([each.pid for each in own], [10, 11])
        self.assertEqual([each.pid for each in stores], [12])


class LiveTests(SynchronousTestCase):
    """What this machine tells of this process and of one that it started."""

    if not PROC.exists():
        skip = "there is no /proc"

    def test_own(self) -> None:
        """This process is there, has a child while that runs, and uses memory."""
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            tree = descendants(processes(), os.getpid())
            self.assertIn(child.pid, [each.pid for each in tree])
            self.assertGreater(tree[0].cpu_s, 0.0)
        self.assertGreater(resident_kib([os.getpid()]), 1000)

    def test_memory_of_none(self) -> None:
        """A process that has ended uses no memory."""
        with subprocess.Popen([sys.executable, "-c", ""]) as child:
            child.wait()
        self.assertEqual(resident_kib([child.pid]), 0)
