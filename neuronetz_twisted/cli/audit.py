"""The record, as an operator reads and exports it (SPEC 9, 11)."""

import csv
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
import orjson
from sqlalchemy import Connection

from neuronetz_twisted.cli.audit_checks import replay, verify
from neuronetz_twisted.cli.options import existing, json_option, moment_of
from neuronetz_twisted.cli.output import Columns, Fault, Record, show_all, show_one
from neuronetz_twisted.cli.records import find_tenant
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.stores import audit_reading

_MOST_ROWS = 10_000
# What spreadsheets take for the beginning of a formula, in both widths.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - these are the characters that are meant

_COLUMNS: Columns = {
    "started": lambda record: record["started_at"],
    "id": lambda record: record["id"],
    "tenant": lambda record: record["tenant"],
    "key": lambda record: record["key_prefix"],
    "route": lambda record: record["route"],
    "model": lambda record: record["model"],
    "status": lambda record: record["status"],
    "outcome": lambda record: record["outcome"],
    "tokens": lambda record: record["charged"],
    "ms": lambda record: record["duration_ms"],
}


@click.group()
def audit() -> None:
    """What was asked, by whom, and what became of it."""


audit.add_command(verify)
audit.add_command(replay)


@audit.command()
@click.option(
    "-n", "count", type=click.IntRange(1, _MOST_ROWS), default=20, show_default=True, help="Rows."
)
@json_option
def tail(*, count: int, as_json: bool) -> None:
    """Show the last records that are in the database, the newest one last."""
    with database(loaded().settings) as operator:
        records = operator.run(lambda connection: audit_reading.newest(connection, count))
    show_all([_presented(record) for record in records], _COLUMNS, as_json=as_json)


@audit.command()
@click.argument("request_id", metavar="ID", type=click.UUID)
@json_option
def show(*, request_id: UUID, as_json: bool) -> None:
    """Show the record of one request, by its request id."""
    with database(loaded().settings) as operator:
        record = operator.run(lambda connection: _found(connection, request_id))
    show_one(_presented(record), as_json=as_json)


def _found(connection: Connection, request_id: UUID) -> Record:
    audit_reading.begin_reading(connection)
    record = audit_reading.find(connection, request_id)
    if record is None:
        raise Fault(f"there is no record of a request {request_id} in the database")
    return record


def _past(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """A moment in UTC; a span counts back from now."""
    if value is None:
        return None
    now = datetime.now(UTC)
    try:
        moment = moment_of(value.strip(), now)
        return now - (moment - now) if value.strip()[-1] in "hdw" else moment
    except (ValueError, OverflowError):
        raise click.BadParameter("must be a span such as 30d, a date, or an ISO time") from None


@audit.command()
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), required=True)
@click.option(
    "--since", callback=_past, help="From then on: 30d (ago), 2027-01-31 (UTC), an ISO time."
)
@click.option("--until", callback=_past, help="Before then.")
@click.option("--tenant", callback=existing, help="Only this tenant's.")
def export(
    *, form: str, since: datetime | None, until: datetime | None, tenant: str | None
) -> None:
    """Write records to the standard output, by the time of their arrival."""

    def write(connection: Connection) -> None:
        audit_reading.begin_reading(connection)
        records = audit_reading.between(
            connection,
            since=since,
            until=until,
            tenant_id=None if tenant is None else find_tenant(connection, tenant).id,
        )
        _WRITERS[form](map(_presented, records))

    with database(loaded().settings) as operator:
        operator.run(write)


def _write_csv(records: Iterable[Record]) -> None:
    # The standard output ends its lines as its system does; csv's own ends are the format's.
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(audit_reading.READABLE)
    rows.writerows(map(_cell, record.values()) for record in records)


def _write_jsonl(records: Iterable[Record]) -> None:
    for record in records:
        click.echo(orjson.dumps(record))


_WRITERS: dict[str, Callable[[Iterable[Record]], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}


def _cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula: clients write some of the texts."""
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _presented(record: Record) -> dict[str, Any]:
    at = record["started_at"].isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {**record, "started_at": at}
