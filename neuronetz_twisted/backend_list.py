"""OLLAMA_BACKENDS: the model hosts as an operator names them, from JSON and back (SPEC 6, 10).

Pure. A fault names the entry and the member, never a value: there may be a token in it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from attrs import asdict, field, fields, frozen

from neuronetz_twisted.variables import header_name, header_value, http_url

MOST_SLOTS = 100_000

_NAME = re.compile(r"[a-z0-9._-]{1,64}")


@frozen(kw_only=True)
class BackendEntry:
    """One model host. Without `slots` it has OLLAMA_MAX_CONNECTIONS of them."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)
    header: str = "Authorization"
    scheme: str = "Bearer"
    slots: int | None = None


def backend_name(value: str) -> str:
    """The name of a backend, as logs and records have it."""
    if not _NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 of a-z, 0-9, dot, underscore and hyphen")
    return value


def parse_backends(text: str) -> tuple[BackendEntry, ...]:
    """The entries in their order. Raises `ValueError` that names every fault."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("must be JSON") from None
    if not isinstance(found, list) or not found:
        raise ValueError("must be a JSON list of at least one backend")
    faults: list[str] = []
    entries = [
        entry for at, each in enumerate(found, 1) if (entry := _entry(at, each, faults)) is not None
    ]
    for member in ("name", "url"):
        values = [getattr(entry, member) for entry in entries]
        faults += [
            f"backend {entry.name}: another one has the same {member}"
            for at, entry in enumerate(entries)
            if values[at] in values[:at]
        ]
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(entries)


def render_backends(entries: Sequence[BackendEntry]) -> str:
    r"""The JSON that `parse_backends` reads, without what is a default.

    It has no apostrophe and no backslash but that of `\\u`, so that it can stand between single
    quotes in a `.env`, whoever reads that.
    """
    text = orjson.dumps([_told(entry) for entry in entries]).decode()
    return re.sub(r"\\([\"\\])|'", _as_number, text)


def _as_number(found: re.Match[str]) -> str:
    return f"\\u{ord(found[1] or found[0]):04x}"


def _told(entry: BackendEntry) -> dict[str, Any]:
    defaults = {each.name: each.default for each in fields(BackendEntry)}
    return {name: value for name, value in asdict(entry).items() if value != defaults[name]}


def _entry(at: int, found: Any, faults: list[str]) -> BackendEntry | None:
    """One entry, or None where something is wrong with it, which `faults` tells then."""
    if not isinstance(found, dict):
        faults.append(f"backend {at}: must be an object")
        return None
    name = found.get("name")
    shown = f" {name}" if isinstance(name, str) and _NAME.fullmatch(name) else ""
    before = len(faults)
    values: dict[str, Any] = {}
    for member, value in found.items():
        try:
            values[member] = _member(member, value)
        except ValueError as error:
            faults.append(f"backend {at}{shown}: {error}")
    faults += [
        f"backend {at}{shown}: {member} is missing"
        for member in ("name", "url")
        if member not in found
    ]
    return None if len(faults) > before else BackendEntry(**values)


_TEXTS: Mapping[str, Callable[[str], str]] = {
    "name": backend_name,
    "url": http_url,
    "token": header_value,
    "header": header_name,
    "scheme": header_value,
}


def _member(name: str, value: Any) -> Any:
    if name == "slots":
        if type(value) is not int or not 1 <= value <= MOST_SLOTS:
            raise ValueError(f"slots must be a whole number from 1 to {MOST_SLOTS}")
        return value
    if name not in _TEXTS:
        raise ValueError(f"only {', '.join((*_TEXTS, 'slots'))} are known")
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")  # noqa: TRY004 - a fault of the variable's
    try:
        return _TEXTS[name](value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
