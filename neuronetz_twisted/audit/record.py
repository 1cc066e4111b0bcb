"""What a final record is in PostgreSQL: its row. Pure.

PostgreSQL takes the bytes apart by itself (`stores/audit_rows.py`), to these same columns; `audit
verify` compares by this page, so a column cannot differ from the bytes that the chain covers
without being found (SPEC 9).
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from neuronetz_twisted.audit.event import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Final(NamedTuple):
    """One link of a writer's chain, with the exact bytes that it covers."""

    writer: UUID
    seq: int
    chain_hash: bytes
    record: bytes


def row_of(final: Final) -> dict[str, Any]:
    """The columns of `gateway.audit_log` for this record, as they are to be read.

    Raises `ValueError` or `KeyError` for bytes that are no record of ours.
    """
    event: Event = orjson.loads(final.record)
    return _columns(event) | {
        "writer": final.writer,
        "seq": final.seq,
        "record": final.record,
        "chain_hash": final.chain_hash,
    }


def _columns(event: Event) -> dict[str, Any]:
    return {
        "id": UUID(str(event["id"])),
        "client_id": event.get("client_id"),
        "started_at": _EPOCH + timedelta(microseconds=_whole(event, "at")),
        "tenant_id": _uuid(event.get("tenant")),
        "key_prefix": event.get("prefix"),
        "key_id": _uuid(event.get("key")),
        "route": event["route"],
        "dialect": event.get("dialect"),
        "model": event.get("model"),
        "backend": event.get("backend"),
        "address": event.get("address"),
        "status": event.get("status"),
        "outcome": event["outcome"],
        "prompt_tokens": _whole(event, "prompt_tokens"),
        "completion_tokens": _whole(event, "completion_tokens"),
        "estimated": bool(event.get("estimated")),
        "bytes_sent": _whole(event, "bytes_sent"),
        "first_byte_ms": _rounded(event.get("first_byte_ms")),
        "duration_ms": _rounded(event.get("duration_ms")),
        "user_agent": event.get("user_agent"),
        "charged": _whole(event, "charged"),
        "count": _whole(event, "count", 1),
    }


def _whole(event: Event, name: str, default: int = 0) -> int:
    value = event.get(name)
    return default if value is None else int(value)


def _rounded(value: str | float | None) -> int | None:
    return None if value is None else round(float(value))


def _uuid(value: str | float | None) -> UUID | None:
    return None if value is None else UUID(str(value))
