"""The settings in effect and where each comes from, without a secret (SPEC 10)."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import click

from neuronetz_twisted.cli.options import json_option
from neuronetz_twisted.cli.output import Columns, Record, show_all
from neuronetz_twisted.cli.session import loaded
from neuronetz_twisted.config import variables
from neuronetz_twisted.variables import EMBEDDED, Variable

MASK = "***"

_COLUMNS: Columns = {
    "variable": lambda setting: setting["name"],
    "value": lambda setting: setting["value"],
    "origin": lambda setting: setting["origin"],
    "meaning": lambda setting: setting["help"],
}


@click.command()
@json_option
def config(*, as_json: bool) -> None:
    """Show every setting in effect with its origin; secrets are masked."""
    found = loaded()
    records: list[Record] = [
        {
            "name": known.name,
            "value": shown(known, getattr(found.settings, attribute)),
            "origin": found.origins[known.name],
            "help": known.help,
        }
        for attribute, known in variables()
    ]
    show_all(records, _COLUMNS, as_json=as_json)


def shown(known: Variable, value: Any) -> str | None:
    """A value as it would be written in the environment; None where it is unset."""
    if value is None:
        return None
    if known.secret:
        return masked(value) if isinstance(value, str) else MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        separator = "." if all(isinstance(part, int) for part in value) else ","
        return separator.join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def masked(secret: str) -> str:
    """A secret without what is secret; of a URL its place stays readable.

    A password that is not percent-encoded may hold any character, so all up to the last @ goes.
    """
    scheme, separator, rest = secret.partition("://")
    if secret == EMBEDDED:
        return secret
    if not separator:
        return MASK
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    place, question, query = place.partition("?")
    pairs = [(name, MASK if "pass" in name.lower() else value) for name, value in parse_qsl(query)]
    return "".join(
        (
            f"{scheme}://",
            f"{user}:{MASK}" if colon else user,
            at,
            place,
            question,
            urlencode(pairs, safe="*/"),
        )
    )
