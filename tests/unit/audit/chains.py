"""Chains of records as the gateway writes them, and signs them, for tests of the verification."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson

from neuronetz_twisted.audit.anchors import Anchors
from neuronetz_twisted.audit.chain import link, start
from neuronetz_twisted.audit.findings import Finding
from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.signing import Kind, Signed, SigningKey, Statement, signed_by
from neuronetz_twisted.audit.verify import LEADING, Tally, verify

KEY = SigningKey.of_seed(b"k" * 32)
STRANGER = SigningKey.of_seed(b"s" * 32)
WRITER = UUID(int=1)
AT = 1_790_000_000_000_000
"""Microseconds since 1970, some day of 2026."""

Row = tuple[Any, ...]


def record(number: int, **fields: Any) -> bytes:
    """The bytes of one record; the number tells it from others."""
    event = {
        "id": str(UUID(int=number)),
        "at": AT + number,
        "day": "2026-09-21",
        "client_id": None,
        "route": "/api/chat",
        "address": "192.0.2.1",
        "user_agent": "test",
        "tenant": str(UUID(int=7)),
        "key": str(UUID(int=8)),
        "prefix": "nz_aaaaaaaaa",
        "dialect": "native",
        "model": "m:1b",
        "backend": "default",
        "status": 200,
        "outcome": "ok",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "estimated": False,
        "charged": 7,
        "count": 1,
        "bytes_sent": 100,
        "first_byte_ms": 1.5,
        "duration_ms": 9.5,
    }
    return orjson.dumps(event | fields)


def final_of(previous: bytes, seq: int, data: bytes, writer: UUID = WRITER) -> Final:
    """The link that follows `previous`."""
    return Final(writer, seq, link(previous, data), data)


def chain_of(count: int, writer: UUID = WRITER) -> list[Final]:
    """A writer's first records."""
    finals: list[Final] = []
    previous = start(writer)
    for seq in range(1, count + 1):
        finals.append(final_of(previous, seq, record(writer.int * 1000 + seq), writer))
        previous = finals[-1].chain_hash
    return finals


def signed(  # noqa: PLR0913 - what a statement says
    final: Final,
    kind: Kind = "checkpoint",
    *,
    key: SigningKey = KEY,
    first: int = 0,
    previous: bytes = b"",
    at: int = AT,
) -> Signed:
    """That the chain has come to this record."""
    statement = Statement(
        kind=kind,
        writer=final.writer,
        seq=final.seq,
        chain_hash=final.chain_hash,
        at=at,
        previous=previous,
        first=first,
    )
    return signed_by(key, statement)


_SOME = chain_of(1)[0]
COLUMNS = (*LEADING, *(name for name in row_of(_SOME) if name not in LEADING))
_values = itemgetter(*COLUMNS)


def row(final: Final, **columns: Any) -> Row:
    """The row of a record, with what somebody wrote into some of its columns."""
    values: Row = _values(row_of(final) | columns)
    return values


def rows(finals: Sequence[Final]) -> list[Row]:
    """The rows as the flusher writes them."""
    return [row(final) for final in finals]


def anchored(*statements: Signed) -> Anchors:
    """What was signed, from the database alone."""
    anchors = Anchors({KEY.public})
    found = list(anchors.gather(statements, ()))
    if found:
        raise AssertionError(found)
    return anchors


def verified(kept: Sequence[Row], *statements: Signed, tally: Tally | None = None) -> list[Finding]:
    """What is found in these rows, which are sorted as the database sorts them."""
    ordered = sorted(kept, key=itemgetter(0, 1))
    return list(verify(ordered, COLUMNS, anchored(*statements), tally or Tally()))


def renumbered(final: Final, seq: int) -> Final:
    """The same record with another number."""
    return final._replace(seq=seq)
