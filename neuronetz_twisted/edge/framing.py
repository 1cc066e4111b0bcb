"""What a request's head must be, so that nobody can doubt where the request ends. Pure.

The parser below us (llhttp) refuses most of what is malformed; the rules here are those that it
leaves to its user (`Host`, transfer codings, limits, names that shadow others), and the request
line, whose method it would only know from a list. RFC 9112 is the source unless another is named.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product

from attrs import define

from neuronetz_twisted.errors import (
    HeadersTooLarge,
    InvalidRequest,
    Refusal,
    UriTooLong,
    VersionNotSupported,
)

MAX_HEAD_BYTES = 16 * 1024
MAX_FIELDS = 100
MAX_TARGET_BYTES = 8 * 1024
MAX_METHOD_BYTES = 32
_VERSION_BYTES = len(b" HTTP/1.1")
MAX_LINE_BYTES = MAX_METHOD_BYTES + 1 + MAX_TARGET_BYTES + _VERSION_BYTES

HTTP_1_0 = b"HTTP/1.0"
HTTP_1_1 = b"HTTP/1.1"

Fields = Mapping[bytes, Sequence[bytes]]
"""The fields of a head: names in lower case, the values of each in the order of their lines."""

_METHOD = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
_TARGET = rb"([A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]+)"
_REQUEST_LINE = re.compile(_METHOD + b" " + _TARGET + rb" (HTTP/1\.[01])")
_THREE_WORDS = re.compile(_METHOD + rb" ([^ ]+) (HTTP/[0-9]\.[0-9])")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)")
_LABEL = rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|" + _LABEL + rb"(?:\." + _LABEL + rb"){0,126}\.?)"
    rb"(?::([0-9]{0,5}))?"
)
_MAX_HOST_BYTES = 262
_LAST_PORT = 65535
REMEMBERED_HOSTS = 256
"""Hosts whose reading is kept: nearly all requests have the same one."""

_LENGTH = re.compile(rb"[0-9]{1,18}")

_READ_HERE = frozenset(
    {
        b"accept",
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"transfer-encoding",
        b"user-agent",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-request-id",
    }
)
"""Names that mean something here, or to a proxy that writes them with underscores."""

_SHADOWS = _READ_HERE.symmetric_difference(
    "".join(spelling).encode("ascii")
    for name in _READ_HERE
    for spelling in product(*("-_" if sign == "-" else sign for sign in name.decode("ascii")))
)
"""Names that others may take for one of these: some write `-` as `_` (CGI's way)."""


@define
class RequestLine:
    """The first line: `path` is the target without authority and query."""

    method: bytes
    path: bytes
    version: bytes


@define(kw_only=True)
class RequestHead:
    """A head whose framing is beyond doubt.

    `length` is the body's in bytes, None for a chunked one. `keeps_alive` says whether the client
    leaves the connection open, `invited` whether it waits for a 100 before it sends its body.
    """

    line: RequestLine
    fields: Fields
    length: int | None
    keeps_alive: bool
    invited: bool


def malformed(what: str) -> InvalidRequest:
    """The refusal of a request that is not well framed."""
    return InvalidRequest(f"malformed request: {what}", why="framing")


def parse_request_line(line: bytes) -> RequestLine:
    """Read a request line (3), without its CRLF.

    Raises `InvalidRequest`, `UriTooLong` or `VersionNotSupported`.
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _fault_of(line)
    method, target, version = match.groups()
    if len(method) > MAX_METHOD_BYTES or len(target) > MAX_TARGET_BYTES:
        raise _fault_of(line)
    return RequestLine(method, _path_of(method, target), version)


def _fault_of(line: bytes) -> Refusal:
    """Why a line is no request line."""
    match = _THREE_WORDS.fullmatch(line)
    if match is None:
        return malformed("its first line is not METHOD TARGET HTTP/1.1")
    method, target, version = match.groups()
    if len(method) > MAX_METHOD_BYTES:
        return malformed("its method is too long")
    if len(target) > MAX_TARGET_BYTES:
        return UriTooLong()
    if version in {HTTP_1_0, HTTP_1_1}:
        return malformed("its target has characters that no URI has")
    if version.startswith(b"HTTP/1."):
        return malformed("there is no such version of HTTP")
    return VersionNotSupported()


def _path_of(method: bytes, target: bytes) -> bytes:
    """The path of a target in any of its four forms (3.2)."""
    if target.startswith(b"/"):
        return target.partition(b"?")[0]
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        if not _is_host(absolute[1]):
            raise malformed("its target has no valid host")
        return absolute[2].partition(b"?")[0] or b"/"
    if method == b"CONNECT" or target == b"*":
        return target
    raise malformed("its target is no path")


def read_head(line: RequestLine, fields: Fields, count: int) -> RequestHead:
    """Judge a head; `count` is the number of its field lines.

    Raises `InvalidRequest` or `HeadersTooLarge`.
    """
    if count > MAX_FIELDS:
        raise HeadersTooLarge
    if not _SHADOWS.isdisjoint(fields):
        raise malformed("a field name has underscores for hyphens")
    _check_host(line, fields)
    modern = line.version == HTTP_1_1
    length = _body_length(fields, modern=modern)
    return RequestHead(
        line=line,
        fields=fields,
        length=length,
        keeps_alive=_keeps_alive(fields, modern=modern),
        invited=modern and length != 0 and _expects_100(fields),
    )


def _check_host(line: RequestLine, fields: Fields) -> None:
    """Exactly one valid Host (3.2); only HTTP/1.0 may leave it out."""
    hosts = fields.get(b"host", ())
    if not hosts and line.version == HTTP_1_0:
        return
    if len(hosts) != 1:
        raise malformed("it needs exactly one Host")
    if not _is_host(hosts[0].strip(b" \t")):
        raise malformed("its Host is not valid")


def _is_host(value: bytes) -> bool:
    return len(value) <= _MAX_HOST_BYTES and _is_short_host(value)


@lru_cache(maxsize=REMEMBERED_HOSTS)
def _is_short_host(value: bytes) -> bool:
    match = _HOST.fullmatch(value)
    return match is not None and int(match[1] or b"0") <= _LAST_PORT


def _body_length(fields: Fields, *, modern: bool) -> int | None:
    """The length of the body, None where it is chunked (6.3)."""
    codings = fields.get(b"transfer-encoding")
    lengths = fields.get(b"content-length")
    if codings is not None:
        if lengths is not None:
            raise malformed("it has both Content-Length and Transfer-Encoding")
        if not modern:
            raise malformed("HTTP/1.0 has no Transfer-Encoding")
        if len(codings) != 1 or codings[0].strip(b" \t").lower() != b"chunked":
            raise malformed("the only transfer coding is chunked")
        return None
    if lengths is None:
        return 0
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0].strip(b" \t")) is None:
        raise malformed("its Content-Length is no number")
    return int(lengths[0])


def _keeps_alive(fields: Fields, *, modern: bool) -> bool:
    """Whether the client leaves the connection open (9.3)."""
    values = fields.get(b"connection")
    if values is None:
        return modern
    options = words(values)
    return b"close" not in options and (modern or b"keep-alive" in options)


def _expects_100(fields: Fields) -> bool:
    """Whether the client waits to be invited (RFC 9110 10.1.1)."""
    values = fields.get(b"expect")
    return values is not None and words(values) == [b"100-continue"]


def words(values: Sequence[bytes]) -> list[bytes]:
    """The elements of a list field in lower case, empty ones left out (RFC 9110 5.6.1)."""
    pieces = (piece.strip(b" \t").lower() for piece in b",".join(values).split(b","))
    return [piece for piece in pieces if piece]


_UNREADABLE = re.compile(rb"[\r\n]*[^ \r\n]* (/[^ \r\n]*)")


def unreadable_head(beginning: bytes) -> RequestHead:
    """What stands for a head that was refused, for the answer to it.

    The path is a guess from its first bytes: it chooses the dialect of the refusal and no more.
    """
    match = _UNREADABLE.match(beginning[: MAX_METHOD_BYTES + MAX_TARGET_BYTES])
    line = RequestLine(b"-", match[1] if match else b"", HTTP_1_1)
    return RequestHead(line=line, fields={}, length=0, keeps_alive=False, invited=False)
