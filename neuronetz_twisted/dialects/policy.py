"""The table of what each field may hold, as Markdown, made of the checks themselves (SPEC 4).

`python -m neuronetz_twisted.dialects.policy FILE` writes it between the two marks in a document.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from neuronetz_twisted.dialects import (
    anthropic_requests,
    native_fields,
    openai_completions,
    openai_embeddings,
    openai_requests,
    responses_requests,
    tools,
)
from neuronetz_twisted.dialects.fields import Check, FieldTable

BEGIN = "<!-- field policy: begin -->"
END = "<!-- field policy: end -->"

Titled = tuple[str, FieldTable]

TABLES: tuple[Titled, ...] = (
    *native_fields.TABLES,
    *tools.TABLES,
    *openai_requests.TABLES,
    *openai_completions.TABLES,
    *openai_embeddings.TABLES,
    *responses_requests.TABLES,
    *anthropic_requests.TABLES,
)
"""All tables of all dialects, under the titles that they have in the documents."""

_HEAD = "| field | type and bounds | what happens |\n|---|---|---|"
_DROPPED = "dropped and named"
_ALWAYS = f"""\
`null` is absent everywhere. A field that is not in its table is {_DROPPED} in
`X-Gateway-Ignored`; one that is there in another case is refused."""


def policy(tables: Sequence[Titled] = TABLES) -> str:
    """The tables as Markdown, each under its title, and what holds for all of them."""
    shown = (f"### {title}\n\n{_of(table, tables)}" for title, table in tables)
    return "\n\n".join([_ALWAYS, *shown])


def rewritten(document: str, tables: Sequence[Titled] = TABLES) -> str:
    """A document with the tables of today between the marks. Raises `ValueError` without marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} with {END} behind it")
    return f"{before}{BEGIN}\n\n{policy(tables)}\n\n{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Write the tables into the document that is named."""
    [name] = arguments
    path = Path(name)
    path.write_text(rewritten(path.read_text("utf-8")), "utf-8")


def _of(table: FieldTable, tables: Sequence[Titled]) -> str:
    rows = (f"| `{name}` | {says} | {then} |" for name, says, then in _rows(table, tables))
    return "\n".join([_HEAD, *rows])


def _rows(table: FieldTable, tables: Sequence[Titled]) -> Iterator[tuple[str, str, str]]:
    for name, check in sorted(table.taken.items()):
        yield name, _says(check, tables), check.then
    for name, neutral in sorted(table.refused.items()):
        words = " or ".join(f"`{orjson.dumps(word).decode()}`" for word in neutral)
        yield name, f"absent, or {words}" if words else "absent", "refused"
    for name in sorted(table.dropped):
        yield name, "anything", _DROPPED


def _says(check: Check, tables: Sequence[Titled]) -> str:
    """The type; what is inside has a table of its own, unless that is not shown."""
    for title, table in tables:
        if table is check.inner:
            return f"{check.says}: [{title}](#{_anchor(title)})"
    return check.says


def _anchor(title: str) -> str:
    """The anchor that Markdown's processors give to a heading."""
    return re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")


if __name__ == "__main__":
    main(sys.argv[1:])
