"""An answer with embeddings, whose digits are never read."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.gojson import go_json
from neuronetz_twisted.dialects.vectors import VECTORS, read_vectors, rows_of
from neuronetz_twisted.errors import UpstreamNonsense

floats = st.floats(allow_nan=False, allow_infinity=False, width=32)


class ReadVectorsTests(SynchronousTestCase):
    def test_read(self) -> None:
        """The vectors as they were written, with what a final frame may show."""
        line = (
            b'{"model":"m","embeddings":[[0.1,-2e-05],[3,4]],"total_duration":7,'
            b'"load_duration":2,"prompt_eval_count":5,"remote_host":"h"}'
        )
        self.assertEqual(
            read_vectors(line),
            {
                "model": "m",
                "total_duration": 7,
                "load_duration": 2,
                "prompt_eval_count": 5,
                "done": True,
                VECTORS: b"[[0.1,-2e-05],[3,4]]",
            },
        )

    def test_none(self) -> None:
        """Nothing was asked, so there is no vector."""
        frame = read_vectors(b'{"model":"m","embeddings":[]}')
        self.assertEqual(frame, {"model": "m", "done": True, VECTORS: b"[]"})
        self.assertEqual(rows_of(frame), [])

    @settings(deadline=None)
    @given(st.lists(st.lists(floats, min_size=1), min_size=1))
    def test_any(self, vectors: list[list[float]]) -> None:
        """Whatever the numbers are, each vector is found again."""
        frame = read_vectors(go_json({"model": "m", "embeddings": vectors}))
        rows = [orjson.loads(b"[%b]" % row) for row in rows_of(frame)]
        self.assertEqual(rows, vectors)

    def test_nonsense(self) -> None:
        """Whatever is no answer of that route."""
        for line in (
            b"",
            b"{}",
            b"[]",
            b'{"model":"m"}',
            b'{"error":"no [model]","embeddings":[[1]]}',
            b'{"error":"no","embeddings":[]}',
            b'{"embeddings":[[1]]',
            b'{"embeddings":[[1]]}}',
            b'[{"embeddings":[[1]]}]',
            b'{"embeddings":null,"a":[]}',
            b'{"embeddings":{"a":[]}}',
            b'{"embeddings":"[[1]]"}',
            b'{"embeddings":[1,2]}',
            b'{"embeddings":[[1],2]}',
            b'{"embeddings":[[[1]]]}',
            b'{"embeddings":[[]]}',
            b'{"embeddings":[[1],[]]}',
            b'{"embeddings":[[1,]]}',
            b'{"embeddings":[[,1]]}',
            b'{"embeddings":[[1,,2]]}',
            b'{"embeddings":[[1][2]]}',
            b'{"embeddings":[[1]],"a":[[2]]}',
            b'{"embeddings":[["secret"]]}',
            b'{"embeddings":[[null]]}',
            b'{"embeddings":[[1], [2]]}',
            b'{"a":{"embeddings":[[1]]}}',
            b'{"model":7,"embeddings":[[1]]}',
        ):
            with self.subTest(line=line):
                self.assertRaises(UpstreamNonsense, read_vectors, line)

    @settings(deadline=None)
    @given(
        st.text(alphabet="[],1.-+eE ", max_size=12),
        st.sampled_from(["", ',"prompt_eval_count":5', ',"a":[1]']),
    )
    def test_what_passes_is_json(self, region: str, rest: str) -> None:
        """Only lists that are balanced pass; what is in them are signs of numbers."""
        line = f'{{"embeddings":[[{region}]]{rest}}}'.encode()
        try:
            frame = read_vectors(line)
        except UpstreamNonsense:
            return
        vectors = frame[VECTORS]
        self.assertFalse(vectors.translate(None, b"0123456789+-.eE,[]"))
        self.assertTrue(all(row and b"[" not in row for row in rows_of(frame)))
