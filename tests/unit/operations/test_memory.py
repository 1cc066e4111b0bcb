"""What is done about memory at the start."""

import ctypes
import gc
import linecache
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.operations.memory import GARBAGE_OBJECTS, settle


class SettleTests(SynchronousTestCase):
    """One heap, and collections that are rare and short."""

    def setUp(self) -> None:
        """Collections are this process', which goes on."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def test_settled(self) -> None:
        """What is loaded is frozen, the lines of sources are gone, all threads have one heap."""
        told: list[tuple[int, int]] = []
        linecache.getlines(__file__)
        settle(SimpleNamespace(mallopt=lambda *option: told.append(option)))
        self.assertEqual(told, [(-8, 1)])
        self.assertEqual(gc.get_threshold()[0], GARBAGE_OBJECTS)
        self.assertTrue(gc.get_freeze_count() > 0)
        self.assertNotIn(__file__, linecache.cache)

    def test_other_libraries(self) -> None:
        """Not every C library has that option."""
        settle(SimpleNamespace())
        self.assertEqual(gc.get_threshold()[0], GARBAGE_OBJECTS)

    def test_this_process(self) -> None:
        """The library is the process' own."""
        libraries = {None: SimpleNamespace(mallopt=lambda *option: told.append(option))}
        told: list[tuple[int, int]] = []
        self.patch(ctypes, "CDLL", libraries.__getitem__)
        settle()
        self.assertEqual(told, [(-8, 1)])
