"""Server-sent events (WHATWG HTML 9.2) whose data is one JSON value, for dialects that name them.

Pure.
"""

from typing import Any

import orjson

STREAM_TYPE = b"text/event-stream"


def event(name: str, data: Any) -> bytes:
    """An event with a name."""
    return event_begin(name) + orjson.dumps(data) + EVENT_END


def event_begin(name: str) -> bytes:
    """What an event with a name has before its data."""
    return f"event: {name}\ndata: ".encode()


EVENT_END = b"\n\n"


def plainly(text: bytes) -> bytes:
    """A JSON string with no more escapes than it needs; Go has some that others find odd."""
    return orjson.dumps(orjson.loads(text)) if b"\\" in text else text
