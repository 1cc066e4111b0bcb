"""Bodies of Ollama's `/api/embed` and `/api/embeddings`, both asked through the first (SPEC 3, 4).

Only `/api/embed` says what its vectors have cost; they are of length one, which those of the older
route are not.
"""

from collections.abc import Mapping
from typing import Any

from neuronetz_twisted.dialects.fields import apply, read_object
from neuronetz_twisted.dialects.native_fields import EMBED, EMBED_OPTIONS, EMBEDDINGS
from neuronetz_twisted.dialects.native_requests import required_model
from neuronetz_twisted.vocabulary import NativeRequest

EMBED_PATH = "/api/embed"

INPUT_BYTES = 6
"""What a model adds to each text, its begin and its end, for the estimate of a prompt."""


def bytes_of_input(given: str | list[str]) -> int:
    """The UTF-8 length of what is to be embedded, for the estimate of its tokens (SPEC 7)."""
    texts = given if isinstance(given, list) else [given] if given else []
    return sum(len(text.encode()) + INPUT_BYTES for text in texts)


def parse_embed(raw: bytes, max_predict: int) -> NativeRequest:  # noqa: ARG001 - nothing is said
    """A body of `POST /api/embed`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(EMBED, read_object(raw), ignored)
    body = {"input": clean.get("input", "")}
    if "truncate" in clean:
        body["truncate"] = clean["truncate"]
    if clean.get("dimensions"):
        body["dimensions"] = clean["dimensions"]
    return _embed(clean, body, ignored)


def parse_embeddings(raw: bytes, max_predict: int) -> NativeRequest:  # noqa: ARG001 - as above
    """A body of `POST /api/embeddings`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(EMBEDDINGS, read_object(raw), ignored)
    return _embed(clean, {"input": clean.get("prompt", "")}, ignored)


def _embed(clean: Mapping[str, Any], body: dict[str, Any], ignored: list[str]) -> NativeRequest:
    if options := apply(EMBED_OPTIONS, clean.get("options", {}), ignored):
        body["options"] = options
    return NativeRequest(
        path=EMBED_PATH,
        model=required_model(clean),
        body=body,
        stream=False,
        ignored=tuple(ignored),
        prompt_bytes=bytes_of_input(body["input"]),
        is_whole=True,
    )
