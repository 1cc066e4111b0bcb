"""A strict reader of answers: what is not an exact HTTP/1 response is an error, never a guess."""

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) [\x20-\x7e]+")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
_CHUNK_SIZE = re.compile(rb"[1-9a-f][0-9a-f]{0,7}")
_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_CONTINUE = 100


class NotExact(Exception):  # noqa: N818 - states what the bytes are
    """The bytes are no exact sequence of responses."""


@frozen(kw_only=True)
class Response:
    """One response. `whole` says whether its framing has come to its end."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    whole: bool


def read_responses(data: bytes, heads: Sequence[bool] | None, *, closed: bool) -> list[Response]:
    """All responses in what came on one connection; only the last one may be in parts.

    `heads` says of each final answer whether it is one to HEAD; those beyond it are not. Where
    it is None, what follows tells: no body of ours begins like a response. `closed` says whether
    the connection has ended. Raises `NotExact`.
    """
    found: list[Response] = []
    final = 0
    while data:
        is_head = None if heads is None else final < len(heads) and heads[final]
        response, data = _response(data, is_head=is_head, closed=closed)
        found.append(response)
        final += response.status != _CONTINUE
    return found


def _response(data: bytes, *, is_head: bool | None, closed: bool) -> tuple[Response, bytes]:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        raise NotExact(f"a head without its end: {data!r}")
    first, *lines = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise NotExact(f"no status line: {first!r}")
    status = int(match[2])
    fields = _fields(lines)
    if status == _CONTINUE:
        if fields:
            raise NotExact(f"fields in a 100: {fields}")
        return Response(status=status, fields=fields, body=b"", whole=True), rest
    _check_fields(fields)
    if is_head is None:
        is_head = not rest or rest.startswith(b"HTTP/1.")
    if is_head:
        body, whole = b"", True
    else:
        body, whole, rest = _body(fields, rest, closed=closed)
    return Response(status=status, fields=fields, body=body, whole=whole), rest


def _fields(lines: Sequence[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise NotExact(f"no field line: {line!r}")
        name = match[1].decode("ascii").lower()
        if name in fields:
            raise NotExact(f"{name} twice")
        fields[name] = match[2].decode("ascii")
    return fields


def _check_fields(fields: Mapping[str, str]) -> None:
    """What each final answer has, and what none has (RFC 9110 6.6.1, SPEC 8)."""
    if _DATE.fullmatch(fields.get("date", "")) is None:
        raise NotExact(f"no Date: {fields}")
    if "server" in fields:
        raise NotExact(f"it names its software: {fields}")
    if "x-request-id" not in fields or "content-type" not in fields:
        raise NotExact(f"no id or no media type: {fields}")
    if "content-length" in fields and "transfer-encoding" in fields:
        raise NotExact(f"a length and a coding: {fields}")


def _body(fields: Mapping[str, str], rest: bytes, *, closed: bool) -> tuple[bytes, bool, bytes]:
    """The body, whether all of it is there, and what follows (RFC 9112 6.3)."""
    if "transfer-encoding" in fields:
        if fields["transfer-encoding"] != "chunked":
            raise NotExact(f"another coding: {fields}")
        return _unchunked(rest)
    if "content-length" in fields:
        length = int(fields["content-length"])
        return rest[:length], len(rest) >= length, rest[length:]
    if fields.get("connection") != "close":
        raise NotExact(f"a body without an end: {fields}")
    return rest, closed, b""


def _unchunked(data: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        size, end, rest = data.partition(b"\r\n")
        if not end:
            return body, False, b""
        if size == b"0":
            if rest and not rest.startswith(b"\r\n"):
                raise NotExact(f"behind the last chunk: {rest[:20]!r}")
            return body, bool(rest), rest[2:]
        if _CHUNK_SIZE.fullmatch(size) is None:
            raise NotExact(f"no size of a chunk: {size!r}")
        length = int(size, 16)
        if len(rest) < length + 2:
            return body + rest[:length], False, b""
        if rest[length : length + 2] != b"\r\n":
            raise NotExact(f"a chunk without its end: {rest[length : length + 20]!r}")
        body += rest[:length]
        data = rest[length + 2 :]
