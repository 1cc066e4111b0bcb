"""Clients of HTTP/1.0 (RFC 9112 9.3, appendix C)."""

from tests.wire.entry import (
    AUTH,
    FOLDED,
    HOST,
    STREAMED,
    Ends,
    Entry,
    answered,
    chat,
    listed,
    public,
    refused,
    request,
    tags,
    violation,
)

_RULE = "RFC 9112 9.3"
_TAGS = b"GET /api/tags HTTP/1.0"
_CHAT = b"POST /api/chat HTTP/1.0"
_KEEP = b"Connection: keep-alive"

ENTRIES = (
    Entry(
        name="1.0 closes",
        rule=_RULE,
        raw=request(_TAGS, HOST, AUTH),
        wants=(listed(),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="1.0 keeps alive if asked",
        rule=_RULE,
        raw=request(_TAGS, HOST, AUTH, _KEEP),
        wants=(listed(fields=(("connection", "keep-alive"),)),),
    ),
    Entry(
        name="1.0 keeps alive in any case",
        rule="RFC 9110 7.6.1",
        raw=request(_TAGS, HOST, AUTH, b"Connection: foo, Keep-Alive"),
        wants=(listed(),),
    ),
    Entry(
        name="1.0 close wins over keep-alive",
        rule=_RULE,
        raw=request(_TAGS, HOST, AUTH, b"Connection: keep-alive, close"),
        wants=(listed(),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="nothing after a request of 1.0",
        rule=_RULE,
        raw=request(_TAGS, HOST, AUTH) + tags(),
        wants=(listed(),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="1.0 then 1.1",
        rule=_RULE,
        raw=request(_TAGS, HOST, AUTH, _KEEP) + tags(),
        wants=(listed(), listed()),
    ),
    Entry(
        name="a chat in 1.0",
        rule=_RULE,
        raw=chat(line=_CHAT),
        wants=(answered(),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="a chat in 1.0 that keeps alive",
        rule=_RULE,
        raw=chat(_KEEP, line=_CHAT) + request(_TAGS, HOST, AUTH, _KEEP),
        wants=(answered(), listed()),
    ),
    Entry(
        name="a stream in 1.0 ends with the connection",
        rule="RFC 9112 6.3",
        raw=chat(body=STREAMED, line=_CHAT),
        wants=(answered(),),
        ends=Ends.CLOSES,
        streams=True,
    ),
    Entry(
        name="a stream in 1.0 cannot keep alive",
        rule="RFC 9112 6.3",
        raw=chat(_KEEP, body=STREAMED, line=_CHAT),
        wants=(answered(),),
        ends=Ends.CLOSES,
        streams=True,
    ),
    Entry(
        name="a chat in 1.0 without a length",
        rule="RFC 9112 6.3",
        raw=request(_CHAT, HOST, AUTH),
        wants=(refused(400, "POST /api/chat"),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="HEAD in 1.0",
        rule="RFC 9110 9.3.2",
        raw=request(b"HEAD / HTTP/1.0"),
        wants=(public(head=True),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="no key in 1.0",
        rule="SPEC 8",
        raw=request(_TAGS),
        wants=(refused(401, "GET /api/tags"),),
        ends=Ends.CLOSES,
    ),
    violation("a fold in 1.0", "RFC 9112 5.2", request(_TAGS, HOST, AUTH, b"X: a\r\n b")),
    violation(
        "two lengths in 1.0",
        "RFC 9110 8.6",
        request(_CHAT, HOST, AUTH, b"Content-Length: 5", b"Content-Length: 6", body=FOLDED),
    ),
)
