"""Exactly one valid Host (RFC 9112 3.2, RFC 9110 7.2)."""

from tests.wire.entry import AUTH, TAGS, Entry, listed, request, violation

_RULE = "RFC 9112 3.2"
_OLD = b"GET /api/tags HTTP/1.0"


def _bad(name: str, *hosts: bytes, line: bytes = TAGS) -> Entry:
    return violation(name, _RULE, request(line, *hosts, AUTH))


def _good(name: str, host: bytes, rule: str = "RFC 3986 3.2.2") -> Entry:
    raw = request(TAGS, b"Host: " + host, AUTH)
    return Entry(name=name, rule=rule, raw=raw, wants=(listed(),))


ENTRIES = (
    _bad("no Host"),
    _bad("two equal Hosts", b"Host: a.test", b"Host: a.test"),
    _bad("two Hosts", b"Host: a.test", b"Host: b.test"),
    _bad("two Hosts in two cases", b"Host: a.test", b"HOST: a.test"),
    _bad("an empty Host", b"Host:"),
    _bad("a Host of spaces", b"Host:   "),
    _bad("a Host and an empty one", b"Host: a.test", b"Host:"),
    _bad("userinfo in Host", b"Host: user@a.test"),
    _bad("a password in Host", b"Host: user:word@a.test"),
    _bad("a path in Host", b"Host: a.test/api"),
    _bad("a query in Host", b"Host: a.test?x"),
    _bad("a fragment in Host", b"Host: a.test#x"),
    _bad("a URL in Host", b"Host: http://a.test"),
    _bad("an empty label", b"Host: a..b"),
    _bad("an empty first label", b"Host: .a.test"),
    _bad("a label of 64", b"Host: " + b"a" * 64 + b".test"),
    _bad("a list of hosts", b"Host: a.test, b.test"),
    _bad("a space in Host", b"Host: a test"),
    _bad("a tab in Host", b"Host: a\ttest"),
    _bad("a quoted Host", b'Host: "a.test"'),
    _bad("a backslash in Host", b"Host: a\\b.test"),
    _bad("raw UTF-8 in Host", "Host: ä.test".encode()),
    _bad("a zero byte in Host", b"Host: a.test\x00.b"),
    _bad("a port over 65535", b"Host: a.test:65536"),
    _bad("a port of letters", b"Host: a.test:http"),
    _bad("a signed port", b"Host: a.test:+80"),
    _bad("two ports", b"Host: a.test:80:80"),
    _bad("a port without a host", b"Host: :80"),
    _bad("an IPv6 address without brackets", b"Host: 2001:db8::1"),
    _bad("an open bracket", b"Host: [::1"),
    _bad("letters in brackets", b"Host: [hello]:80"),
    _bad("two Hosts in HTTP/1.0", b"Host: a.test", b"Host: b.test", line=_OLD),
    _bad("an empty label in HTTP/1.0", b"Host: a..b", line=_OLD),
    Entry(
        name="no Host in HTTP/1.0",
        rule=_RULE,
        raw=request(_OLD, AUTH, b"Connection: keep-alive"),
        wants=(listed(),),
    ),
    _good("a port", b"gateway.test:8080"),
    _good("capitals", b"GATEWAY.Test"),
    _good("one label", b"gateway"),
    _good("an underscore, as in names of containers", b"my_gateway:8080"),
    _good("a label of 63", b"a" * 63 + b".test"),
    _good("an IPv4 address", b"127.0.0.1:8080"),
    _good("an IPv6 address", b"[2001:db8::1]:8080"),
    _good("spaces and tabs around", b" \t gateway.test \t ", "RFC 9112 5.1"),
    _good("the name of another gateway", b"elsewhere.test", "SPEC 3"),
)
