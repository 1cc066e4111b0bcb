"""Request bodies and what must come of them: the corpus of the differential test, by theme."""

from collections.abc import Iterator, Mapping

from tests.bodies import (
    chat_fields,
    forms,
    generate_fields,
    later_dialects,
    lifetimes,
    models,
    names_of_fields,
    numbers,
    openai_fields,
    options,
    syntax,
    tools,
    vectors,
)
from tests.bodies.entry import Entry

THEMES: Mapping[str, tuple[Entry, ...]] = {
    "chat fields": chat_fields.ENTRIES,
    "forms": forms.ENTRIES,
    "generate fields": generate_fields.ENTRIES,
    "later dialects": later_dialects.ENTRIES,
    "lifetimes": lifetimes.ENTRIES,
    "models": models.ENTRIES,
    "names of fields": names_of_fields.ENTRIES,
    "numbers": numbers.ENTRIES,
    "openai fields": openai_fields.ENTRIES,
    "options": options.ENTRIES,
    "syntax": syntax.ENTRIES,
    "tools": tools.ENTRIES,
    "vectors": vectors.ENTRIES,
}


def entries() -> Iterator[Entry]:
    """Every entry of every theme."""
    for theme in THEMES.values():
        yield from theme
