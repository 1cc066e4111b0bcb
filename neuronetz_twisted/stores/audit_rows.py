"""Finished records as rows, and what they cost on the ledger, in one transaction (SPEC 7, 9).

A batch may be written as often as one likes, by as many writers at once: a row that is there is
left alone and charges nothing. PostgreSQL gets the exact bytes of the records and takes them apart
itself: one statement adds rows, ledger and usage, always in this order and each in the order of
its key, so that two batches that overlap wait for each other and never in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from attrs import frozen
from sqlalchemy import Connection, cast, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB

from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.audit.tombstones import day_of_tombstone, tombstone_of
from neuronetz_twisted.stores.tables import audit_checkpoints

TOTAL_STARTS_ON = date(1970, 1, 1)
"""The day that every period `total` starts on."""

LARGEST = 2**63 - 1
"""Where a sum stays: a model host that lies about its counts must not hold up all records."""


class Account(NamedTuple):
    """One line of the ledger: a tenant or a key, in the period that starts on that day."""

    scope_kind: str
    scope_id: UUID
    period: str
    starts_on: date


@frozen(kw_only=True)
class Ledger:
    """What a batch did: how many rows were new, and what stands now on each account they charged.

    `tokens` are the totals after this transaction, not what it added.
    """

    new: int
    tokens: Mapping[Account, int]


def write(connection: Connection, finals: Sequence[Final]) -> Ledger:
    """Add the rows of one writer that are not there yet, and charge for exactly those.

    Raises `DBAPIError` where the database refuses a record or a value in it (its `orig` is
    psycopg's `DataError` or `IntegrityError`); nothing of the batch is kept then.
    """
    if not finals:
        return Ledger(new=0, tokens={})
    (writer,) = {final.writer for final in finals}
    # One value for all bytes: the driver takes as long for an element of an array as PostgreSQL for
    # its row. Arrays of numbers go as text, which costs it nothing.
    pieces = [piece for final in finals for piece in (final.chain_hash, final.record)]
    places = list(accumulate(map(len, pieces), initial=1))[:-1]
    parameters = {
        "writer": writer,
        "pieces": b"".join(pieces),
        "seqs": _array(final.seq for final in finals),
        "hash_at": _array(places[::2]),
        "record_at": _array(places[1::2]),
        "record_size": _array(map(len, pieces[1::2])),
    }
    return _add(connection, _ADD_RECORDS, parameters)


def write_tombstones(connection: Connection, finals: Sequence[Final]) -> Ledger:
    """Add rows for records of one writer that were refused: without their text, but charged for.

    The exact record and its link stay, so the chain goes on; `replace_tombstone` mends the rest.
    """
    parameters = {
        "rows": orjson.dumps([_with_hex(tombstone_of(final)) for final in finals]).decode(),
        "days": orjson.dumps(
            {str(final.seq): day_of_tombstone(final) for final in finals}
        ).decode(),
    }
    return _add(connection, _ADD_TOMBSTONES, parameters)


def replace_tombstone(connection: Connection, final: Final) -> bool:
    """Fill a tombstone with what its record says; False where there is none. Raises as `write`."""
    row = row_of(final)
    fields = {name: row[name] for name in _REPLACED}
    statement = func.gateway.replace_tombstone(row["started_at"], row["id"], cast(fields, JSONB))
    return bool(connection.execute(select(statement)).scalar_one())


def write_checkpoint(connection: Connection, signed: Signed) -> None:
    """Keep a signed statement."""
    connection.execute(
        insert(audit_checkpoints).values(
            writer=signed.writer,
            seq=signed.seq,
            chain_hash=signed.chain_hash,
            kind=signed.kind,
            statement=signed.statement,
            signature=signed.signature,
            signer=signed.signer,
        )
    )


def _add(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> Ledger:
    # As the driver takes it, which prepares a text that comes often and keeps what it has parsed
    # of one below 4096 characters; SQLAlchemy has only errors to translate.
    lines = connection.exec_driver_sql(statement, dict(parameters)).all()
    return Ledger(
        new=lines[0][0],
        tokens={Account(*account): tokens for _, *account, tokens in lines if tokens is not None},
    )


def _array(numbers: Iterable[int]) -> str:
    """An array as PostgreSQL writes it."""
    return f"{{{','.join(map(str, numbers))}}}"


def _with_hex(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its bytes as PostgreSQL writes them in text."""
    return row | {name: f"\\x{row[name].hex()}" for name in ("record", "chain_hash")}


_REPLACED = (
    *("client_id", "key_prefix", "route", "dialect", "model", "backend", "address", "status"),
    *("outcome", "prompt_tokens", "completion_tokens", "estimated", "bytes_sent"),
    *("first_byte_ms", "duration_ms", "user_agent"),
)

CHARGED = f"""
        LATERAL (VALUES ('tenant', tenant_id), ('key', key_id)) AS scope (kind, id),
        LATERAL (VALUES
            (gateway.budget_period 'day', day),
            ('month', date_trunc('month', day::timestamp)::date),
            ('total', date '{TOTAL_STARTS_ON}')
        ) AS term (period, starts_on)"""
"""The accounts that a use of a `day` by `tenant_id` and `key_id` is charged to, for a FROM."""

# The columns are those of `record.row_of`, which `audit verify` compares them with. Where the two
# could differ PostgreSQL has to refuse: `at` has 16 digits, so that a moment is one that Python
# knows, and is put together of seconds and microseconds since an interval counts in doubles. From
# double to integer PostgreSQL rounds halves to even, as Python does. The ledger's day is no
# column: it is the one on which the call was admitted (SPEC 7), so the record is asked again.
_RECORDS = """
    INSERT INTO gateway.audit_log (
        id, client_id, started_at,
        tenant_id, key_prefix, key_id, route, dialect, model, backend, address, status, outcome,
        prompt_tokens, completion_tokens, estimated, bytes_sent,
        first_byte_ms, duration_ms, user_agent,
        writer, seq, record, chain_hash, charged, count
    )
    SELECT
        id, client_id, timestamptz 'epoch'
            + div(at, 1000000) * interval '1 s' + mod(at, 1000000) * interval '1 us' AS started_at,
        tenant, prefix, key, route, dialect, model, backend, address, status, outcome,
        coalesce(prompt_tokens, 0), coalesce(completion_tokens, 0), coalesce(estimated, false),
        coalesce(bytes_sent, 0), first_byte_ms::integer, duration_ms::integer, user_agent,
        %(writer)s, seq, record, chain_hash, coalesce(charged, 0), coalesce(count, 1)
    FROM unnest(
            %(seqs)s::bigint[], %(hash_at)s::integer[], %(record_at)s::integer[],
            %(record_size)s::integer[]
        ) AS place (seq, hash_at, record_at, record_size),
        LATERAL (
            SELECT substring(%(pieces)b FROM hash_at FOR record_at - hash_at) AS chain_hash,
                substring(%(pieces)b FROM record_at FOR record_size) AS record
        ) AS final,
        json_to_record(convert_from(record, 'UTF8')::json) AS event (
            id uuid, at numeric(16), client_id text, tenant uuid, prefix text, key uuid,
            route text, dialect text, model text, backend text, address text,
            status smallint, outcome text,
            prompt_tokens bigint, completion_tokens bigint, estimated boolean, bytes_sent bigint,
            first_byte_ms double precision, duration_ms double precision, user_agent text,
            charged bigint, count integer
        )
    ORDER BY started_at, id
    ON CONFLICT DO NOTHING
    RETURNING (convert_from(record, 'UTF8')::json ->> 'day')::date AS day,
        tenant_id, key_id, model, count, prompt_tokens, completion_tokens, charged
"""

_TOMBSTONES = """
    INSERT INTO gateway.audit_log
    SELECT * FROM json_populate_recordset(NULL::gateway.audit_log, %(rows)s::json)
    ORDER BY started_at, id
    ON CONFLICT DO NOTHING
    RETURNING (%(days)s::json ->> seq::text)::date AS day,
        tenant_id, key_id, model, count, prompt_tokens, completion_tokens, charged
"""

# What was refused or listed is on no account: it has no tenant, or neither a model nor a cost.
# The model of a tombstone is empty.
_CHARGE = f"""
used AS (
    SELECT day, tenant_id, key_id, coalesce(model, '') AS model, sum(count) AS requests,
        sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
        sum(charged) AS charged
    FROM added
    WHERE tenant_id IS NOT NULL AND key_id IS NOT NULL AND (model <> '' OR charged > 0)
    GROUP BY 1, 2, 3, 4
),
ledger AS (
    INSERT INTO gateway.budget_usage AS stands (scope_kind, scope_id, period, starts_on, tokens)
    SELECT kind, scope.id, period, starts_on, least(sum(charged), {LARGEST})
    FROM used,{CHARGED}
    GROUP BY 1, 2, 3, 4
    HAVING sum(charged) > 0
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (scope_kind, scope_id, period, starts_on) DO UPDATE
        SET tokens = least(stands.tokens::numeric + excluded.tokens, {LARGEST})
    RETURNING scope_kind, scope_id, period, starts_on, tokens
),
usage AS (
    INSERT INTO gateway.usage_by_day AS stands (
        day, tenant_id, key_id, model, requests, prompt_tokens, completion_tokens, charged
    )
    SELECT day, tenant_id, key_id, model, requests, least(prompt_tokens, {LARGEST}),
        least(completion_tokens, {LARGEST}), least(charged, {LARGEST})
    FROM used
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (day, tenant_id, key_id, model) DO UPDATE SET
        requests = stands.requests + excluded.requests,
        prompt_tokens = least(stands.prompt_tokens::numeric + excluded.prompt_tokens, {LARGEST}),
        completion_tokens
            = least(stands.completion_tokens::numeric + excluded.completion_tokens, {LARGEST}),
        charged = least(stands.charged::numeric + excluded.charged, {LARGEST})
)
SELECT new.rows, ledger.*
FROM (SELECT count(*) AS rows FROM added) AS new LEFT JOIN ledger ON true
"""  # noqa: S608 - the numbers are the constants above


def _statement(added: str) -> str:
    """The statement on one line: below 4096 characters psycopg keeps what it has parsed of it."""
    return " ".join(f"WITH added AS ({added}), {_CHARGE}".split())


_ADD_RECORDS = _statement(_RECORDS)
_ADD_TOMBSTONES = _statement(_TOMBSTONES)
