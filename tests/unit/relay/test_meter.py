"""What a meter counts, and what it lets through."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.relay.meter import Meter
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from neuronetz_twisted.vocabulary import Usage


class MeterTests(SynchronousTestCase):
    def test_ordinary_frames_pass_as_they_are(self) -> None:
        """Frames in the middle are counted and keep their bytes."""
        meter = Meter(0)
        frames = [chat_frame("a"), chat_frame("b")]
        self.assertEqual(meter.feed(frames), frames)
        self.assertEqual(meter.frames, 2)

    def test_the_final_frame_is_kept_apart(self) -> None:
        """It is not among those that pass and not counted as a token."""
        meter = Meter(0)
        self.assertEqual(meter.feed([chat_frame("a"), chat_final(7, 9)]), [chat_frame("a")])
        self.assertEqual(meter.frames, 1)
        self.assertEqual(meter.usage(), Usage(prompt_tokens=7, completion_tokens=9))

    def test_counts_that_cannot_be(self) -> None:
        """A model host that counts nonsense is not believed: frames and the estimate stand."""
        expected = Usage(prompt_tokens=3, completion_tokens=1, estimated=True)
        for wrong in (-1, 10_000_001):
            meter = Meter(3)
            meter.feed([chat_frame("a"), chat_final(wrong, wrong)])
            self.assertFalse(meter.broken)
            self.assertEqual(meter.usage(), expected)

    def test_unusual_frames_are_rebuilt(self) -> None:
        """A frame with fields that no client may see passes without them."""
        line = b'{"model":"m","remote_host":"h","message":{"content":"a","x":1},"done":false}'
        passed = Meter(0).feed([line])
        self.assertEqual(passed, [b'{"model":"m","message":{"content":"a"},"done":false}'])

    def test_what_was_counted_before_nonsense_stays(self) -> None:
        """A stream that breaks costs what it brought."""
        meter = Meter(2)
        self.assertEqual(meter.feed([chat_frame("a"), b"?", chat_frame("b")]), [chat_frame("a")])
        self.assertTrue(meter.broken)
        expected = Usage(prompt_tokens=2, completion_tokens=1, estimated=True)
        self.assertEqual(meter.usage(), expected)

    def test_no_frame_after_the_final_one(self) -> None:
        """The final frame is the last one."""
        meter = Meter(0)
        meter.feed([chat_final()])
        self.assertFalse(meter.broken)
        self.assertEqual(meter.feed([chat_frame("a")]), [])
        self.assertTrue(meter.broken)
