"""The chunked coding byte for byte (RFC 9112 7.1): sizes, ends, extensions, trailers."""

from tests.wire.entry import (
    CHAT,
    FOLDED,
    HOST,
    KEY,
    MARKER,
    Ends,
    Entry,
    Want,
    answered,
    coded,
    listed,
    refused,
    request,
    tags,
    violation,
)

_RULE = "RFC 9112 7.1"
_EXTENSION = "RFC 9112 7.1.1"
_TRAILER = "RFC 9112 7.1.2"
_SIZE = b"%x" % len(FOLDED)
_LAST = b"0\r\n\r\n"
_ROUTE = "POST /api/chat"


def _chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def _good(name: str, body: bytes, rule: str = _RULE) -> Entry:
    return Entry(name=name, rule=rule, raw=coded(body), wants=(answered(),))


def _bad(
    name: str,
    body: bytes,
    rule: str = _RULE,
    status: int = 400,
    *,
    unfinished: bool = False,
) -> Entry:
    return violation(name, rule, coded(body), status, route=_ROUTE, unfinished=unfinished)


def _sized(name: str, size: bytes) -> Entry:
    return _bad(name, size + b"\r\n" + FOLDED + b"\r\n" + _LAST)


def _trailed(name: str, *trailers: bytes) -> Entry:
    body = b"\r\n".join((_chunk(FOLDED) + b"0", *trailers, b"", b""))
    return _good(name, body, _TRAILER)


_BEFORE, _, _AFTER = FOLDED.partition(MARKER)
_BYTES = b"".join(_chunk(bytes([byte])) for byte in _BEFORE)
_MORE_BYTES = b"".join(_chunk(bytes([byte])) for byte in _AFTER)

ENTRIES = (
    _good("one chunk", _chunk(FOLDED) + _LAST),
    _good("a chunk per byte", _BYTES + _chunk(MARKER) + _MORE_BYTES + _LAST),
    _good("a size in capitals", _SIZE.upper() + b"\r\n" + FOLDED + b"\r\n" + _LAST),
    _good("a size of sixteen digits", b"%016x\r\n" % len(FOLDED) + FOLDED + b"\r\n" + _LAST),
    _good("two zeros end it", _chunk(FOLDED) + b"00\r\n\r\n"),
    _sized("a size of seventeen digits", b"%017x" % len(FOLDED)),
    _sized("a size of 300 digits", b"0" * 300 + _SIZE),
    _sized("a size with 0x", b"0x" + _SIZE),
    _sized("a size with a sign", b"+" + _SIZE),
    _sized("a negative size", b"-" + _SIZE),
    _sized("a space before a size", b" " + _SIZE),
    _sized("a space after a size", _SIZE + b" "),
    _sized("a tab after a size", _SIZE + b"\t"),
    _sized("an underscore in a size", _SIZE[:1] + b"_" + _SIZE[1:]),
    _sized("no size", b""),
    _sized("a size that is no number", b"g"),
    _sized("a size in other digits", "٦٩".encode()),
    _sized("a zero byte in a size", _SIZE + b"\x00"),
    _bad("a bare LF after a size", _SIZE + b"\n" + FOLDED + b"\r\n" + _LAST),
    _bad("a bare CR after a size", _SIZE + b"\r" + FOLDED + b"\r\n" + _LAST),
    _bad("a bare LF after data", _SIZE + b"\r\n" + FOLDED + b"\n" + _LAST),
    _bad("nothing after data", _SIZE + b"\r\n" + FOLDED + _LAST),
    _bad("more data than the size says", b"5\r\n" + FOLDED + b"\r\n" + _LAST),
    _bad("a bare LF ends the last chunk", _chunk(FOLDED) + b"0\n\r\n"),
    _bad("a bare LF ends the body", _chunk(FOLDED) + b"0\r\n\n"),
    _bad("a bare CR ends the body", _chunk(FOLDED) + b"0\r\n\rX\r\n\r\n"),
    _good("an extension", _chunk(FOLDED, b";name=value") + _LAST, _EXTENSION),
    _good("a quoted extension", _chunk(FOLDED, b';name="a b"') + _LAST, _EXTENSION),
    _good("an extension on the last chunk", _chunk(FOLDED) + b"0;end\r\n\r\n", _EXTENSION),
    _good("an extension of 200 bytes", _chunk(FOLDED, b";" + b"x" * 199) + _LAST, _EXTENSION),
    _bad("an extension of 300 bytes", _chunk(FOLDED, b";" + b"x" * 299) + _LAST, _EXTENSION),
    _bad("an extension without end", _SIZE + b";" + b"x" * 5000, _EXTENSION, unfinished=True),
    _bad("a bare LF in an extension", _chunk(FOLDED, b";a\nb") + _LAST, _EXTENSION),
    _bad("a bare CR in an extension", _chunk(FOLDED, b";a\rb") + _LAST, _EXTENSION),
    _bad("a zero byte in an extension", _chunk(FOLDED, b";a\x00b") + _LAST, _EXTENSION),
    _trailed("a trailer", b"X-Sum: 1"),
    _trailed("a trailer that names a length", b"Content-Length: 5"),
    _trailed("a trailer that names a coding", b"Transfer-Encoding: gzip"),
    _trailed("a trailer that names a host", b"Host: a..b"),
    _trailed("a trailer that closes nothing", b"Connection: close"),
    Entry(
        name="a key in a trailer is none",
        rule=_TRAILER,
        raw=request(
            CHAT,
            HOST,
            b"Transfer-Encoding: chunked",
            body=_chunk(FOLDED) + b"0\r\nAuthorization: Bearer " + KEY + b"\r\n\r\n",
        ),
        wants=(refused(401, _ROUTE),),
        ends=Ends.EITHER,
    ),
    Entry(
        name="a media type in a trailer is none",
        rule=_TRAILER,
        raw=coded(_chunk(FOLDED) + b"0\r\nContent-Encoding: gzip\r\n\r\n"),
        wants=(answered(),),
    ),
    _bad(
        "trailers over 4 KiB",
        _chunk(FOLDED) + b"0\r\nX-Sum: " + b"x" * 5000 + b"\r\n\r\n",
        "SPEC 3",
        431,
    ),
    _bad(
        "a trailer without end",
        _chunk(FOLDED) + b"0\r\n" + b"x" * 5000,
        "SPEC 3",
        431,
        unfinished=True,
    ),
    _bad("a folded trailer", _chunk(FOLDED) + b"0\r\nX: a\r\n b\r\n\r\n", "RFC 9112 5.2"),
    _bad("a trailer without a colon", _chunk(FOLDED) + b"0\r\nX\r\n\r\n", _TRAILER),
    _bad("a bare LF in a trailer", _chunk(FOLDED) + b"0\r\nX: a\nY: b\r\n\r\n", "RFC 9112 2.2"),
    _bad("a space before a trailer's colon", _chunk(FOLDED) + b"0\r\nX : a\r\n\r\n", _TRAILER),
    _bad("a chunk over the limit", b"40001\r\n", "SPEC 4", 413, unfinished=True),
    _bad("the largest chunk there is", b"f" * 16 + b"\r\n", "SPEC 4", 413, unfinished=True),
    _bad(
        "chunks over the limit together",
        _chunk(b" " * 200_000) + _chunk(b" " * 62_144) + b"1\r\n",
        "SPEC 4",
        413,
    ),
    Entry(
        name="chunks of exactly the limit",
        rule="SPEC 4",
        raw=coded(_chunk(b" " * 200_000) + _chunk(FOLDED.rjust(62_144)) + _LAST),
        wants=(answered(),),
    ),
    Entry(
        name="a request behind the last chunk",
        rule=_RULE,
        raw=coded(_chunk(FOLDED) + _LAST) + tags(),
        wants=(answered(), listed()),
    ),
    Entry(
        name="a request behind trailers",
        rule=_TRAILER,
        raw=coded(_chunk(FOLDED) + b"0\r\nX-Sum: 1\r\n\r\n") + tags(),
        wants=(answered(), listed()),
    ),
    Entry(
        name="a chunk that never comes whole",
        rule="RFC 9110 15.5.9",
        raw=coded(_SIZE + b"\r\n" + FOLDED[:9]),
        wants=(Want(status=408, code="request_timeout", route=_ROUTE),),
        ends=Ends.CLOSES,
        waits_s=40.0,
        unfinished=True,
    ),
)
