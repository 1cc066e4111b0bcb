"""The row of a record that the database refused: none of its text, all that it costs. Pure.

Whatever is in a record, its tombstone is a row that PostgreSQL takes, and the same one each time
it is made. The exact record stays beside it, so that the chain holds and a later version may read
what this one could not (SPEC 9).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson

from neuronetz_twisted.audit.record import Final

DEAD_LETTER = "dead_letter"
"""The outcome of a tombstone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LARGEST = 2**63 - 1
_LARGEST_COUNT = 2**31 - 1


def tombstone_of(final: Final) -> dict[str, Any]:
    """The columns of `audit_log` for a record of which not even the form is certain."""
    event = _event_of(final)
    return {
        "id": _uuid(event.get("id")) or uuid5(final.writer, str(final.seq)),
        "client_id": None,
        "started_at": _EPOCH + timedelta(microseconds=_whole(event.get("at"), _LAST)),
        "tenant_id": _uuid(event.get("tenant")),
        "key_prefix": None,
        "key_id": _uuid(event.get("key")),
        "route": "",
        "dialect": None,
        "model": None,
        "backend": None,
        "address": None,
        "status": None,
        "outcome": DEAD_LETTER,
        "prompt_tokens": _whole(event.get("prompt_tokens"), _LARGEST),
        "completion_tokens": _whole(event.get("completion_tokens"), _LARGEST),
        "estimated": event.get("estimated") is True,
        "bytes_sent": _whole(event.get("bytes_sent"), _LARGEST),
        "first_byte_ms": None,
        "duration_ms": None,
        "user_agent": None,
        "writer": final.writer,
        "seq": final.seq,
        "record": final.record,
        "chain_hash": final.chain_hash,
        "charged": _whole(event.get("charged"), _LARGEST),
        "count": max(1, _whole(event.get("count"), _LARGEST_COUNT)),
    }


def day_of_tombstone(final: Final) -> date:
    """The day that it is charged to: the record's own, else that of its arrival."""
    started_at: datetime = tombstone_of(final)["started_at"]
    return _day(_event_of(final).get("day")) or started_at.date()


def _event_of(final: Final) -> dict[str, Any]:
    try:
        event = orjson.loads(final.record)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _whole(value: object, largest: int) -> int:
    return min(max(0, value), largest) if type(value) is int else 0
