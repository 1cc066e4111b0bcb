"""What clients read, byte for byte."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.vectors import read_vectors
from neuronetz_twisted.dialects.writers import EmbeddingWriter, EmbedWriter, NativeWriter
from neuronetz_twisted.errors import UpstreamFailed
from tests.unit.dialects.spoken import USAGE

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

    def test_final_frame_as_go_writes(self) -> None:
        """A final frame has Go's escapes and numbers too."""
        final = {"model": "<m>", "logprobs": [{"token": "&", "logprob": -0.000001}], "done": True}
        self.assertEqual(
            NativeWriter().last(final, USAGE),
            b'{"model":"\\u003cm\\u003e","logprobs":[{"token":"\\u0026","logprob":-0.000001}],'
            b'"done":true}\n',
        )

    def test_hidden_timings(self) -> None:
        """No duration is shown, in no form; counts are."""
        timed = {**FINAL, "total_duration": 1, "prompt_eval_duration": 2, "load_duration": 3}
        writer = NativeWriter(hide_timings=True)
        self.assertEqual(writer.last(timed, USAGE), NativeWriter().last(FINAL, USAGE))
        self.assertEqual(writer.whole(timed, USAGE), NativeWriter().whole(FINAL, USAGE))


class EmbedWriterTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """What the model host wrote comes out as it was, vectors to the digit."""
        escaped = (
            b'{"model":"\\u003cm\\u003e","embeddings":[[0.10,-2E-05]],"total_duration":7,'
            b'"load_duration":2,"prompt_eval_count":5}'
        )
        for line in (
            escaped,
            b'{"model":"m","embeddings":[[1],[2]],"prompt_eval_count":5}',
            b'{"model":"m","embeddings":[]}',
        ):
            with self.subTest(line=line):
                self.assertEqual(EmbedWriter().whole(read_vectors(line), USAGE), line)

    def test_without_a_model(self) -> None:
        """A model host that says no name leaves it empty."""
        frame = read_vectors(b'{"embeddings":[[1]],"prompt_eval_count":5}')
        self.assertEqual(
            EmbedWriter().whole(frame, USAGE),
            b'{"model":"","embeddings":[[1]],"prompt_eval_count":5}',
        )

    def test_hidden_timings(self) -> None:
        """No durations, and no comma in their place."""
        frame = read_vectors(b'{"model":"m","embeddings":[[1]],"total_duration":7}')
        self.assertEqual(
            EmbedWriter(hide_timings=True).whole(frame, USAGE), b'{"model":"m","embeddings":[[1]]}'
        )

    def test_the_frame_stays(self) -> None:
        """What was folded is not changed by being written."""
        frame = read_vectors(b'{"model":"m","embeddings":[[1]]}')
        before = dict(frame)
        EmbedWriter().whole(frame, USAGE)
        self.assertEqual(frame, before)


class EmbeddingWriterTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """One vector and nothing else; none is an empty one."""
        for vectors, expected in (
            (b"[[0.10,-2E-05]]", b'{"embedding":[0.10,-2E-05]}'),
            (b"[[1],[2]]", b'{"embedding":[1]}'),
            (b"[]", b'{"embedding":[]}'),
        ):
            frame = read_vectors(b'{"model":"m","embeddings":%b,"total_duration":7}' % vectors)
            self.assertEqual(EmbeddingWriter().whole(frame, USAGE), expected)
