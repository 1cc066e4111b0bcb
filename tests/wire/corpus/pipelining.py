"""Requests in one go (RFC 9112 9.3.2): answered in order, none twice, none half."""

from tests.wire.entry import (
    AUTH,
    CHAT,
    CLOSE,
    FOLDED,
    HOST,
    OPENAI_STREAMED,
    STREAMED,
    TAGS,
    Ends,
    Entry,
    answered,
    chat,
    coded,
    length,
    listed,
    public,
    refused,
    request,
    tags,
    violation,
)

_RULE = "RFC 9112 9.3.2"
_LOST = refused(401, "GET /api/tags")
_CHUNKED = b"%x\r\n" % len(FOLDED) + FOLDED + b"\r\n0\r\n\r\n"
_HEALTH = request(b"GET /healthz HTTP/1.1", HOST)
_PULL = request(b"GET /api/pull HTTP/1.1", HOST, AUTH)
_INSIDE = FOLDED.replace(b'"stream"', b'"x":"GET /api/tags HTTP/1.1\\r\\n\\r\\n","stream"')

ENTRIES = (
    Entry(name="two lists", rule=_RULE, raw=tags() * 2, wants=(listed(),) * 2),
    Entry(name="twenty lists", rule=_RULE, raw=tags() * 20, wants=(listed(),) * 20),
    Entry(name="three chats", rule=_RULE, raw=chat() * 3, wants=(answered(),) * 3),
    Entry(name="a chat and a list", rule=_RULE, raw=chat() + tags(), wants=(answered(), listed())),
    Entry(
        name="chunks, a list, chunks",
        rule=_RULE,
        raw=coded(_CHUNKED) + tags() + coded(_CHUNKED),
        wants=(answered(), listed(), answered()),
    ),
    Entry(
        name="an empty line between",
        rule="RFC 9112 2.2",
        raw=chat() + b"\r\n" + tags(),
        wants=(answered(), listed()),
    ),
    Entry(
        name="HEAD and GET",
        rule="RFC 9110 9.3.2",
        raw=request(b"HEAD /api/tags HTTP/1.1", HOST, AUTH) + tags(),
        wants=(listed(route="HEAD /api/tags", head=True), listed()),
    ),
    Entry(
        name="a caller without a key between two with one",
        rule="SPEC 5",
        raw=tags() + request(TAGS, HOST) + tags(),
        wants=(listed(), _LOST, listed()),
    ),
    Entry(
        name="health, refusal, list",
        rule=_RULE,
        raw=_HEALTH + _PULL + tags(),
        wants=(public(), refused(403, "GET -"), listed()),
    ),
    Entry(
        name="nothing after a close",
        rule="RFC 9112 9.6",
        raw=tags(CLOSE) + tags(),
        wants=(listed(),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="nothing after a chat that closes",
        rule="RFC 9112 9.6",
        raw=chat(CLOSE) + tags(),
        wants=(answered(),),
        ends=Ends.CLOSES,
    ),
    Entry(
        name="a request in a body's text",
        rule="RFC 9112 6.3",
        raw=chat(body=_INSIDE) + tags(),
        wants=(answered(), listed()),
    ),
    Entry(
        name="a smuggled key",
        rule="RFC 9112 6.3",
        raw=request(CHAT, HOST, length(tags()), body=tags()),
        wants=(refused(401, "POST /api/chat"),),
        ends=Ends.EITHER,
    ),
    violation("nonsense after a list", "RFC 9112 3", tags() + b"\x00\x01", before=(listed(),)),
    violation("nonsense after a chat", "RFC 9112 3", chat() + b"}}", before=(answered(),)),
    violation(
        "no Host in the second", "RFC 9112 3.2", tags() + request(TAGS, AUTH), before=(listed(),)
    ),
    violation(
        "an ambiguous length in the second",
        "RFC 9112 6.1",
        chat()
        + request(CHAT, HOST, AUTH, length(FOLDED), b"Transfer-Encoding: chunked", body=_CHUNKED),
        before=(answered(),),
    ),
    violation(
        "a bad chunk in the second",
        "RFC 9112 7.1",
        tags() + coded(b"0x5\r\n12345\r\n0\r\n\r\n"),
        before=(listed(),),
        route="POST /api/chat",
    ),
    Entry(
        name="a list after a stream",
        rule="SPEC 8",
        raw=chat(body=STREAMED),
        wants=(answered(),),
        streams=True,
    ),
    Entry(
        name="a list after a stream of events",
        rule="SPEC 8",
        raw=chat(body=OPENAI_STREAMED, line=b"POST /v1/chat/completions HTTP/1.1"),
        wants=(answered("POST /v1/chat/completions"),),
        streams=True,
    ),
)
