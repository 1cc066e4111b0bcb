"""The answers' own framing (RFC 9112 6, RFC 9110 8.6 and 9.3.2) whatever is asked for."""

from tests.wire.entry import (
    AUTH,
    FOLDED,
    HOST,
    MARKER,
    OPENAI_STREAMED,
    STREAMED,
    Ends,
    Entry,
    Want,
    answered,
    chat,
    length,
    listed,
    public,
    refused,
    request,
    tags,
)

_CODED = (("transfer-encoding", "chunked"),)
_NATIVE = (*_CODED, ("content-type", "application/x-ndjson"), ("cache-control", "no-store"))
_EVENTS = (*_CODED, ("content-type", "text/event-stream"), ("cache-control", "no-store"))
_JSON = (("content-type", "application/json"),)
_SHOW = b'{"model":"llama3.2"}'
_COMPLETIONS = b"POST /v1/chat/completions HTTP/1.1"
_GENERATE = (
    FOLDED[: FOLDED.index(b'"messages"')] + b'"prompt":"' + MARKER + b' [[n=2]]","stream":false}'
)


def _asked(
    name: str,
    rule: str,
    raw: bytes,
    *wants: Want,
    streams: bool = False,
    ends: Ends = Ends.STAYS,
) -> Entry:
    return Entry(name=name, rule=rule, raw=raw, wants=wants, streams=streams, ends=ends)


ENTRIES = (
    _asked(
        "a native stream",
        "RFC 9112 7.1",
        chat(body=STREAMED),
        answered(fields=_NATIVE),
        streams=True,
    ),
    _asked(
        "a stream of events",
        "RFC 9112 7.1",
        chat(body=OPENAI_STREAMED, line=_COMPLETIONS),
        answered("POST /v1/chat/completions", fields=_EVENTS),
        streams=True,
    ),
    _asked("a whole chat", "RFC 9110 8.6", chat(), answered(fields=_JSON)),
    _asked(
        "a whole completion",
        "RFC 9110 8.6",
        chat(line=_COMPLETIONS),
        answered("POST /v1/chat/completions", fields=_JSON),
    ),
    _asked(
        "details of a model",
        "SPEC 3",
        request(b"POST /api/show HTTP/1.1", HOST, AUTH, length(_SHOW), body=_SHOW),
        Want(status=200, route="POST /api/show"),
    ),
    _asked(
        "the models in the other form",
        "SPEC 3",
        request(b"GET /v1/models HTTP/1.1", HOST, AUTH),
        Want(status=200, route="GET /v1/models"),
    ),
    _asked(
        "a list and its head",
        "RFC 9110 9.3.2",
        tags() + request(b"HEAD /api/tags HTTP/1.1", HOST, AUTH) + tags(),
        listed(),
        listed(route="HEAD /api/tags", head=True),
        listed(),
    ),
    _asked(
        "GET with a body",
        "RFC 9110 9.3.1",
        tags(length(FOLDED)) + FOLDED + tags(),
        listed(),
        listed(),
        ends=Ends.EITHER,
    ),
    _asked(
        "GET with a body that is a request",
        "RFC 9110 9.3.1",
        tags(length(tags())) + tags() + tags(),
        listed(),
        listed(),
        ends=Ends.EITHER,
    ),
    _asked(
        "GET with chunks",
        "RFC 9110 9.3.1",
        tags(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + tags(),
        listed(),
        listed(),
        ends=Ends.EITHER,
    ),
    _asked(
        "HEAD with a body",
        "RFC 9110 9.3.2",
        request(b"HEAD /api/tags HTTP/1.1", HOST, AUTH, b"Content-Length: 5", body=b"hello")
        + tags(),
        listed(route="HEAD /api/tags", head=True),
        listed(),
        ends=Ends.EITHER,
    ),
    _asked("no coding is chosen", "RFC 9110 12.5.3", tags(b"Accept-Encoding: gzip, br"), listed()),
    _asked("no coding is refused", "RFC 9110 12.5.3", tags(b"Accept-Encoding: *;q=0"), listed()),
    _asked("no part is sent", "RFC 9110 14.2", tags(b"Range: bytes=0-1"), listed()),
    _asked("no condition is met", "RFC 9110 13.1.2", tags(b'If-None-Match: "*"'), listed()),
    _asked(
        "an error is JSON to a browser",
        "SPEC 8",
        request(b"GET /api/tags HTTP/1.1", HOST, b"Accept: text/html"),
        refused(401, "GET /api/tags", fields=_JSON),
    ),
    _asked(
        "the root in JSON",
        "SPEC 3",
        request(b"GET / HTTP/1.1", HOST, b"Accept: application/json"),
        Want(status=200, fields=_JSON),
    ),
    _asked("the root in Ollama's words", "SPEC 3", request(b"GET / HTTP/1.1", HOST), public()),
    _asked("alive", "SPEC 3", request(b"GET /healthz HTTP/1.1", HOST), public()),
    _asked("ready", "SPEC 3", request(b"GET /readyz HTTP/1.1", HOST), public()),
    _asked(
        "a prompt in the other native route",
        "SPEC 3",
        chat(body=_GENERATE, line=b"POST /api/generate HTTP/1.1"),
        answered("POST /api/generate"),
    ),
)
