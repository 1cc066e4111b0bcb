"""Backends added and removed: OLLAMA_BACKENDS in the `.env` beside the process (SPEC 6, 11)."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from neuronetz_twisted.backend_list import (
    MOST_SLOTS,
    BackendEntry,
    backend_name,
    render_backends,
)
from neuronetz_twisted.cli.backends import BACKEND_COLUMNS, backend_record
from neuronetz_twisted.cli.dotenv_file import set_variable
from neuronetz_twisted.cli.options import confirm, json_option, yes_option
from neuronetz_twisted.cli.output import Fault, note, show_all
from neuronetz_twisted.cli.session import loaded
from neuronetz_twisted.config import Loaded
from neuronetz_twisted.upstream.backends import entries_of
from neuronetz_twisted.variables import header_name, header_value, http_url

VARIABLE = "OLLAMA_BACKENDS"

_STDIN = "-"


def _checked(
    check: Callable[[str], str],
) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback that takes what the variable takes."""

    def callback(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            return None if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


@click.command()
@click.argument("name", callback=_checked(backend_name))
@click.argument("url", callback=_checked(http_url))
@click.option("--token", callback=_checked(header_value), help="Token that the host asks for.")
@click.option("--token-file", help="File that has the token, or - for the standard input.")
@click.option("--header", callback=_checked(header_name), help="Header that carries it.")
@click.option("--scheme", callback=_checked(header_value), help="Word before it, or nothing.")
@click.option("--slots", type=click.IntRange(1, MOST_SLOTS), help="Requests at once.")
@json_option
def add_backend(
    *, name: str, url: str, token: str | None, token_file: str | None, as_json: bool, **more: Any
) -> None:
    """Add a model host behind the others, in the .env of the current directory."""
    if token is not None and token_file is not None:
        raise click.UsageError("say the token once: --token or --token-file")
    if token_file is not None:
        token = _token_in(token_file)
    found = loaded()
    entries = _entries_to_change(found)
    given = {option: value for option, value in more.items() if value is not None}
    entry = BackendEntry(name=name, url=url, token=token, **given)
    for other in entries:
        if other.name == name:
            raise Fault(f"there is a backend {name!r} already, at {other.url}")
        if other.url == url:
            raise Fault(f"{url} is the backend {other.name!r} already")
    if found.settings.ollama_backends is None:
        note(f"note: the host at OLLAMA_BASE_URL stays, as backend {entries[0].name!r}")
    _write([*entries, entry], as_json=as_json)


@click.command()
@click.argument("name")
@yes_option
@json_option
def remove_backend(*, name: str, yes: bool, as_json: bool) -> None:
    """Remove a model host from the .env of the current directory."""
    found = loaded()
    entries = _entries_to_change(found)
    rest = [entry for entry in entries if entry.name != name]
    if found.settings.ollama_backends is None:
        raise Fault(f"{VARIABLE} is not set: the one backend is that of OLLAMA_BASE_URL")
    if len(rest) == len(entries):
        names = ", ".join(entry.name for entry in entries)
        raise Fault(f"there is no backend {name!r}, only {names}")
    if not rest:
        raise Fault(f"{name!r} is the last backend; without one nothing could be answered")
    confirm(f"Remove the backend {name!r}?", yes=yes)
    _write(rest, as_json=as_json)


def _entries_to_change(found: Loaded) -> Sequence[BackendEntry]:
    """The backends in effect, if the `.env` is where they are said."""
    origin = found.origins[VARIABLE]
    if origin not in {".env", "default"}:
        where = "the environment" if origin == "environment" else f"the {origin}"
        raise Fault(f"{VARIABLE} comes from {where}, not from .env: change it there")
    return entries_of(found.settings)


def _token_in(path: str) -> str:
    try:
        text = sys.stdin.read() if path == _STDIN else Path(path).read_text(encoding="utf-8")
        token = header_value(text.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"{path} cannot be read: {type(error).__name__}") from None
    except ValueError as error:
        raise Fault(f"the token in {path} {error}") from None
    if not token:
        raise Fault(f"{path} holds no token")
    return token


def _write(entries: Sequence[BackendEntry], *, as_json: bool) -> None:
    is_open = set_variable(VARIABLE, render_backends(entries))
    settings = loaded().settings
    show_all(
        [backend_record(entry, settings) for entry in entries], BACKEND_COLUMNS, as_json=as_json
    )
    if is_open and any(entry.token is not None for entry in entries):
        note("note: .env holds a token, and others than its owner may read it")
    note("A gateway that runs knows nothing of this until it is started again.")
