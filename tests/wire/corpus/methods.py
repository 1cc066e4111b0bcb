"""Methods: case counts (RFC 9110 9.1), and none has a meaning beside the table of routes."""

from tests.wire.entry import (
    AUTH,
    HOST,
    Entry,
    Want,
    listed,
    public,
    refused,
    request,
)

_CASE = "RFC 9110 9.1"
_KNOWN = "RFC 9110 15.5.6"


def _asked(name: str, line: bytes, want: Want, rule: str = _KNOWN, key: bytes = AUTH) -> Entry:
    fields = (HOST, key) if key else (HOST,)
    raw = request(line + b" HTTP/1.1", *fields)
    return Entry(name=name, rule=rule, raw=raw, wants=(want,))


def _wrong(line: bytes, allow: str, rule: str = _KNOWN) -> Entry:
    method, _, path = line.decode().partition(" ")
    want = refused(
        405,
        f"{method[:16]} {path}",
        openai=path.startswith("/v1/"),
        head=method == "HEAD",
        fields=(("allow", allow),),
    )
    return _asked(f"{method} {path}", line, want, rule)


def _wrong_public(line: bytes, key: bytes = b"") -> Entry:
    fields = (("allow", "GET, HEAD"),)
    want = Want(status=405, code="method_not_allowed", fields=fields)
    return _asked(f"{line.decode()} {'with' if key else 'without'} a key", line, want, key=key)


def _lost(line: bytes, route: str) -> Entry:
    want = refused(401, route)
    return _asked(f"{line.decode()} without a key", line, want, "SPEC 8", key=b"")


ENTRIES = (
    _wrong(b"post /api/chat", "POST", _CASE),
    _wrong(b"Post /api/chat", "POST", _CASE),
    _wrong(b"get /api/tags", "GET, HEAD", _CASE),
    _wrong(b"gET /api/tags", "GET, HEAD", _CASE),
    _wrong(b"head /api/tags", "GET, HEAD", _CASE),
    _wrong(b"GET /api/chat", "POST"),
    _wrong(b"HEAD /api/chat", "POST"),
    _wrong(b"PUT /api/chat", "POST"),
    _wrong(b"PATCH /api/generate", "POST"),
    _wrong(b"DELETE /api/tags", "GET, HEAD"),
    _wrong(b"POST /api/tags", "GET, HEAD"),
    _wrong(b"POST /api/version", "GET, HEAD"),
    _wrong(b"GET /api/show", "POST"),
    _wrong(b"OPTIONS /api/chat", "POST"),
    _wrong(b"TRACE /api/tags", "GET, HEAD", "RFC 9110 9.3.8"),
    _wrong(b"CONNECT /api/chat", "POST", "RFC 9110 9.3.6"),
    _wrong(b"QUERY /api/tags", "GET, HEAD"),
    _wrong(b"BREW /api/chat", "POST"),
    _wrong(b"M-SEARCH /api/chat", "POST"),
    _wrong(b"GET! /api/chat", "POST", _CASE),
    _wrong(b"GETGETGETGETGETGETGETGET /api/chat", "POST", _CASE),
    _wrong(b"PROPFIND /v1/chat/completions", "POST"),
    _wrong(b"HEAD /v1/models", "GET"),
    _wrong(b"POST /v1/models", "GET"),
    _wrong_public(b"POST /"),
    _wrong_public(b"DELETE /healthz"),
    _wrong_public(b"OPTIONS /readyz"),
    _wrong_public(b"TRACE /"),
    _wrong_public(b"get /"),
    _wrong_public(b"POST /healthz", AUTH),
    _lost(b"post /api/chat", "post /api/chat"),
    _lost(b"OPTIONS /api/chat", "OPTIONS /api/chat"),
    _lost(b"OPTIONS *", "OPTIONS -"),
    _lost(b"CONNECT model-host:443", "CONNECT -"),
    _lost(b"TRACE /api/tags", "TRACE /api/tags"),
    _asked("OPTIONS * with a key", b"OPTIONS *", refused(403, "OPTIONS -"), "RFC 9112 3.2.4"),
    _asked(
        "CONNECT with a key", b"CONNECT model-host:443", refused(403, "CONNECT -"), "RFC 9112 3.2.3"
    ),
    _asked("HEAD /", b"HEAD /", public(head=True), "RFC 9110 9.3.2", key=b""),
    _asked("HEAD /healthz", b"HEAD /healthz", public(head=True), "RFC 9110 9.3.2", key=b""),
    _asked(
        "HEAD /api/tags",
        b"HEAD /api/tags",
        listed(route="HEAD /api/tags", head=True),
        "RFC 9110 9.3.2",
    ),
    _asked(
        "HEAD /api/version",
        b"HEAD /api/version",
        Want(status=200, route="HEAD /api/version", head=True),
        "RFC 9110 9.3.2",
    ),
    _asked(
        "HEAD /api/tags without a key",
        b"HEAD /api/tags",
        refused(401, "HEAD /api/tags", head=True),
        "RFC 9110 9.3.2",
        key=b"",
    ),
)
