"""A client that reads 1 kB/s of a 50 MB stream, for as long as that takes to show."""

import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.slow_reading import FRAMES, MOST_GROWTH, slow_stream, warm_up

SECONDS = 20


class SlowReaderTests(SynchronousTestCase):
    def test_a_kilobyte_a_second(self) -> None:
        """The gateway's memory stays as it was, and the model host is held back."""
        stack = shared_stack()
        key = stack.new_key()
        warm_up(stack, key)
        growth, sent = [], []
        with slow_stream(stack, key) as stream:
            began = time.monotonic()
            for second in range(SECONDS):
                stream.caller.read(1000)
                while time.monotonic() < began + second + 1:
                    growth.append(stream.growth)
                    time.sleep(0.1)
                sent.append(stream.frames_sent)
        sys.stderr.write(f"\ngrowth {max(growth)} bytes, {sent[-1]} of {FRAMES} frames sent\n")
        self.assertTrue(max(growth) < MOST_GROWTH, f"{max(growth)} bytes more")
        self.assertEqual(len(set(sent[2:])), 1, f"not held back: {sent}")
        self.assertTrue(sent[-1] < FRAMES / 2)
