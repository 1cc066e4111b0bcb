"""The record as it is read: all of it, by a cursor of the server, or the rows that are asked for.

Verifying and exporting take as long as there are rows, and wait for whoever reads what they write.
So their transaction has no limit of time. It sees one moment, and while it lasts no month can be
dropped: retention tries again later.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, select, text

from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.audit.verify import LEADING
from neuronetz_twisted.stores.tables import audit_checkpoints, audit_log, tenants

VERIFIED = (*LEADING, *(each.name for each in audit_log.c if each.name not in LEADING))
"""The columns of `chains`, in their order."""

_AT_ONCE = 1000
_STEADY = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "LOCK TABLE gateway.audit_log IN ACCESS SHARE MODE",
)
_HIDDEN = {"record", "chain_hash", "tenant_id"}
_READABLE: Select[Any] = select(
    audit_log.c.started_at,
    audit_log.c.id,
    tenants.c.name.label("tenant"),
    audit_log.c.tenant_id,
    *(column for name, column in audit_log.c.items() if name not in {*_HIDDEN, "started_at", "id"}),
    audit_log.c.chain_hash,
).select_from(audit_log.outerjoin(tenants, audit_log.c.tenant_id == tenants.c.id))
# SQLAlchemy's names are a subclass of `str`, which JSON does not take for names.
READABLE = tuple(str(name) for name, _ in _READABLE.selected_columns.items())
"""The names in a record as it is read."""

_VERSION_WITH_TIME = 7
_NEAR = timedelta(hours=1)

Record = Mapping[str, Any]


def begin_reading(connection: Connection) -> None:
    """Let this transaction, of which it is the first statement, read for as long as it takes."""
    for statement in _STEADY:
        connection.execute(text(statement))


def chains(connection: Connection) -> Iterator[Row[Any]]:
    """All rows by writer and number, with the columns `VERIFIED`."""
    columns = [audit_log.c[name] for name in VERIFIED]
    yield from _streamed(connection, select(*columns).order_by(audit_log.c.writer, audit_log.c.seq))


def statements(connection: Connection) -> Iterator[Signed]:
    """All that was signed, in the order in which it was stored."""
    names = ("kind", "writer", "seq", "chain_hash", "statement", "signature", "signer")
    columns = [audit_checkpoints.c[name] for name in names]
    for row in _streamed(connection, select(*columns).order_by(audit_checkpoints.c.id)):
        yield Signed(**dict(zip(names, row, strict=True)))


def newest(connection: Connection, count: int) -> list[Record]:
    """The last records by the time of their arrival, the newest one last."""
    latest = _READABLE.order_by(audit_log.c.started_at.desc(), audit_log.c.id.desc()).limit(count)
    return [_readable(row) for row in connection.execute(latest)][::-1]


def find(connection: Connection, request_id: UUID) -> Record | None:
    """The record of one request, or None. An id that tells its time is looked up by that."""
    of_id = _READABLE.where(audit_log.c.id == request_id)
    searches = [of_id]
    if request_id.version == _VERSION_WITH_TIME:
        at = datetime.fromtimestamp((request_id.int >> 80) / 1000, UTC)
        near = audit_log.c.started_at.between(at - _NEAR, at + _NEAR)
        searches.insert(0, of_id.where(near))
    for search in searches:
        row = connection.execute(search).first()
        if row is not None:
            return _readable(row)
    return None


def between(
    connection: Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    tenant_id: UUID | None = None,
) -> Iterator[Record]:
    """Records by the time of their arrival, from `since` on and before `until`."""
    chosen = _READABLE
    if since is not None:
        chosen = chosen.where(audit_log.c.started_at >= since)
    if until is not None:
        chosen = chosen.where(audit_log.c.started_at < until)
    if tenant_id is not None:
        chosen = chosen.where(audit_log.c.tenant_id == tenant_id)
    ordered = chosen.order_by(audit_log.c.started_at, audit_log.c.id)
    for row in _streamed(connection, ordered):
        yield _readable(row)


def _readable(row: Any) -> Record:
    record = dict(zip(READABLE, row, strict=True))
    record["chain_hash"] = record["chain_hash"].hex()
    record["started_at"] = record["started_at"].astimezone(UTC)
    return record


def _streamed(connection: Connection, statement: Select[Any]) -> Iterator[Row[Any]]:
    with connection.execution_options(yield_per=_AT_ONCE).execute(statement) as rows:
        yield from rows
