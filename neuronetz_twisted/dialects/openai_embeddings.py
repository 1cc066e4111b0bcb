"""OpenAI's `/v1/embeddings`: its bodies as native requests, Ollama's vectors as its answers.

Vectors are put into the answer as the digits that they came in. Only where a client wants them as
base64 (which OpenAI's own client asks for by itself) are they read, one after the other.
"""

import sys
from array import array
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import define

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.embed_requests import EMBED_PATH, bytes_of_input
from neuronetz_twisted.dialects.fields import FieldTable, apply, read_object, taken_as
from neuronetz_twisted.dialects.native_fields import MAX_DIMENSIONS, MAX_INPUTS, MODEL
from neuronetz_twisted.dialects.native_requests import required_model
from neuronetz_twisted.dialects.vectors import rows_of
from neuronetz_twisted.errors import InvalidRequest, UpstreamNonsense
from neuronetz_twisted.vocabulary import NativeRequest, Usage

_BASE64 = "base64"
_BEGIN = b'{"object":"embedding","embedding":'


@fields.check(f"string, or list of 1 to {MAX_INPUTS}")
def _input(value: Any, name: str) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{name} must be a string or a list of strings", param=name)
    if not {str}.issuperset(map(type, value)):
        raise InvalidRequest(f"{name} must be text: lists of tokens are not accepted", param=name)
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(f"{name} has more than {MAX_INPUTS} entries", param=name)
    return value


EMBEDDINGS = FieldTable(
    taken={
        "model": MODEL,
        "input": _input,
        "dimensions": fields.whole_in(1, MAX_DIMENSIONS),
        "encoding_format": taken_as(fields.one_of("float", _BASE64), "the form of the vectors"),
    },
    dropped=frozenset({"user"}),
)

TABLES: tuple[tuple[str, FieldTable], ...] = (("`POST /v1/embeddings`", EMBEDDINGS),)


def parse_openai_embeddings(raw: bytes, max_predict: int) -> NativeRequest:  # noqa: ARG001 - says nothing
    """A body of `POST /v1/embeddings`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(EMBEDDINGS, read_object(raw), ignored)
    model = required_model(clean)
    if "input" not in clean:
        raise InvalidRequest("input is required", param="input")
    body: dict[str, Any] = {name: clean[name] for name in ("input", "dimensions") if name in clean}
    return NativeRequest(
        path=EMBED_PATH,
        model=model,
        body=body,
        stream=False,
        ignored=tuple(ignored),
        prompt_bytes=bytes_of_input(clean["input"]),
        is_whole=True,
        as_base64=clean.get("encoding_format") == _BASE64,
    )


@define(kw_only=True)
class EmbeddingsWriter:
    """OpenAI's list of embeddings; `as_base64` writes each as float32, little-endian."""

    model: str
    as_base64: bool

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """A list of `embedding` objects in the order of the input.

        Raises `UpstreamNonsense` for vectors that are to be read and are no numbers.
        """
        opens, closes = (b'"', b'"') if self.as_base64 else (b"[", b"]")
        pieces = [b'{"object":"list","data":[']
        for index, row in enumerate(rows_of(folded)):
            begin = b"," + _BEGIN if index else _BEGIN
            shown = _as_base64(row) if self.as_base64 else row
            pieces += (begin, opens, shown, closes, b',"index":%d}' % index)
        counts = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
        tail = orjson.dumps({"model": self.model, "usage": counts})
        # Joined once: of large answers every copy costs memory and time.
        return b"".join((*pieces, b"],", tail[1:]))


def _as_base64(row: bytes) -> bytes:
    try:
        numbers = array("f", orjson.loads(b"[%b]" % row))
    except orjson.JSONDecodeError:
        raise UpstreamNonsense("a vector is no list of numbers") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return b2a_base64(numbers, newline=False)
