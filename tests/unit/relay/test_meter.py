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

    def test_tool_calls_and_logprobs(self) -> None:
        """Frames that carry them pass as the model host wrote them, and count as any other."""
        calling = (
            b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"",'
            b'"tool_calls":[{"id":"1","function":{"index":0,"name":"w","arguments":'
            b'{"b":"\\u003c","a":1.5}}}]},"done":false}'
        )
        saying = (
            b'{"model":"m","created_at":"t","response":"a","done":false,"logprobs":'
            b'[{"token":"a","logprob":-0.0000012,"bytes":[97]}]}'
        )
        lines = [calling, saying]
        meter = Meter(0)
        self.assertEqual(meter.feed(lines), lines)
        self.assertEqual(meter.frames, 2)

    def test_arguments_too_deep(self) -> None:
        """What nobody could write out again breaks the stream; what came before it stands."""
        deep = b'{"a":' * 300 + b"1" + b"}" * 300
        call = b'[{"function":{"name":"w","arguments":%b}}]' % deep
        line = b'{"message":{"content":"","tool_calls":%b},"done":false}' % call
        meter = Meter(0)
        self.assertEqual(meter.feed([chat_frame("a"), line]), [chat_frame("a")])
        self.assertTrue(meter.broken)

    def test_whole(self) -> None:
        """An answer in one object is final, and has no frames; its vectors stay bytes."""
        meter = Meter(3, is_whole=True)
        line = b'{"model":"m","embeddings":[[1,2]],"prompt_eval_count":7}'
        self.assertEqual(meter.feed([line]), [])
        self.assertEqual(
            meter.final,
            {"model": "m", "prompt_eval_count": 7, "embeddings": b"[[1,2]]", "done": True},
        )
        self.assertEqual(meter.usage(), Usage(prompt_tokens=7))
        self.assertFalse(meter.broken)
        meter.feed([line])
        self.assertTrue(meter.broken)

    def test_whole_without_a_count(self) -> None:
        """What has a prompt and no count costs the estimate; nothing asked costs nothing."""
        line = b'{"model":"m","embeddings":[[1,2]]}'
        for estimate in (3, 0):
            meter = Meter(estimate, is_whole=True)
            meter.feed([line])
            self.assertEqual(meter.usage(), Usage(prompt_tokens=estimate, estimated=estimate > 0))

    def test_whole_that_is_none(self) -> None:
        """A frame of a stream, an error, or anything else breaks an answer in one object."""
        for line in (chat_final(), chat_frame("a"), b'{"error":"no"}', b"no JSON"):
            with self.subTest(line=line):
                meter = Meter(0, is_whole=True)
                self.assertEqual(meter.feed([line]), [])
                self.assertEqual((meter.broken, meter.final), (True, None))
