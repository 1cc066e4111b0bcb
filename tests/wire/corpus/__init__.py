"""All entries, by theme."""

from collections.abc import Iterator, Mapping

from tests.wire.corpus import (
    answers,
    chunks,
    codings,
    expect,
    fields,
    forwarded,
    hosts,
    http_1_0,
    lengths,
    limits,
    methods,
    paths,
    persistence,
    pipelining,
    refusals,
    request_lines,
)
from tests.wire.entry import Entry

THEMES: Mapping[str, tuple[Entry, ...]] = {
    "answers": answers.ENTRIES,
    "chunks": chunks.ENTRIES,
    "codings": codings.ENTRIES,
    "expect": expect.ENTRIES,
    "fields": fields.ENTRIES,
    "forwarded": forwarded.ENTRIES,
    "hosts": hosts.ENTRIES,
    "http_1_0": http_1_0.ENTRIES,
    "lengths": lengths.ENTRIES,
    "limits": limits.ENTRIES,
    "methods": methods.ENTRIES,
    "paths": paths.ENTRIES,
    "persistence": persistence.ENTRIES,
    "pipelining": pipelining.ENTRIES,
    "refusals": refusals.ENTRIES,
    "request_lines": request_lines.ENTRIES,
}


def entries() -> Iterator[Entry]:
    """Every entry of every theme."""
    for theme in THEMES.values():
        yield from theme
