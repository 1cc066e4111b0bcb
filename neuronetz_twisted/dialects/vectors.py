"""The one object that answers a request for embeddings, as bytes that nobody has to parse. Pure.

A thousand vectors are ten megabytes of digits: to read them as numbers would hold up every other
answer of the process. That they are lists of numbers is seen by what they are written with.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from neuronetz_twisted.dialects.visible import visible
from neuronetz_twisted.errors import UpstreamNonsense

_NAME = b'"embeddings":'
_VECTOR = rb"[0-9+\-.eE]++(?:,[0-9+\-.eE]++)*+"
# The possessive repeats keep a hostile region linear.
_VECTORS = re.compile(rb"\[\[" + _VECTOR + rb"(?:\],\[" + _VECTOR + rb")*+\]\]")

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
    try:
        data = orjson.loads(line[:start] + b"[]" + line[end:])
    except orjson.JSONDecodeError:
        raise UpstreamNonsense("an answer is not JSON") from None
    if not isinstance(data, dict) or "error" in data or data.get(VECTORS) != []:
        raise UpstreamNonsense("an answer is no list of embeddings")
    if end - start > len(b"[]") and _VECTORS.fullmatch(line, start, end) is None:
        raise UpstreamNonsense("embeddings are not lists of numbers")
    known = visible({**data, "done": True})
    return {**known, VECTORS: line[start:end]}


def rows_of(frame: Mapping[str, Any]) -> list[bytes]:
    """The vectors of a frame: each the inside of a JSON list of numbers."""
    region: bytes = frame[VECTORS]
    if region == b"[]":
        return []
    # There may be a lot of it: no copy more than needed.
    rows = region.split(b"],[")
    rows[0] = rows[0].removeprefix(b"[[")
    rows[-1] = rows[-1].removesuffix(b"]]")
    return rows
