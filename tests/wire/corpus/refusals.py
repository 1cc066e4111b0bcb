"""Who is refused, for which reason first (SPEC 8), and what becomes of the body."""

from tests.wire.entry import (
    AUTH,
    BODY_LIMIT,
    CHAT,
    FOLDED,
    HOST,
    KEY,
    TAGS,
    Ends,
    Entry,
    Want,
    answered,
    chat,
    coded,
    length,
    listed,
    refused,
    request,
    tags,
    violation,
)

_ORDER = "SPEC 8"
_IDENTITY = "SPEC 5"
_ROUTE = "POST /api/chat"
_CHUNKED = b"%x\r\n" % len(FOLDED) + FOLDED + b"\r\n0\r\n\r\n"
_TOO_LARGE = b"Content-Length: %d" % (BODY_LIMIT + 1)
_UNKNOWN = refused(401, "GET /api/tags", fields=(("www-authenticate", "Bearer"),))


def _anonymous(name: str, *fields: bytes) -> Entry:
    return Entry(name=name, rule=_IDENTITY, raw=request(TAGS, HOST, *fields), wants=(_UNKNOWN,))


def _first(
    name: str, raw: bytes, want: Want, ends: Ends = Ends.EITHER, rule: str = _ORDER
) -> Entry:
    return Entry(
        name=name, rule=rule, raw=raw, wants=(want,), ends=ends, unfinished=ends is Ends.CLOSES
    )


ENTRIES = (
    _anonymous("no key"),
    _anonymous("another scheme", b"Authorization: Basic dXNlcjp3b3Jk"),
    _anonymous("a key without a scheme", b"Authorization: " + KEY),
    _anonymous("a key of another shape", b"Authorization: Bearer sk-1234"),
    _anonymous("a mistyped key", b"Authorization: Bearer " + KEY + b"x"),
    _anonymous("a key in lower case", b"Authorization: Bearer nz_" + b"a" * 41),
    _anonymous("a key in a cookie", b"Cookie: key=" + KEY),
    Entry(
        name="a key in the query",
        rule=_IDENTITY,
        raw=request(b"GET /api/tags?key=" + KEY + b" HTTP/1.1", HOST),
        wants=(_UNKNOWN,),
    ),
    Entry(
        name="the other header for keys",
        rule=_IDENTITY,
        raw=request(TAGS, HOST, b"x-api-key: " + KEY),
        wants=(listed(),),
    ),
    Entry(
        name="a scheme in any case",
        rule="RFC 9110 11.1",
        raw=request(TAGS, HOST, b"Authorization: bEARER " + KEY),
        wants=(listed(),),
    ),
    _anonymous("two keys that differ", AUTH, b"x-api-key: nz_" + b"0" * 41),
    _first(
        "no key on an unknown path",
        request(b"GET /api/pull HTTP/1.1", HOST),
        refused(401, "GET -"),
        Ends.STAYS,
    ),
    _first(
        "no key with another method",
        request(b"DELETE /api/chat HTTP/1.1", HOST),
        refused(401, "DELETE /api/chat"),
        Ends.STAYS,
    ),
    _first(
        "no key with too large a body",
        request(CHAT, HOST, _TOO_LARGE),
        refused(401, _ROUTE),
        Ends.CLOSES,
    ),
    _first(
        "no key with a coded body",
        request(CHAT, HOST, b"Content-Encoding: gzip", length(FOLDED), body=FOLDED),
        refused(401, _ROUTE),
    ),
    _first(
        "no key with nonsense in the body",
        request(CHAT, HOST, b"Content-Length: 3", body=b"}{]"),
        refused(401, _ROUTE),
    ),
    _first(
        "no key on the other surface",
        request(b"POST /v1/chat/completions HTTP/1.1", HOST, length(FOLDED), body=FOLDED),
        refused(401, "POST /v1/chat/completions", openai=True),
    ),
    violation("no key and no Host", _ORDER, request(TAGS)),
    violation("no key and an ambiguous length", _ORDER, request(CHAT, HOST, b"Content-Length: x")),
    _first(
        "an unknown path with too large a body",
        request(b"POST /api/pull HTTP/1.1", HOST, AUTH, _TOO_LARGE),
        refused(403, "POST -"),
        Ends.CLOSES,
    ),
    _first(
        "an unknown path with a coded body",
        request(
            b"POST /api/pull HTTP/1.1",
            HOST,
            AUTH,
            b"Content-Encoding: br",
            b"Content-Length: 1",
            body=b"x",
        ),
        refused(403, "POST -"),
    ),
    _first(
        "another method with a coded body",
        request(
            b"PUT /api/chat HTTP/1.1",
            HOST,
            AUTH,
            b"Content-Encoding: br",
            b"Content-Length: 1",
            body=b"x",
        ),
        refused(405, "PUT /api/chat"),
    ),
    _first(
        "a coded body that is too large",
        request(CHAT, HOST, AUTH, b"Content-Encoding: gzip", _TOO_LARGE),
        refused(415, _ROUTE),
        Ends.CLOSES,
    ),
    _first(
        "too large a body with an expectation",
        request(CHAT, HOST, AUTH, _TOO_LARGE, b"Expect: miracles"),
        refused(413, _ROUTE),
        Ends.CLOSES,
    ),
    _first(
        "a gzip body",
        chat(b"Content-Encoding: gzip"),
        refused(415, _ROUTE),
        rule="RFC 9110 15.5.16",
    ),
    _first(
        "identity and gzip",
        chat(b"Content-Encoding: identity, gzip"),
        refused(415, _ROUTE),
        rule="RFC 9110 15.5.16",
    ),
    _first(
        "identity, then gzip",
        chat(b"Content-Encoding: identity", b"Content-Encoding: gzip"),
        refused(415, _ROUTE),
        rule="RFC 9110 5.3",
    ),
    Entry(
        name="a body coded by nothing",
        rule="RFC 9110 8.4.1",
        raw=chat(b"Content-Encoding: Identity"),
        wants=(answered(),),
    ),
    Entry(
        name="the media type of a form",
        rule="SPEC 4",
        raw=chat(b"Content-Type: application/x-www-form-urlencoded"),
        wants=(answered(),),
    ),
    _first(
        "multipart",
        chat(b"Content-Type: multipart/form-data; boundary=x"),
        refused(415, _ROUTE),
        rule="RFC 9110 15.5.16",
    ),
    _first(
        "multipart in capitals",
        chat(b"Content-Type: MULTIPART/Mixed"),
        refused(415, _ROUTE),
        rule="RFC 9110 8.3.1",
    ),
    Entry(
        name="a list after a refused body",
        rule="RFC 9112 9.3",
        raw=request(CHAT, HOST, length(FOLDED), body=FOLDED) + tags(),
        wants=(refused(401, _ROUTE), listed()),
        ends=Ends.EITHER,
    ),
    Entry(
        name="a list after refused chunks",
        rule="RFC 9112 9.3",
        raw=request(CHAT, HOST, b"Transfer-Encoding: chunked", body=_CHUNKED) + tags(),
        wants=(refused(401, _ROUTE), listed()),
        ends=Ends.EITHER,
    ),
    Entry(
        name="a list after a coded body",
        rule="RFC 9112 9.3",
        raw=chat(b"Content-Encoding: gzip") + tags(),
        wants=(refused(415, _ROUTE), listed()),
        ends=Ends.EITHER,
    ),
    Entry(
        name="a request in a refused body",
        rule="RFC 9112 9.3",
        raw=request(b"POST /api/pull HTTP/1.1", HOST, AUTH, length(tags()), body=tags()),
        wants=(refused(403, "POST -"),),
        ends=Ends.EITHER,
    ),
    Entry(
        name="bad JSON leaves the connection",
        rule="SPEC 4",
        raw=chat(body=b"{") + tags(),
        wants=(refused(400, _ROUTE), listed()),
    ),
    Entry(
        name="bad JSON in chunks",
        rule="SPEC 4",
        raw=coded(b"1\r\n{\r\n0\r\n\r\n") + tags(),
        wants=(refused(400, _ROUTE), listed()),
    ),
    Entry(
        name="bad JSON on the other surface",
        rule=_ORDER,
        raw=chat(body=b"[]", line=b"POST /v1/chat/completions HTTP/1.1"),
        wants=(refused(400, "POST /v1/chat/completions", openai=True),),
    ),
    Entry(
        name="a model that is not there",
        rule="SPEC 6",
        raw=chat(body=FOLDED.replace(b"llama3.2", b"llama9.9")),
        wants=(refused(403, _ROUTE),),
    ),
)
