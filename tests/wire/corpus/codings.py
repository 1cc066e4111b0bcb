"""Transfer-Encoding: one `chunked` or nothing (RFC 9112 6.1)."""

from tests.wire.entry import (
    AUTH,
    CHAT,
    FOLDED,
    HOST,
    Ends,
    Entry,
    answered,
    listed,
    refused,
    request,
    tags,
    violation,
)

_RULE = "RFC 9112 6.1"
_BODY = b"%x\r\n" % len(FOLDED) + FOLDED + b"\r\n0\r\n\r\n"


def _bad(name: str, *codings: bytes, rule: str = _RULE, line: bytes = CHAT) -> Entry:
    lines = (b"Transfer-Encoding: " + coding for coding in codings)
    return violation(name, rule, request(line, HOST, AUTH, *lines, body=_BODY))


def _good(name: str, coding: bytes, rule: str = _RULE) -> Entry:
    raw = request(CHAT, HOST, AUTH, b"Transfer-Encoding:" + coding, body=_BODY)
    return Entry(name=name, rule=rule, raw=raw, wants=(answered(),))


def _odd(name: str, field: bytes, rule: str = _RULE) -> Entry:
    return violation(name, rule, request(CHAT, HOST, AUTH, field, body=_BODY))


ENTRIES = (
    _good("chunked", b" chunked"),
    _good("Chunked in capitals", b" CHUNKED", "RFC 9112 7"),
    _good("chunked without a space", b"chunked", "RFC 9112 5.1"),
    _good("chunked between spaces", b" \t chunked  ", "RFC 9112 5.1"),
    _bad("a tab behind chunked, which is less than RFC 9112 5.1 allows", b"chunked\t"),
    _bad("identity", b"identity"),
    _bad("gzip", b"gzip"),
    _bad("gzip, chunked", b"gzip, chunked"),
    _bad("chunked, gzip", b"chunked, gzip"),
    _bad("chunked, identity", b"chunked, identity"),
    _bad("identity, chunked", b"identity, chunked"),
    _bad("chunked, chunked", b"chunked, chunked"),
    _bad("chunked twice", b"chunked", b"chunked"),
    _bad("gzip, then chunked", b"gzip", b"chunked"),
    _bad("chunked, then identity", b"chunked", b"identity"),
    _bad("chunked, then cow", b"chunked", b"cow"),
    _bad("chunked, then nothing", b"chunked", b""),
    _bad("xchunked", b"xchunked"),
    _bad("chunkedx", b"chunkedx"),
    _bad("chunk", b"chunk"),
    _bad("chunked with a parameter", b"chunked;q=1"),
    _bad("quoted chunked", b'"chunked"'),
    _bad("a comma before chunked", b", chunked"),
    _bad("a comma after chunked", b"chunked,"),
    _bad("chunked and a word", b"chunked cow"),
    _bad("no coding", b""),
    _bad("a VT before chunked", b"\x0bchunked"),
    _bad("a VT after chunked", b"chunked\x0b"),
    _bad("a zero byte after chunked", b"chunked\x00"),
    _bad("a no-break space before chunked", b"\xa0chunked"),
    _odd("a space before the colon of a coding", b"Transfer-Encoding : chunked", "RFC 9112 5.1"),
    _odd("a folded coding", b"Transfer-Encoding:\r\n chunked", "RFC 9112 5.2"),
    _odd("a coding behind a bare CR", b"X: x\rTransfer-Encoding: chunked", "RFC 9110 5.5"),
    _bad("a coding in HTTP/1.0", b"chunked", line=b"POST /api/chat HTTP/1.0"),
    Entry(
        name="TE is not Transfer-Encoding",
        rule="RFC 9110 10.1.4",
        raw=request(CHAT, HOST, AUTH, b"TE: chunked"),
        wants=(refused(400, "POST /api/chat"),),
    ),
    Entry(
        name="TE: trailers",
        rule="RFC 9110 10.1.4",
        raw=tags(b"TE: trailers", b"Connection: TE"),
        wants=(listed(),),
    ),
    Entry(
        name="a chunked body of nothing",
        rule="RFC 9112 7.1",
        raw=tags(b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        wants=(listed(),),
        ends=Ends.EITHER,
    ),
)
