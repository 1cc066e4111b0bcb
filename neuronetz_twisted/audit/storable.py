"""Whether PostgreSQL takes a record as it is. Pure.

One that it takes has no tombstone, unless somebody who may change rows has made one. What cannot be
told for certain is taken for refused: all records of the gateway's have the form that is asked for
here, and nobody can give one another form without breaking its chain.
"""

from datetime import date
from typing import Any
from uuid import UUID

import orjson

from neuronetz_twisted.audit.record import Final

_NEEDED = ("id", "at", "day", "route", "outcome")
_IDS = ("id", "tenant", "key")
_TEXTS = (
    *("client_id", "prefix", "route", "dialect", "model", "backend", "address", "outcome"),
    "user_agent",
)
_BIG = range(-(2**63), 2**63)
_WHOLE = {
    # So many digits have their place (`stores/audit_rows.py`).
    "at": range(10**16),
    "status": range(-(2**15), 2**15),
    "prompt_tokens": _BIG,
    "completion_tokens": _BIG,
    "bytes_sent": _BIG,
    "charged": range(2**63),
    "count": range(1, 2**31),
}
_TIMES = ("first_byte_ms", "duration_ms")
_LONGEST = 2**31 - 1


def is_storable(final: Final) -> bool:
    """Whether each of its values is one of its column's type."""
    try:
        event = orjson.loads(final.record)
    except ValueError:
        return False
    if not isinstance(event, dict) or any(event.get(name) is None for name in _NEEDED):
        return False
    return all(_fits(name, value) for name, value in event.items() if value is not None)


def _fits(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return _is_text_of(name, value)
    if name in _WHOLE:
        return type(value) is int and value in _WHOLE[name]
    if name in _TIMES:
        return type(value) in {int, float} and abs(value) < _LONGEST
    if name == "estimated":
        return type(value) is bool
    return name not in {*_TEXTS, *_IDS, "day"}


def _is_text_of(name: str, value: str) -> bool:
    """Whether the text may stand there; with a NUL in any of them the whole record is refused."""
    if "\0" in value or name in _WHOLE or name in _TIMES or name == "estimated":
        return False
    try:
        if name in _IDS:
            return str(UUID(value)) == value
        return name != "day" or date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
