"""The one object that answers a request for embeddings, as bytes that nobody has to parse. Pure.

A thousand vectors are ten megabytes of digits: to read them as numbers would hold up every other
answer of the process. That they are lists of numbers is seen by what they are written with.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from neuronetz_twisted.dialects.visible import visible
from neuronetz_twisted.errors import UpstreamNonsense

_NAME = b'"embeddings":'
_DIGITS = b"0123456789+-.eE,[]"
_WRONG = (b",,", b"[,", b",]", b"[]", b"[[[", b"]]]", b"][")

VECTORS = "embeddings"
"""Where a frame of `read_vectors` has its vectors, as bytes of JSON: a list of lists of numbers."""


def read_vectors(line: bytes) -> dict[str, Any]:
    """An answer of `POST /api/embed` as a final frame, with only what a client may see.

    Raises `UpstreamNonsense` for whatever else it is.
    """
    start = line.find(_NAME) + len(_NAME)
    end = line.rfind(b"]") + 1
    if start < len(_NAME) or end <= start:
        raise UpstreamNonsense("an answer without embeddings")
    region = line[start:end]
    try:
        data = orjson.loads(line[:start] + b"[]" + line[end:])
    except orjson.JSONDecodeError:
        raise UpstreamNonsense("an answer is not JSON") from None
    if not isinstance(data, dict) or "error" in data or data.get(VECTORS) != []:
        raise UpstreamNonsense("an answer is no list of embeddings")
    if region != b"[]" and not _is_list_of_vectors(region):
        raise UpstreamNonsense("embeddings are not lists of numbers")
    known = visible({**data, "done": True})
    return {**known, VECTORS: region}


def rows_of(frame: Mapping[str, Any]) -> list[bytes]:
    """The vectors of a frame: each the inside of a JSON list of numbers."""
    region: bytes = frame[VECTORS]
    return [] if region == b"[]" else region[2:-2].split(b"],[")


def _is_list_of_vectors(region: bytes) -> bool:
    return (
        region.startswith(b"[[")
        and region.endswith(b"]]")
        and not region.translate(None, _DIGITS)
        and not any(wrong in region for wrong in _WRONG)
        and region.count(b"[") == region.count(b"],[") + 2
        and region.count(b"]") == region.count(b"[")
    )
