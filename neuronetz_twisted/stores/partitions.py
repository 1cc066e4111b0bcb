"""The months of `audit_log`: which there are, which are to go, and what they hold (SPEC 9).

They are made and dropped by functions of the database, which decide for themselves what may be
dropped (`migrations/versions/0005_partitions.py`). What is here runs as the service's role.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from attrs import fields, frozen
from psycopg.errors import LockNotAvailable
from sqlalchemy import ColumnElement, Connection, func, select, text
from sqlalchemy.exc import OperationalError

from neuronetz_twisted.audit.retention import MonthsInUse
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.audit.verify import Row
from neuronetz_twisted.stores.audit_reading import VERIFIED
from neuronetz_twisted.stores.tables import audit_checkpoints, audit_log

MONTHS_AHEAD = 2
"""How many months are made before they begin."""

LEAST_DAYS = 30
"""No record younger than this is dropped, whatever is asked for."""

# Moving rows or reading a whole month may take longer than any statement of a request.
_PATIENCE = text("SET LOCAL statement_timeout = '10min'")

_AT_ONCE = 1000
_SIGNED = tuple(audit_checkpoints.c[each.name] for each in fields(Signed))

# The bounds are read as the server writes them, whatever the login's own settings are.
_PLAIN_TIMES = (text("SET LOCAL TimeZone = 'UTC'"), text("SET LOCAL DateStyle = 'ISO, YMD'"))

# The default partition has no bounds.
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
    for setting in _PLAIN_TIMES:
        connection.execute(setting)
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


def columns() -> Sequence[str]:
    """The names of what `rows` gives, in its order."""
    return VERIFIED


def rows(connection: Connection, partition: Partition) -> Iterator[Row]:
    """What a month holds, by writer and number, as it comes: it need not fit into memory."""
    connection.execute(_PATIENCE)
    statement = (
        select(*(audit_log.c[name] for name in VERIFIED))
        .where(*_within(partition))
        .order_by(audit_log.c.writer, audit_log.c.seq)
        .execution_options(yield_per=_AT_ONCE)
    )
    with connection.execute(statement) as found:
        yield from found


def hash_before(connection: Connection, writer: UUID, seq: int) -> bytes | None:
    """The hash of a writer's record `seq` - 1: of its row, else of what was signed there."""
    for table in (audit_log, audit_checkpoints):
        at = (table.c.writer == writer) & (table.c.seq == seq - 1)
        found: bytes | None = connection.execute(select(table.c.chain_hash).where(at)).scalar()
        if found is not None:
            return found
    return None


def statements(connection: Connection, writer: UUID, *, first: int, last: int) -> Iterator[Signed]:
    """What was signed of a chain, but for trims: from `last` on, then down from there to `first`.

    Whose word they are is for the caller to find out.
    """
    of_writer = (audit_checkpoints.c.writer == writer) & (audit_checkpoints.c.kind != "trim")
    seq = audit_checkpoints.c.seq
    for within, order in ((seq >= last, seq.asc()), (seq.between(first, last - 1), seq.desc())):
        statement = select(*_SIGNED).where(of_writer, within).order_by(order)
        with connection.execute(statement.execution_options(yield_per=_AT_ONCE)) as found:
            for row in found:
                yield Signed(**row._mapping)  # noqa: SLF001 - its public name begins so


def drop(connection: Connection, partition: Partition, keep_days: int) -> None:
    """Drop a month with all its records.

    Raises `DBAPIError` where the database finds it too young, or no month of the record, and
    `MonthsInUse` where somebody uses the record for too long.
    """
    with _locking():
        connection.execute(select(func.gateway.drop_audit_partition(partition.name, keep_days)))


def _within(partition: Partition) -> tuple[ColumnElement[bool], ...]:
    begun = audit_log.c.started_at
    return begun >= partition.starts, begun < partition.ends


@contextmanager
def _locking() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise MonthsInUse from None
        raise
