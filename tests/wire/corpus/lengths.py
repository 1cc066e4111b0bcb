"""Content-Length (RFC 9112 6.2 and 6.3, RFC 9110 8.6)."""

from tests.wire.entry import (
    AUTH,
    CHAT,
    FOLDED,
    HOST,
    Entry,
    answered,
    chat,
    length,
    listed,
    refused,
    request,
    tags,
    violation,
)

_RULE = "RFC 9110 8.6"
_BOTH = "RFC 9112 6.1"
_CHUNKED = b"Transfer-Encoding: chunked"
_BAD_BODY = refused(400, "POST /api/chat")


def _bad(name: str, *lengths: bytes, rule: str = _RULE) -> Entry:
    lines = (b"Content-Length: " + value for value in lengths)
    return violation(name, rule, request(CHAT, HOST, AUTH, *lines, body=FOLDED))


def _both(name: str, *fields: bytes, body: bytes) -> Entry:
    return violation(name, _BOTH, request(CHAT, HOST, AUTH, *fields, body=body))


_SIZE = b"%d" % len(FOLDED)

ENTRIES = (
    Entry(name="a body", rule=_RULE, raw=chat(), wants=(answered(),)),
    Entry(
        name="zeros before a length",
        rule=_RULE,
        raw=request(CHAT, HOST, AUTH, b"Content-Length: 000" + _SIZE, body=FOLDED),
        wants=(answered(),),
    ),
    Entry(
        name="spaces around a length",
        rule="RFC 9112 5.1",
        raw=request(CHAT, HOST, AUTH, b"Content-Length: \t" + _SIZE + b" \t", body=FOLDED),
        wants=(answered(),),
    ),
    Entry(
        name="a length of nothing",
        rule=_RULE,
        raw=tags(b"Content-Length: 0"),
        wants=(listed(),),
    ),
    Entry(
        name="a chat of no bytes",
        rule=_RULE,
        raw=request(CHAT, HOST, AUTH, b"Content-Length: 0"),
        wants=(_BAD_BODY,),
    ),
    Entry(
        name="a chat without a length has no body",
        rule="RFC 9112 6.3",
        raw=request(CHAT, HOST, AUTH),
        wants=(_BAD_BODY,),
    ),
    _bad("two equal lengths", _SIZE, _SIZE),
    _bad("two lengths", _SIZE, b"5"),
    _bad("a list of equal lengths", _SIZE + b", " + _SIZE),
    _bad("a list of lengths", b"5, " + _SIZE),
    _bad("a comma after a length", _SIZE + b","),
    _bad("an empty length", b""),
    _bad("a signed length", b"+" + _SIZE),
    _bad("a negative length", b"-1"),
    _bad("a length in hex", b"0x45"),
    _bad("a length with a point", _SIZE + b".0"),
    _bad("a length with an exponent", b"1e2"),
    _bad("a length with a space", b"6 9"),
    _bad("a length with an underscore", b"6_9"),
    _bad("a length with a letter", _SIZE + b"b"),
    _bad("a length in other digits", "٦٩".encode()),
    _bad("a length of thirty digits", b"9" * 30),
    _bad("a length of nineteen digits", b"9" + b"0" * 18),
    _bad("a length of one more than 64 bits", b"18446744073709551685"),
    _both(
        "a length before a coding",
        length(FOLDED),
        _CHUNKED,
        body=b"0\r\n\r\n",
    ),
    _both(
        "a coding before a length",
        _CHUNKED,
        length(FOLDED),
        body=b"0\r\n\r\n",
    ),
    _both(
        "a request hidden behind a length and a coding",
        b"Content-Length: 6",
        _CHUNKED,
        body=b"0\r\n\r\n" + tags(),
    ),
    _both(
        "a request hidden in a chunk",
        _CHUNKED,
        b"Content-Length: 4",
        body=b"%x\r\n" % len(tags()) + tags() + b"\r\n0\r\n\r\n",
    ),
    _both("a coding beside a length of nothing", b"Content-Length: 0", _CHUNKED, body=b""),
    violation(
        "a length that is too short",
        "RFC 9112 6.3",
        request(CHAT, HOST, AUTH, b"Content-Length: 4", body=b"null{}"),
        before=(_BAD_BODY,),
    ),
    Entry(
        name="a request behind a length of another",
        rule="RFC 9112 6.3",
        raw=request(CHAT, HOST, AUTH, b"Content-Length: 4", body=b"null") + tags(),
        wants=(_BAD_BODY, listed()),
    ),
    Entry(
        name="a request inside a body",
        rule="RFC 9112 6.3",
        raw=request(CHAT, HOST, AUTH, length(tags()), body=tags()),
        wants=(_BAD_BODY,),
    ),
)
