"""How the text of an environment variable becomes a value, and what a variable is.

Each parser takes the stripped text and raises `ValueError` with a sentence that goes behind the
variable's name in the list of faults (SPEC 10).
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins

from neuronetz_twisted.hosts import is_host, is_resolvable
from neuronetz_twisted.redis_target import parse_redis_url

EMBEDDED = "embedded:"
_LAST_PORT = 65535
_OWN_ENDPOINTS = {"tcp", "ssl", "unix"}
"""The types that `serverFromString` knows by itself; the others are plugins."""

KEY_BYTES = 32
"""The length of each secret key that a variable holds."""

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f.]*:[0-9a-f:.]*\])(?::([0-9]{1,5}))?"
)
_OWN_PORTS = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})")


@frozen
class Variable:
    """What is known of one environment variable besides its value."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    secret: bool
    help: str


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A parser for a number of seconds from `low` to `high`."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) or not low <= float(value) <= high:
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


def flag(value: str) -> bool:
    """`true` or `false`, whatever its case."""
    return choice("true", "false")(value) == "true"


def own_host(value: str) -> str:
    """An address or a name of this machine."""
    if not is_resolvable(value):
        raise ValueError("must be an address or a host name")
    return value


def server_endpoint(value: str) -> str:
    """An endpoint string of a type that Twisted knows; its arguments are read when it is opened.

    Reading them now would open the files that some types name, such as a private key, which not
    every user of the command line may read.
    """
    plugged_in = {parser.prefix for parser in getPlugins(IStreamServerEndpointStringParser)}
    if value.partition(":")[0] not in _OWN_ENDPOINTS | plugged_in:
        raise ValueError("must begin with a type of endpoint that Twisted knows, such as tcp:")
    return value


def http_url(value: str) -> str:
    """Scheme, host and port of an HTTP server."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        # The original text quotes the URL, which may hold a password by mistake.
        raise ValueError("has no valid host and port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("must be an http:// or https:// URL")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be only scheme, host and port")
    if parts.netloc.endswith(":"):
        raise ValueError("has a colon without a port")
    if not is_host(parts.hostname):
        raise ValueError("its host is neither an address nor a valid name")
    return f"{parts.scheme}://{parts.netloc}"


def postgresql_url(value: str) -> str:
    """A PostgreSQL URL in SQLAlchemy's form, or `embedded:`."""
    if value == EMBEDDED:
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise ValueError("must be postgresql+psycopg://… or embedded:")
    url = f"postgresql+psycopg://{rest}"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        # The original text quotes the URL, and with it the password.
        raise ValueError(
            "has no valid host and port; are all special characters of the password "
            "percent-encoded?"
        ) from None
    if "@" in (parts.host or ""):
        raise ValueError("has two @; one in the password is written as %40")
    if parts.port is not None and not 1 <= parts.port <= _LAST_PORT:
        raise ValueError(f"its port is not in 1-{_LAST_PORT}")
    return url


def redis_server_url(value: str) -> str:
    """A Redis URL, or `embedded:`."""
    if value != EMBEDDED:
        parse_redis_url(value)
    return value


def proxies(value: str) -> tuple[str, ...]:
    """Addresses, networks and host names, separated by commas."""
    entries = tuple(entry.strip() for entry in value.split(",") if entry.strip())
    for entry in entries:
        if not (_is_network(entry) or is_resolvable(entry)):
            raise ValueError("must be addresses, networks or host names, separated by commas")
    return entries


def _is_network(entry: str) -> bool:
    try:
        ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


def origins(value: str) -> tuple[str, ...]:
    """Web origins, separated by commas, as a browser writes them in `Origin`; or `*` alone.

    That is in lower case and without the scheme's own port (HTML 7.1.1, RFC 6454 6.2). Schemes of
    browser extensions and desktop shells are as good as `https`.
    """
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if entries == ["*"]:
        return ("*",)
    return tuple(dict.fromkeys(map(_origin, entries)))


def _origin(entry: str) -> str:
    match = _ORIGIN.fullmatch(entry.lower())
    if (
        match is None
        or not is_resolvable(match[2].strip("[]"))
        or not 1 <= int(match[3] or 1) <= _LAST_PORT
    ):
        raise ValueError(
            "must be origins such as https://app.example or http://localhost:3000, without a "
            "path, separated by commas, or * alone"
        )
    scheme, host, port = match.groups()
    if host.startswith("["):
        host = f"[{IPv6Address(host[1:-1])}]"
    is_plain = port is None or int(port) == _OWN_PORTS.get(scheme)
    return f"{scheme}://{host}" if is_plain else f"{scheme}://{host}:{int(port)}"


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


def secret_keys(value: str) -> str:
    """One or more keys, as `keys_of` reads them."""
    keys_of(value)
    return value


def keys_of(text: str) -> tuple[bytes, ...]:
    """Give the keys of a text: 32 bytes each, in hex or base64, by commas, blanks or line ends.

    Raises `ValueError` with a sentence that holds nothing of the text.
    """
    keys = tuple(_key(word) for word in re.split(r"[,\s]+", text) if word)
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ValueError(f"must be {KEY_BYTES} bytes in hex or base64")
    return keys


def _key(word: str) -> bytes:
    try:
        if len(word) == 2 * KEY_BYTES:
            return bytes.fromhex(word)
        return b64decode(word.translate(str.maketrans("-_", "+/")), validate=True)
    except (ValueError, binascii.Error):
        return b""


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
