"""What a command says: a table to a person, JSON to a program, one plain line when it fails.

Values come from databases and model hosts that others write to, so nothing in them is taken for
markup or reaches a terminal as a control character.
"""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any

import click
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.vocabulary import Scope

# A pipe has no width: there every row is one line, for grep.
_PIPE_WIDTH = 2000

Record = Mapping[str, Any]
Columns = Mapping[str, Callable[[Record], object]]


class Fault(click.ClickException):
    """A command could not do what it was asked; one line says why (SPEC 11)."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line to `file`, by default the standard error."""
        click.echo(f"{PROGRAM}: {printable(self.message)}", file=file, err=file is None)


def note(text: str) -> None:
    """Tell a person something beside the result, without disturbing who reads the result."""
    click.echo(printable(text), err=True)


def show_all(records: Sequence[Record], columns: Columns, *, as_json: bool) -> None:
    """Print a list: the records as JSON, or a table with one column for each heading."""
    if as_json:
        show_json(records)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for record in records:
        table.add_row(*(_cell(value(record)) for value in columns.values()))
    _print(table)


def show_one(record: Record, *, as_json: bool) -> None:
    """Print one record: as JSON, or as a table of its properties."""
    if as_json:
        show_json(record)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in record.items():
        table.add_row(_cell(name.replace("_", " ")), _cell(value))
    _print(table)


def show_json(value: object) -> None:
    """Print one line of JSON."""
    click.echo(orjson.dumps(value).decode())


def moment(value: datetime | None) -> str | None:
    """A time as both people and programs read it: UTC, whole seconds."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def scope_words(scopes: Collection[Scope]) -> list[str]:
    """Scopes as both people and programs read them, always in one order."""
    return [scope.value for scope in Scope if scope in scopes]


def printable(text: str) -> str:
    """The text without anything that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cell(value: object) -> Text:
    if value is None:
        return Text("-")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list | tuple):
        return Text(printable(", ".join(map(str, value))) or "none")
    return Text(printable(str(value)))


def _print(table: Table) -> None:
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(width=width, highlight=False).print(table)
