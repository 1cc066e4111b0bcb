"""How much of a request is read at all (SPEC 3 and 4, RFC 9110 15.5.14 and 15.5.15, RFC 6585 5)."""

from tests.wire.entry import (
    AUTH,
    BODY_LIMIT,
    CHAT,
    FOLDED,
    HOST,
    NO_REQUEST,
    TAGS,
    Ends,
    Entry,
    Want,
    answered,
    chat,
    listed,
    refused,
    request,
    tags,
    violation,
)

_TARGET = "RFC 9110 15.5.15"
_HEAD = "RFC 6585 5"
_BODY = "RFC 9110 15.5.14"
_TIME = "RFC 9110 15.5.9"
_MAX_TARGET = 8192
_MAX_FIELDS = 100


def _target(size: int) -> bytes:
    query = b"/api/tags?"
    return request(b"GET " + query.ljust(size, b"a") + b" HTTP/1.1", HOST, AUTH)


def _fields(count: int) -> bytes:
    return tags(*(b"X-%d: 1" % number for number in range(count - 2)))


def _late(name: str, raw: bytes, route: str = NO_REQUEST) -> Entry:
    return Entry(
        name=name,
        rule=_TIME,
        raw=raw,
        wants=(Want(status=408, code="request_timeout", route=route),),
        ends=Ends.CLOSES,
        waits_s=40.0,
        unfinished=True,
    )


ENTRIES = (
    Entry(name="a target of 8 KiB", rule=_TARGET, raw=_target(_MAX_TARGET), wants=(listed(),)),
    violation("a target of a byte more", _TARGET, _target(_MAX_TARGET + 1), 414),
    violation("a target of 100 kB", _TARGET, _target(100_000), 414),
    violation("a target without end", _TARGET, b"GET /" + b"a" * 9000, 414, unfinished=True),
    violation(
        "a target that is too long, without a key",
        "SPEC 8",
        request(b"GET /" + b"a" * 9000 + b" HTTP/1.1", HOST),
        414,
    ),
    Entry(name="a hundred fields", rule=_HEAD, raw=_fields(_MAX_FIELDS), wants=(listed(),)),
    violation("a field more", _HEAD, _fields(_MAX_FIELDS + 1), 431),
    violation("a thousand fields", _HEAD, _fields(1000), 431),
    Entry(
        name="a head of almost 16 KiB",
        rule=_HEAD,
        raw=tags(b"X-Long: " + b"a" * 15_000),
        wants=(listed(),),
    ),
    violation("a head of more", _HEAD, tags(b"X-Long: " + b"a" * 16_384), 431),
    violation("a field of 200 kB", _HEAD, tags(b"X-Long: " + b"a" * 200_000), 431),
    violation(
        "a head without end",
        _HEAD,
        TAGS + b"\r\n" + HOST + b"\r\nX: " + b"a" * 17_000,
        431,
        unfinished=True,
    ),
    violation("a name without end", _HEAD, TAGS + b"\r\n" + b"a" * 17_000, 431, unfinished=True),
    violation(
        "a head that is too long, without a key",
        "SPEC 8",
        request(TAGS, HOST, b"X-Long: " + b"a" * 16_384),
        431,
    ),
    Entry(
        name="a body of exactly the limit",
        rule=_BODY,
        raw=chat(body=FOLDED.rjust(BODY_LIMIT)),
        wants=(answered(),),
    ),
    Entry(
        name="a length over the limit, without the body",
        rule=_BODY,
        raw=request(CHAT, HOST, AUTH, b"Content-Length: %d" % (BODY_LIMIT + 1)),
        wants=(refused(413, "POST /api/chat"),),
        ends=Ends.CLOSES,
        unfinished=True,
    ),
    Entry(
        name="a body of a byte over the limit",
        rule=_BODY,
        raw=chat(body=FOLDED.rjust(BODY_LIMIT + 1)),
        wants=(refused(413, "POST /api/chat"),),
        ends=Ends.EITHER,
    ),
    Entry(
        name="a body of 2 MB that is sent whole",
        rule=_BODY,
        raw=chat(body=FOLDED.rjust(2_000_000)),
        wants=(refused(413, "POST /api/chat"),),
        ends=Ends.EITHER,
    ),
    Entry(
        name="a length of eighteen digits",
        rule=_BODY,
        raw=request(CHAT, HOST, AUTH, b"Content-Length: 9" + b"0" * 17),
        wants=(refused(413, "POST /api/chat"),),
        ends=Ends.CLOSES,
        unfinished=True,
    ),
    Entry(
        name="too large a body for a list, which would not be read",
        rule="SPEC 8",
        raw=tags(b"Content-Length: %d" % (BODY_LIMIT + 1)),
        wants=(refused(413, "GET /api/tags"),),
        ends=Ends.CLOSES,
        unfinished=True,
    ),
    Entry(
        name="a body nested over its bound",
        rule="SPEC 4",
        raw=chat(body=b"[" * 10_000),
        wants=(refused(400, "POST /api/chat"),),
    ),
    _late("a head that does not come", b"GET /api/tags HT"),
    _late("a head that does not end", tags()[:-2]),
    _late("a body that does not come", chat(body=FOLDED)[: -len(FOLDED)], "POST /api/chat"),
    _late("a body that does not end", chat(body=FOLDED)[:-1], "POST /api/chat"),
)
