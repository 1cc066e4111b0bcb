"""What clients read, byte for byte."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.writers import NativeWriter
from neuronetz_twisted.errors import UpstreamFailed
from neuronetz_twisted.vocabulary import Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2)
FINAL = {
    "model": "m",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "length",
    "eval_count": 2,
}


class NativeWriterTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """Frames keep their bytes; final frame and error are one line each."""
        writer = NativeWriter()
        self.assertEqual(writer.frames([b'{"a":1}', b'{"b":2}']), b'{"a":1}\n{"b":2}\n')
        self.assertEqual(
            writer.last(FINAL, USAGE),
            b'{"model":"m","message":{"role":"assistant","content":""},"done":true,'
            b'"done_reason":"length","eval_count":2}\n',
        )
        self.assertEqual(
            writer.fault(UpstreamFailed(), "the-id"),
            b'{"error":"the model host failed to answer","code":"upstream_failed",'
            b'"request_id":"the-id"}\n',
        )
        self.assertEqual(writer.whole({"response": "x"}, USAGE), b'{"response":"x"}')
