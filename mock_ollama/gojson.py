"""JSON as Go writes it, so that a test comparing bytes meets what a real Ollama would send."""

from datetime import UTC, datetime
from typing import Any

import orjson

# encoding/json escapes these for HTML's sake; inside JSON they can only occur in strings.
_ESCAPES = (
    (b"&", b"\\u0026"),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def go_json(value: Any) -> bytes:
    """Encode a JSON value compactly, keys in the given order, with Go's escapes."""
    encoded = orjson.dumps(value)
    for raw, escaped in _ESCAPES:
        if raw in encoded:
            encoded = encoded.replace(raw, escaped)
    return encoded


def go_time(seconds: float) -> str:
    """Write a Unix time in seconds as Go's RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() + "Z"
