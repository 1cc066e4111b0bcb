"""How the text of an environment variable becomes a value, and what a variable is.

Each parser takes the stripped text and raises `ValueError` with a sentence that goes behind the
variable's name in the list of faults (SPEC 10).
"""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen

from neuronetz_twisted.redis_target import parse_redis_url

EMBEDDED = "embedded:"
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


@frozen
class Variable:
    """What is known of one environment variable besides its value."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    secret: bool
    help: str


def text(value: str) -> str:
    """Any text."""
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A parser for a number of seconds from `low` to `high`."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return float(value)

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """A parser for one of `words`, whatever its case."""

    def parse(value: str) -> str:
        for word in words:
            if value.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return parse


def http_url(value: str) -> str:
    """Scheme, host and port of an HTTP server."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("must be an http:// or https:// URL")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be only scheme, host and port")
    return f"{parts.scheme}://{parts.netloc}"


def postgresql_url(value: str) -> str:
    """A PostgreSQL URL in SQLAlchemy's form, or `embedded:`."""
    if value == EMBEDDED:
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise ValueError("must be postgresql+psycopg://… or embedded:")
    return f"postgresql+psycopg://{rest}"


def redis_server_url(value: str) -> str:
    """A Redis URL, or `embedded:`."""
    if value != EMBEDDED:
        parse_redis_url(value)
    return value


def proxies(value: str) -> tuple[str, ...]:
    """Addresses, networks and host names, separated by commas."""
    entries = tuple(entry.strip() for entry in value.split(",") if entry.strip())
    for entry in entries:
        if not (_is_network(entry) or _HOST_NAME.fullmatch(entry)):
            raise ValueError("must be addresses, networks or host names, separated by commas")
    return entries


def _is_network(entry: str) -> bool:
    try:
        ip_address(entry)
    except ValueError:
        try:
            ip_network(entry, strict=False)
        except ValueError:
            return False
    return True


def header_name(value: str) -> str:
    """The name of a header field."""
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("must be a header name")
    return value


def header_value(value: str) -> str:
    """A word that may stand in a header field."""
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII")
    return value


def version(value: str) -> tuple[int, int, int]:
    """Three numbers, as Ollama writes its version."""
    match = _VERSION.fullmatch(value)
    if match is None:
        raise ValueError("must be a version such as 0.17.1")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def absolute_path(value: str) -> Path:
    """A path that does not depend on the working directory."""
    path = Path(value)
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def variable(
    name: str,
    parse: Callable[[str], Any],
    default: str | None,
    help: str,  # noqa: A002 - the word for it
    *,
    secret: bool = False,
) -> Any:
    """One field of `Settings`, read from the environment variable `name`."""
    return field(
        repr=not secret,
        metadata={"variable": Variable(name, parse, default, secret, help)},
    )
