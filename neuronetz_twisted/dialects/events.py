"""Server-sent events (WHATWG HTML 9.2) whose data is one JSON value, and what is in them. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

STREAM_TYPE = b"text/event-stream"
EVENT_END = b"\n\n"

_CUT = "gateway_cut"
CUT_FIELDS: Mapping[str, str] = {_CUT: "budget"}
"""What the final frame of an answer says whose budget is used up, and its end in any dialect."""

_WHOLE: Mapping[str, str] = {}


def event(data: Mapping[str, Any]) -> bytes:
    """An event without a name."""
    return b"data: " + orjson.dumps(data) + EVENT_END


def typed_event(data: Mapping[str, Any]) -> bytes:
    """An event whose name is the `type` of its data."""
    return typed_begin(data["type"]) + orjson.dumps(data) + EVENT_END


def typed_begin(name: str) -> bytes:
    """What an event with a name has before its data."""
    return f"event: {name}\ndata: ".encode()


def cut_fields(final: Mapping[str, Any]) -> Mapping[str, str]:
    """The fields that say that a budget has cut an answer, if the final frame has them."""
    return CUT_FIELDS if _CUT in final else _WHOLE


def plainly(text: bytes) -> bytes:
    """A JSON string with no more escapes than it needs; Go has some that others find odd."""
    return orjson.dumps(orjson.loads(text)) if b"\\" in text else text
