"""Headers that steer proxies or frameworks steer nothing here (SPEC 3 and 5)."""

from tests.wire.entry import AUTH, HOST, Entry, listed, refused, request, tags

_RULE = "SPEC 3"
_CONNECTION = "RFC 9110 7.6.1"


def _same(name: str, *fields: bytes, rule: str = _RULE) -> Entry:
    return Entry(name=name, rule=rule, raw=tags(*fields), wants=(listed(),))


ENTRIES = (
    _same("X-Forwarded-For", b"X-Forwarded-For: 198.51.100.1"),
    _same("a chain of proxies", b"X-Forwarded-For: 198.51.100.1, 10.0.0.1", b"Via: 1.1 proxy"),
    _same("X-Forwarded-For that is nonsense", b"X-Forwarded-For: <script>, ,;;, 999.1.1.1, ::::"),
    _same("X-Forwarded-For of many", b"X-Forwarded-For: " + b"10.0.0.1, " * 500 + b"10.0.0.1"),
    _same("Forwarded", b'Forwarded: for="[2001:db8::1]";host=other;proto=https'),
    _same("X-Forwarded-Host", b"X-Forwarded-Host: evil.test", b"X-Forwarded-Proto: https"),
    _same("X-Forwarded-Prefix", b"X-Forwarded-Prefix: /api/pull"),
    _same("X-Original-URL", b"X-Original-URL: /api/pull"),
    _same("X-Rewrite-URL", b"X-Rewrite-URL: /api/pull"),
    _same("X-HTTP-Method-Override", b"X-HTTP-Method-Override: DELETE"),
    _same("X-HTTP-Method", b"X-HTTP-Method: POST", b"X-Method-Override: PUT"),
    _same("X-Accel-Redirect", b"X-Accel-Redirect: /api/pull", b"X-Sendfile: /etc/passwd"),
    _same("a coding that only looks like one", b"X-Transfer-Encoding: chunked"),
    _same("Max-Forwards", b"Max-Forwards: 0", rule="RFC 9110 7.6.2"),
    _same("the key named as a hop's", b"Connection: authorization", rule=_CONNECTION),
    _same("the Host named as a hop's", b"Connection: host", rule=_CONNECTION),
    _same("Trailer", b"Trailer: Authorization", rule="RFC 9110 6.6.2"),
    _same("Proxy", b"Proxy: http://127.0.0.1:1"),
    _same("Proxy-Authorization", b"Proxy-Authorization: Basic dXNlcjp3b3Jk"),
    Entry(
        name="no key from a proxy",
        rule="SPEC 5",
        raw=request(b"GET /api/tags HTTP/1.1", HOST, b"Proxy-" + AUTH, b"X-Forwarded-User: admin"),
        wants=(refused(401, "GET /api/tags"),),
    ),
)
