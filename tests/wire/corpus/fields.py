"""Header fields: names, values, folding, line ends (RFC 9112 2.2 and 5, RFC 9110 5)."""

from tests.wire.entry import (
    AUTH,
    CHAT,
    FOLDED,
    HOST,
    KEY,
    TAGS,
    Entry,
    length,
    listed,
    refused,
    request,
    tags,
    violation,
)

_NAME = "RFC 9110 5.1"
_VALUE = "RFC 9110 5.5"
_FOLD = "RFC 9112 5.2"
_COLON = "RFC 9112 5.1"
_ENDS = "RFC 9112 2.2"


def _bad(name: str, rule: str, *fields: bytes) -> Entry:
    return violation(name, rule, tags(*fields))


def _good(name: str, rule: str, *fields: bytes) -> Entry:
    return Entry(name=name, rule=rule, raw=tags(*fields), wants=(listed(),))


def _shadow(name: bytes) -> Entry:
    text = name.decode()
    return _bad(f"{text}, which a CGI-like reader takes for ours", "SPEC 3", name + b": 1")


_SHADOWS = tuple(
    _shadow(name)
    for name in (
        b"Content_Length",
        b"Transfer_Encoding",
        b"X_Forwarded_For",
        b"X-Forwarded_For",
        b"x_api_key",
        b"Content_Type",
        b"CONTENT_ENCODING",
        b"User_Agent",
        b"X_Request_ID",
    )
)

ENTRIES = (
    _bad("a folded value", _FOLD, b"X-Folded: a\r\n b"),
    _bad("a value folded with a tab", _FOLD, b"X-Folded: a\r\n\tb"),
    _bad("a fold that hides a length", _FOLD, b"X-Folded: a\r\n Content-Length: 5"),
    _bad("a fold of nothing", _FOLD, b"X-Folded: a\r\n "),
    violation("a fold before the first field", _ENDS, TAGS + b"\r\n X: 1\r\n" + HOST + b"\r\n\r\n"),
    _bad("a space before the colon", _COLON, b"X-Name : 1"),
    _bad("a tab before the colon", _COLON, b"X-Name\t: 1"),
    _bad("a length with a space before the colon", _COLON, b"Content-Length : 5"),
    _bad("an empty name", _NAME, b": 1"),
    _bad("a space in a name", _NAME, b"X Name: 1"),
    _bad("brackets in a name", _NAME, b"X(Name): 1"),
    _bad("a slash in a name", _NAME, b"X/Name: 1"),
    _bad("a high byte in a name", _NAME, b"X-N\xe4me: 1"),
    _bad("a zero byte in a name", _NAME, b"X-N\x00me: 1"),
    _bad("no colon", _COLON, b"X-Name"),
    _bad("a zero byte in a value", _VALUE, b"X-Value: a\x00b"),
    _bad("a bare CR in a value", _VALUE, b"X-Value: a\rb"),
    _bad("a bare CR that hides a length", _VALUE, b"X-Value: a\rContent-Length: 5"),
    _bad("a bare LF that hides a length", _ENDS, b"X-Value: a\nContent-Length: 5"),
    _bad("an SOH in a value", _VALUE, b"X-Value: a\x01b"),
    _bad("a VT in a value", _VALUE, b"X-Value: a\x0bb"),
    _bad("a form feed in a value", _VALUE, b"X-Value: a\x0cb"),
    _bad("an escape in a value", _VALUE, b"X-Value: \x1b[2J"),
    _bad("a DEL in a value", _VALUE, b"X-Value: a\x7f"),
    _bad("CR CR LF", _ENDS, b"X-Value: a\r"),
    violation("bare LF throughout", _ENDS, tags().replace(b"\r\n", b"\n")),
    violation("a bare LF ends the head", _ENDS, tags()[:-2] + b"\n"),
    violation("a bare CR ends the head", _ENDS, tags()[:-1] + b"GET"),
    *_SHADOWS,
    violation(
        "a shadow of the coding beside a length",
        "SPEC 3",
        request(CHAT, HOST, AUTH, b"Transfer_Encoding: chunked", length(FOLDED), body=FOLDED),
    ),
    _good("an underscore in a name that is not ours", "RFC 9110 5.6.2", b"My_Header: 1"),
    _good("all characters of a token", "RFC 9110 5.6.2", b"!#$%&'*+-.^`|~09aZ: 1"),
    _good("a tab inside a value", _VALUE, b"X-Value: a\tb"),
    _good("high bytes in a value", _VALUE, b"X-Value: \xe4\xf6\xfc"),
    _good("an empty value", _VALUE, b"X-Value:"),
    _good("a value of spaces", _VALUE, b"X-Value:   \t "),
    _good("colons in a value", _VALUE, b"X-Value: a:b::c"),
    Entry(
        name="no space after the colon",
        rule=_COLON,
        raw=request(TAGS, b"Host:gateway.test", b"Authorization:Bearer " + KEY),
        wants=(listed(),),
    ),
    Entry(
        name="spaces around values",
        rule=_COLON,
        raw=request(TAGS, b"Host:  gateway.test\t", b"Authorization: \t Bearer " + KEY + b" \t"),
        wants=(listed(),),
    ),
    Entry(
        name="names in any case",
        rule=_NAME,
        raw=request(TAGS, b"hOST: gateway.test", b"aUTHORIZATION: Bearer " + KEY),
        wants=(listed(),),
    ),
    Entry(
        name="two keys are none",
        rule="RFC 9110 5.3",
        raw=tags(AUTH),
        wants=(refused(401, "GET /api/tags"),),
    ),
    Entry(
        name="a client's id is echoed",
        rule="SPEC 7",
        raw=tags(b"X-Request-ID: abc-123"),
        wants=(listed(fields=(("x-client-request-id", "abc-123"),)),),
    ),
)
