"""Bodies of Ollama's routes for embeddings as checked requests."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.embed_requests import (
    INPUT_BYTES,
    parse_embed,
    parse_embeddings,
)
from neuronetz_twisted.dialects.native_fields import MAX_DIMENSIONS, MAX_INPUTS
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest


def embed(**body: Any) -> NativeRequest:
    """Parse a request with a model."""
    return parse_embed(orjson.dumps({"model": "m", **body}), 100)


def embeddings(**body: Any) -> NativeRequest:
    """Parse one of the older route."""
    return parse_embeddings(orjson.dumps({"model": "m", **body}), 100)


class EmbedTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Texts, and what becomes of their vectors; nothing that a stream or a length would be."""
        request = embed(
            input=["Grüße", ""],
            truncate=False,
            dimensions=256.0,
            options={"temperature": 0, "num_predict": 5, "num_ctx": 4096},
            keep_alive="5m",
            stream=True,
        )
        self.assertEqual(
            request,
            NativeRequest(
                path="/api/embed",
                model="m",
                body={
                    "input": ["Grüße", ""],
                    "truncate": False,
                    "dimensions": 256,
                    "options": {"temperature": 0},
                },
                stream=False,
                ignored=("keep_alive", "stream", "num_predict", "num_ctx"),
                prompt_bytes=len("Grüße".encode()) + 2 * INPUT_BYTES,
                is_whole=True,
            ),
        )

    def test_least(self) -> None:
        """One text; neutral values are absent, and there are no options for a length."""
        request = embed(input="a", dimensions=0, options={})
        self.assertEqual(request.body, {"input": "a"})
        self.assertEqual(request.prompt_bytes, 1 + INPUT_BYTES)

    def test_preload(self) -> None:
        """Nothing to embed is an ordinary request, of no prompt."""
        bodies: tuple[dict[str, Any], ...] = ({}, {"input": ""}, {"input": []}, {"input": None})
        for body in bodies:
            with self.subTest(body=body):
                self.assertEqual(embed(**body).prompt_bytes, 0)

    def test_most(self) -> None:
        """As many texts and dimensions as there may be."""
        request = embed(input=["a"] * MAX_INPUTS, dimensions=MAX_DIMENSIONS)
        self.assertEqual(request.prompt_bytes, MAX_INPUTS * (1 + INPUT_BYTES))
        self.assertEqual(request.body["dimensions"], MAX_DIMENSIONS)

    def test_refused(self) -> None:
        """Too much, or no text; tokens are refused with a word."""
        bodies: tuple[dict[str, Any], ...] = (
            {"input": ["a"] * (MAX_INPUTS + 1)},
            {"input": [1, 2, 3]},
            {"input": [[1, 2], [3]]},
            {"input": ["a", None]},
            {"input": {"text": "a"}},
            {"input": 7},
            {"dimensions": -1},
            {"dimensions": MAX_DIMENSIONS + 1},
            {"dimensions": "8"},
            {"truncate": "END"},
            {"options": "none"},
            {"model": ""},
        )
        for body in bodies:
            with self.subTest(body=str(body)[:60]):
                with self.assertRaises(InvalidRequest) as caught:
                    embed(**body)
                self.assertEqual([caught.exception.param], list(body))
        with self.assertRaises(InvalidRequest) as caught:
            embed(input=[[1, 2]])
        self.assertIn("tokens", caught.exception.message)

    def test_twins(self) -> None:
        """No other spelling of a field goes by."""
        for name in ("Input", "TRUNCATE", "Keep_alive", "Stream", "optionS"):
            with self.subTest(name=name), self.assertRaises(InvalidRequest):
                embed(**{name: None})


class EmbeddingsTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """The prompt is what is embedded, through the newer route, which is metered."""
        request = embeddings(
            prompt="Hi", options={"seed": 1}, keep_alive=0, truncate=True, stream=False
        )
        self.assertEqual(
            request,
            NativeRequest(
                path="/api/embed",
                model="m",
                body={"input": "Hi", "options": {"seed": 1}},
                stream=False,
                ignored=("keep_alive", "truncate", "stream"),
                prompt_bytes=2 + INPUT_BYTES,
                is_whole=True,
            ),
        )

    def test_preload(self) -> None:
        """An empty prompt, or none."""
        for body in ({}, {"prompt": ""}):
            request = embeddings(**body)
            self.assertEqual((request.body, request.prompt_bytes), ({"input": ""}, 0))

    def test_refused(self) -> None:
        """A prompt is one text."""
        bodies: tuple[dict[str, Any], ...] = ({"prompt": ["a"]}, {"prompt": 1}, {"options": []})
        for body in bodies:
            with self.subTest(body=body), self.assertRaises(InvalidRequest):
                embeddings(**body)
