"""The first line of a request (RFC 9112 2.2, 3), and first bytes that begin none."""

from tests.wire.entry import AUTH, HOST, Entry, Want, listed, public, refused, request, violation

_LINE = "RFC 9112 3"
_TARGET = "RFC 9112 3.2"
_VERSION = "RFC 9112 2.3"
_EMPTY_LINE = "RFC 9112 2.2"


def _bad(name: str, line: bytes, rule: str = _LINE, status: int = 400) -> Entry:
    return violation(name, rule, request(line, HOST, AUTH), status)


def _good(name: str, line: bytes, rule: str, want: Want) -> Entry:
    return Entry(name=name, rule=rule, raw=request(line, HOST, AUTH), wants=(want,))


TLS_HELLO = bytes.fromhex("16030100c8010000c4030300") + bytes(range(32)) + b"\x00\x00\x26\xc0\x2b"

ENTRIES = (
    _good("an empty line first", b"\r\nGET /api/tags HTTP/1.1", _EMPTY_LINE, listed()),
    _bad("a bare LF first", b"\nGET /api/tags HTTP/1.1", _EMPTY_LINE),
    _bad("a bare CR first", b"\rGET /api/tags HTTP/1.1", _EMPTY_LINE),
    _bad("a space first", b" GET /api/tags HTTP/1.1"),
    _bad("two spaces before the target", b"GET  /api/tags HTTP/1.1"),
    _bad("two spaces before the version", b"GET /api/tags  HTTP/1.1"),
    _bad("a tab before the target", b"GET\t/api/tags HTTP/1.1"),
    _bad("a tab before the version", b"GET /api/tags\tHTTP/1.1"),
    _bad("a space after the version", b"GET /api/tags HTTP/1.1 "),
    _bad("a word after the version", b"GET /api/tags HTTP/1.1 x"),
    _bad("a space in the target", b"GET /api/ tags HTTP/1.1"),
    _bad("no method", b"/api/tags HTTP/1.1"),
    _bad("a method that is no token", b"GE(T /api/tags HTTP/1.1", "RFC 9110 9.1"),
    _bad("a method with an at sign", b"GET@ /api/tags HTTP/1.1", "RFC 9110 9.1"),
    _bad("a method with a control", b"G\x01ET /api/tags HTTP/1.1", "RFC 9110 9.1"),
    _bad("a bare CR in the line", b"GET /api/tags\r HTTP/1.1", _EMPTY_LINE),
    violation("a bare LF ends the line", _EMPTY_LINE, b"GET /api/tags HTTP/1.1\nHost: a\r\n\r\n"),
    _bad("no version", b"GET /api/tags", _VERSION),
    violation("a line of HTTP/0.9", _VERSION, b"GET /\r\n"),
    _bad("HTTP/0.9 by name", b"GET /api/tags HTTP/0.9", "RFC 9110 15.6.6", 505),
    _bad("HTTP/1.2", b"GET /api/tags HTTP/1.2", _VERSION),
    _bad("HTTP/1", b"GET /api/tags HTTP/1", _VERSION),
    _bad("HTTP/1.10", b"GET /api/tags HTTP/1.10", _VERSION),
    _bad("HTTP/01.1", b"GET /api/tags HTTP/01.1", _VERSION),
    _bad("http/1.1", b"GET /api/tags http/1.1", _VERSION),
    _bad("HTP/1.1", b"GET /api/tags HTP/1.1", _VERSION),
    _bad("HTTP/1,1", b"GET /api/tags HTTP/1,1", _VERSION),
    _bad("HTTP/2.0", b"GET /api/tags HTTP/2.0", "RFC 9110 15.6.6", 505),
    violation(
        "the preface of HTTP/2", "RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status=505
    ),
    violation("a TLS client", "RFC 9110 9.1", TLS_HELLO),
    violation("a zero byte first", "RFC 9110 9.1", b"\x00"),
    violation("a high byte first", "RFC 9110 9.1", b"\xff\xf4\xff\xfd\x06"),
    violation("JSON without a head", "RFC 9110 9.1", b'{"model":"llama3.2"}'),
    _bad("a fragment in the target", b"GET /api/tags#x HTTP/1.1", _TARGET),
    _bad("a quote in the target", b'GET /api/tags?"x" HTTP/1.1', _TARGET),
    _bad("angle brackets in the target", b"GET /api/<tags> HTTP/1.1", _TARGET),
    _bad("a backslash in the target", b"GET /api\\tags HTTP/1.1", _TARGET),
    _bad("a caret in the target", b"GET /api/tags?^ HTTP/1.1", _TARGET),
    _bad("braces in the target", b"GET /api/{tags} HTTP/1.1", _TARGET),
    _bad("raw UTF-8 in the target", "GET /api/tägs HTTP/1.1".encode(), _TARGET),
    _bad("a zero byte in the target", b"GET /api/tags\x00 HTTP/1.1", _TARGET),
    _bad("a DEL in the target", b"GET /api/tags\x7f HTTP/1.1", _TARGET),
    _bad("a target of no form", b"GET api/tags HTTP/1.1", _TARGET),
    _good(
        "absolute-form", b"GET http://gateway.test/api/tags HTTP/1.1", "RFC 9112 3.2.2", listed()
    ),
    _good(
        "absolute-form with another host and a port",
        b"GET http://other.test:8080/api/tags?a=b HTTP/1.1",
        "RFC 9112 3.2.2",
        listed(),
    ),
    _good(
        "absolute-form of https",
        b"GET https://gateway.test/api/tags HTTP/1.1",
        "RFC 9112 3.2.2",
        listed(),
    ),
    _good(
        "absolute-form with a scheme in capitals",
        b"GET HTTP://gateway.test/api/tags HTTP/1.1",
        "RFC 3986 3.1",
        listed(),
    ),
    _good(
        "absolute-form without a path",
        b"GET http://gateway.test HTTP/1.1",
        "RFC 9110 4.2.3",
        public(),
    ),
    _good(
        "absolute-form of an unknown path",
        b"GET http://gateway.test/api/pull HTTP/1.1",
        "RFC 9112 3.2.2",
        refused(403, "GET -"),
    ),
    _bad(
        "absolute-form with userinfo",
        b"GET http://user@gateway.test/api/tags HTTP/1.1",
        "RFC 9110 4.2.4",
    ),
    violation(
        "absolute-form without Host",
        "RFC 9112 3.2",
        request(b"GET http://gateway.test/api/tags HTTP/1.1", AUTH),
    ),
)
