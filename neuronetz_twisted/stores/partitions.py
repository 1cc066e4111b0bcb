"""The months of `audit_log`: which there are, which are to go, and what they hold (SPEC 9).

They are made and dropped by functions of the database, which decide for themselves what may be
dropped (`migrations/versions/0005_partitions.py`). What is here runs as the service's role.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from attrs import frozen
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError

from neuronetz_twisted.audit.retention import MonthsInUse
from neuronetz_twisted.stores.tables import audit_log

MONTHS_AHEAD = 2
"""How many months are made before they begin."""

LEAST_DAYS = 30
"""No record younger than this is dropped, whatever is asked for."""

# Moving rows or reading a whole month may take longer than any statement of a request.
_PATIENCE = text("SET LOCAL statement_timeout = '10min'")

# The bounds as the server writes them, in the session's zone; the default partition has none.
_PARTITIONS = text(
    r"""
    SELECT name, bounds[1]::timestamptz AS starts, bounds[2]::timestamptz AS ends
    FROM (
        SELECT relname::text AS name, regexp_match(
            pg_get_expr(relpartbound, pg_class.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)'
        ) AS bounds
        FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid
        WHERE inhparent = 'gateway.audit_log'::regclass
    ) AS found
    WHERE bounds IS NOT NULL
    ORDER BY starts
    """
)
_OLD_ENOUGH = text(
    "SELECT ((now() AT TIME ZONE 'UTC')::date - :keep_days)::timestamp AT TIME ZONE 'UTC'"
)


@frozen
class Partition:
    """One month: its table, and the moments at which it starts and ends."""

    name: str
    starts: datetime
    ends: datetime


@frozen(kw_only=True)
class Span:
    """The records `first` to `last` of one writer, without a gap; `last_hash` is that of the last.

    A writer may have several in one month: records are numbered when they end and filed under the
    month in which they began.
    """

    writer: UUID
    first: int
    last: int
    last_hash: bytes


def ensure(connection: Connection, months_ahead: int = MONTHS_AHEAD) -> list[str]:
    """Make this month's partition and the next ones; returns the names of those that are new.

    Rows that came before their month was made are moved to it. Gateways wait for each other; raises
    `MonthsInUse` where one takes too long.
    """
    connection.execute(_PATIENCE)
    made = func.gateway.ensure_audit_partitions(months_ahead).table_valued("name")
    with _locking():
        return sorted(connection.execute(select(made.c.name)).scalars())


def months(connection: Connection) -> list[Partition]:
    """All partitions but the default one, the oldest first."""
    return [
        Partition(row.name, row.starts.astimezone(UTC), row.ends.astimezone(UTC))
        for row in connection.execute(_PARTITIONS)
    ]


def expired(connection: Connection, keep_days: int) -> list[Partition]:
    """Those that ended at least `keep_days` ago, on the server's clock, the oldest first."""
    oldest = connection.execute(_OLD_ENOUGH, {"keep_days": max(keep_days, LEAST_DAYS)}).scalar_one()
    return [month for month in months(connection) if month.ends <= oldest]


def hold(connection: Connection, partition: Partition, keep_days: int) -> bool:
    """Keep all others from an old month until the transaction ends, before it is read.

    False where it holds records that came later than their dates say: it is not to go yet. Raises
    `MonthsInUse` where somebody reads or writes it.
    """
    connection.execute(_PATIENCE)
    held = select(func.gateway.hold_audit_partition(partition.name, keep_days))
    with _locking():
        return bool(connection.execute(held).scalar_one())


def spans(connection: Connection, partition: Partition) -> list[Span]:
    """What a month holds, by writer: what is to be signed before it is dropped."""
    connection.execute(_PATIENCE)
    within = (audit_log.c.started_at >= partition.starts, audit_log.c.started_at < partition.ends)
    number = func.row_number().over(partition_by=audit_log.c.writer, order_by=audit_log.c.seq)
    numbered = (
        select(audit_log.c.writer, audit_log.c.seq, (audit_log.c.seq - number).label("island"))
        .where(*within)
        .subquery()
    )
    span = (
        select(
            numbered.c.writer,
            func.min(numbered.c.seq).label("first"),
            func.max(numbered.c.seq).label("last"),
        )
        .group_by(numbered.c.writer, numbered.c.island)
        .subquery()
    )
    at_its_end = (audit_log.c.writer == span.c.writer) & (audit_log.c.seq == span.c.last)
    statement = (
        select(span, audit_log.c.chain_hash.label("last_hash"))
        .join(audit_log, at_its_end)
        .where(*within)
        .order_by(span.c.writer, span.c.first)
    )
    return [Span(**row) for row in connection.execute(statement).mappings()]


def drop(connection: Connection, partition: Partition, keep_days: int) -> None:
    """Drop a month with all its records.

    Raises `DBAPIError` where the database finds it too young, or no month of the record, and
    `MonthsInUse` where somebody uses the record for too long.
    """
    with _locking():
        connection.execute(select(func.gateway.drop_audit_partition(partition.name, keep_days)))


@contextmanager
def _locking() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise MonthsInUse from None
        raise
