"""Reads what tests send to the control routes, which are the twin's own: strict where Go is not."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from mock_ollama.refused import Refused

_T = TypeVar("_T")


def read_object(raw: bytes) -> dict[str, Any]:
    """Decode the body of a control route.

    Raises Refused (400) if it is no JSON object.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"no JSON: {error.msg}") from None
    if not isinstance(body, dict):
        raise Refused(400, "no object")
    return body


def field(body: Mapping[str, Any], key: str, kind: type[_T], default: _T) -> _T:
    """Give a field of a control body, or the default where it is absent or null.

    Raises Refused (400) if it has another type.
    """
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise Refused(400, f"{key} must be of another type")
    return value
