"""OpenAI's embeddings: what is asked of the model host, and what clients read."""

import struct
import sys
from base64 import b64decode
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.embed_requests import INPUT_BYTES
from neuronetz_twisted.dialects.native_fields import MAX_INPUTS
from neuronetz_twisted.dialects.openai_embeddings import (
    EmbeddingsWriter,
    parse_openai_embeddings,
)
from neuronetz_twisted.dialects.vectors import read_vectors
from neuronetz_twisted.errors import InvalidRequest, UpstreamNonsense
from neuronetz_twisted.vocabulary import NativeRequest, Usage

USAGE = Usage(prompt_tokens=5)
VECTORS = st.lists(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), max_size=4
)


def parse(**body: Any) -> NativeRequest:
    """Parse a request with a model."""
    return parse_openai_embeddings(orjson.dumps({"model": "embed", **body}), 100)


def written(vectors: str | bytes, *, as_base64: bool = False) -> bytes:
    """The answer of a model host that gave these vectors, as clients read it."""
    raw = vectors if isinstance(vectors, bytes) else vectors.encode()
    frame = read_vectors(b'{"model":"embed","embeddings":%b,"prompt_eval_count":5}' % raw)
    return EmbeddingsWriter(model="embed:latest", as_base64=as_base64).whole(frame, USAGE)


class RequestTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Inputs and dimensions become a native request whose answer is one object."""
        request = parse(
            input=["a", "bé"], dimensions=64.0, encoding_format="base64", user="someone"
        )
        self.assertEqual(request.body, {"input": ["a", "bé"], "dimensions": 64})
        self.assertEqual((request.path, request.model), ("/api/embed", "embed"))
        self.assertEqual((request.stream, request.is_whole, request.as_base64), (False, True, True))
        self.assertEqual((request.ignored, request.prompt_bytes), (("user",), 4 + 2 * INPUT_BYTES))

    def test_one_text(self) -> None:
        """A text is a list of one, an empty one too; floats are what is given by default."""
        for text in ("a", ""):
            for form in ("float", None):
                with self.subTest(text=text, form=form):
                    request = parse(input=text, encoding_format=form, dimensions=None)
                    self.assertEqual(request.body, {"input": [text]})
                    self.assertFalse(request.as_base64)

    def test_refused(self) -> None:
        """What is no list of texts is refused by its name."""
        for body, param, word in (
            ({}, "input", "required"),
            ({"input": None}, "input", "required"),
            ({"input": []}, "input", "list of strings"),
            ({"input": {}}, "input", "list of strings"),
            ({"input": [1, 2]}, "input", "tokens"),
            ({"input": [[1, 2]]}, "input", "tokens"),
            ({"input": ["a", None]}, "input", "tokens"),
            ({"input": ["a"] * (MAX_INPUTS + 1)}, "input", str(MAX_INPUTS)),
            ({"input": "a", "dimensions": 0}, "dimensions", "1"),
            ({"input": "a", "encoding_format": "int8"}, "encoding_format", "float"),
            ({"input": "a", "model": None}, "model", "required"),
            ({"Input": "a"}, "input", "case"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    parse(**body)
                self.assertEqual(caught.exception.param, param)
                self.assertIn(word, caught.exception.message)

    def test_most_inputs(self) -> None:
        """As many as are allowed pass."""
        self.assertEqual(len(parse(input=["a"] * MAX_INPUTS).body["input"]), MAX_INPUTS)


class WriterTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """Vectors keep the digits that they came in."""
        self.assertEqual(
            written("[[1e-05,-0.50],[2]]"),
            b'{"object":"list","data":['
            b'{"object":"embedding","embedding":[1e-05,-0.50],"index":0},'
            b'{"object":"embedding","embedding":[2],"index":1}],'
            b'"model":"embed:latest","usage":{"prompt_tokens":5,"total_tokens":5}}',
        )

    def test_golden_base64(self) -> None:
        """As base64 they are float32, little-endian."""
        self.assertEqual(
            written("[[1,-0.5]]", as_base64=True),
            b'{"object":"list","data":['
            b'{"object":"embedding","embedding":"AACAPwAAAL8=","index":0}],'
            b'"model":"embed:latest","usage":{"prompt_tokens":5,"total_tokens":5}}',
        )

    def test_no_vectors(self) -> None:
        """A list of none."""
        for as_base64 in (False, True):
            with self.subTest(as_base64=as_base64):
                body = orjson.loads(written("[]", as_base64=as_base64))
                self.assertEqual(body["data"], [])

    def test_big_endian(self) -> None:
        """What is sent is little-endian on other machines too."""
        other = {"little": "big", "big": "little"}[sys.byteorder]
        native = written("[[1,-0.5]]", as_base64=True)
        self.patch(sys, "byteorder", other)
        swapped = written("[[1,-0.5]]", as_base64=True)
        read = [b64decode(orjson.loads(body)["data"][0]["embedding"]) for body in (native, swapped)]
        self.assertEqual(struct.unpack("<2f", read[0]), struct.unpack(">2f", read[1]))

    @given(VECTORS)
    def test_the_same_numbers(self, vectors: list[list[float]]) -> None:
        """Both forms have the numbers of the model host, in their order."""
        raw = orjson.dumps(vectors)
        floats = orjson.loads(written(raw))["data"]
        packed = orjson.loads(written(raw, as_base64=True))["data"]
        self.assertEqual([entry["embedding"] for entry in floats], vectors)
        for index, (entry, vector) in enumerate(zip(packed, vectors, strict=True)):
            numbers = struct.unpack(f"<{len(vector)}f", b64decode(entry["embedding"]))
            self.assertEqual((entry["index"], list(numbers)), (index, vector))

    def test_no_numbers(self) -> None:
        """What is made of digits and is no number is nonsense where it has to be read."""
        with self.assertRaises(UpstreamNonsense):
            written("[[1-2]]", as_base64=True)
