"""`Expect` (RFC 9110 10.1.1): only who may send a body is invited to."""

from tests.wire.entry import (
    AUTH,
    BODY_LIMIT,
    CHAT,
    FOLDED,
    HOST,
    Ends,
    Entry,
    Interim,
    Want,
    answered,
    chat,
    length,
    listed,
    refused,
    request,
    tags,
)

_RULE = "RFC 9110 10.1.1"
_EXPECT = b"Expect: 100-continue"
_ROUTE = "POST /api/chat"
_CHUNKED = b"%x\r\n" % len(FOLDED) + FOLDED + b"\r\n0\r\n\r\n"


def _invited(name: str, *fields: bytes, body: bytes = FOLDED, rule: str = _RULE) -> Entry:
    return Entry(
        name=name,
        rule=rule,
        raw=request(CHAT, HOST, AUTH, *fields),
        invited=body,
        wants=(answered(interim=Interim.ALWAYS),),
    )


def _turned_away(
    name: str, want: Want, *fields: bytes, line: bytes = CHAT, rule: str = "SPEC 8"
) -> Entry:
    raw = request(line, HOST, *fields, _EXPECT)
    return Entry(name=name, rule=rule, raw=raw, wants=(want,), ends=Ends.CLOSES, unfinished=True)


ENTRIES = (
    _invited("an invitation", _EXPECT, length(FOLDED)),
    _invited("an invitation in capitals", b"Expect: 100-CONTINUE", length(FOLDED)),
    _invited("an invitation to chunks", b"Transfer-Encoding: chunked", _EXPECT, body=_CHUNKED),
    Entry(
        name="a body that does not wait",
        rule=_RULE,
        raw=chat(_EXPECT),
        wants=(answered(interim=Interim.MAYBE),),
    ),
    Entry(
        name="a next request after an invitation",
        rule=_RULE,
        raw=request(CHAT, HOST, AUTH, _EXPECT, length(FOLDED)),
        invited=FOLDED + tags(),
        wants=(answered(interim=Interim.ALWAYS), listed()),
    ),
    Entry(name="no body to invite", rule=_RULE, raw=tags(_EXPECT), wants=(listed(),)),
    Entry(
        name="a body of nothing to invite",
        rule=_RULE,
        raw=request(CHAT, HOST, AUTH, _EXPECT, b"Content-Length: 0"),
        wants=(refused(400, _ROUTE),),
    ),
    Entry(
        name="HTTP/1.0 expects nothing",
        rule=_RULE,
        raw=chat(_EXPECT, line=b"POST /api/chat HTTP/1.0"),
        wants=(answered(),),
        ends=Ends.CLOSES,
    ),
    _turned_away("no invitation without a key", refused(401, _ROUTE), length(FOLDED)),
    _turned_away(
        "no invitation to chunks without a key",
        refused(401, _ROUTE),
        b"Transfer-Encoding: chunked",
    ),
    _turned_away(
        "no invitation to an unknown path",
        refused(403, "POST -"),
        AUTH,
        length(FOLDED),
        line=b"POST /api/pull HTTP/1.1",
    ),
    _turned_away(
        "no invitation to another method",
        refused(405, "PUT /api/chat", fields=(("allow", "POST"),)),
        AUTH,
        length(FOLDED),
        line=b"PUT /api/chat HTTP/1.1",
    ),
    _turned_away(
        "no invitation to a coded body",
        refused(415, _ROUTE),
        AUTH,
        length(FOLDED),
        b"Content-Encoding: gzip",
    ),
    _turned_away(
        "no invitation to too large a body",
        refused(413, _ROUTE),
        AUTH,
        b"Content-Length: %d" % (BODY_LIMIT + 1),
    ),
    Entry(
        name="another expectation where there is no body",
        rule=_RULE,
        raw=tags(b"Expect: miracles"),
        wants=(refused(417, "GET /api/tags"),),
    ),
    Entry(
        name="another expectation with a body",
        rule="RFC 9110 15.5.18",
        raw=chat(b"Expect: 200-ok"),
        wants=(refused(417, _ROUTE),),
        ends=Ends.EITHER,
    ),
    Entry(
        name="two expectations",
        rule="RFC 9110 15.5.18",
        raw=request(CHAT, HOST, AUTH, b"Expect: 100-continue, miracles", length(FOLDED)),
        wants=(refused(417, _ROUTE),),
        ends=Ends.CLOSES,
        unfinished=True,
    ),
    Entry(
        name="another expectation without a key",
        rule="SPEC 8",
        raw=request(CHAT, HOST, b"Expect: miracles", length(FOLDED)),
        wants=(refused(401, _ROUTE),),
        ends=Ends.CLOSES,
        unfinished=True,
    ),
)
