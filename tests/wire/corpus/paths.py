"""Paths are looked up to the letter (SPEC 3); nothing of Ollama's own is reached by accident."""

from tests.wire.entry import (
    AUTH,
    HOST,
    Ends,
    Entry,
    Want,
    answered,
    chat,
    listed,
    public,
    refused,
    request,
)

_RULE = "SPEC 3"
_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"PATCH")
_OLLAMA_ONLY = (
    b"/api/pull",
    b"/api/push",
    b"/api/create",
    b"/api/delete",
    b"/api/copy",
    b"/api/ps",
    b"/api/blobs/sha256:29fdb92e57cf0827ded04ae6461b5931d01fa595843f55d36f5b275a52087dd2",
    b"/api/experimental/aliases",
    b"/api/me",
    b"/api/signout",
    b"/v1/responses/input_tokens",
    b"/debug/pprof/",
)


def _closed(path: bytes) -> Entry:
    requests = (request(method + b" " + path + b" HTTP/1.1", HOST, AUTH) for method in _METHODS)
    openai = path.startswith(b"/v1/")
    wants = (
        refused(403, f"{method.decode()} -", head=method == b"HEAD", openai=openai)
        for method in _METHODS
    )
    name = f"{path.decode()} by any method"
    return Entry(name=name, rule=_RULE, raw=b"".join(requests), wants=tuple(wants))


def _unknown(path: bytes, rule: str = _RULE) -> Entry:
    return Entry(
        name=f"chat at {path.decode()}",
        rule=rule,
        raw=chat(line=b"POST " + path + b" HTTP/1.1"),
        wants=(refused(403, "POST -", openai=path.startswith(b"/v1/")),),
        ends=Ends.EITHER,
    )


def _got(path: bytes, want: Want, rule: str = _RULE) -> Entry:
    raw = request(b"GET " + path + b" HTTP/1.1", HOST, AUTH)
    return Entry(name=f"GET {path.decode()}", rule=rule, raw=raw, wants=(want,))


_MODEL = "GET /v1/models/{id}"
_NO_MODEL = refused(403, _MODEL, openai=True)
_NO_PATH = refused(403, "GET -", openai=True)

ENTRIES = (
    *(_closed(path) for path in _OLLAMA_ONLY),
    *(
        _unknown(path)
        for path in (
            b"/api%2Fchat",
            b"/%61pi/chat",
            b"/api/%63hat",
            b"/api/cha%74",
            b"//api/chat",
            b"/api//chat",
            b"/api/chat/",
            b"/api/chat//",
            b"/api/./chat",
            b"/./api/chat",
            b"/api/tags/../chat",
            b"/../api/chat",
            b"/api/%2e%2e/api/chat",
            b"/api/%2E/chat",
            b"/api/chat;x=1",
            b"/api;x=1/chat",
            b"/api/chat%00",
            b"/api/chat%20",
            b"/api/chat%0d%0a",
            b"/api/chat%3Fx",
            b"/api/chat%23x",
            b"/api/chat.",
            b"/api/chat,",
            b"/api/chat&stream=false",
            b"/api%c0%afchat",
            b"/api%5cchat",
            b"/api/%e3%83%81hat",
            b"/api/%zz",
            b"/api/chat%",
            b"/API/chat",
            b"/api/Chat",
            b"/unknown",
            b"/v1/chat/completions/",
            b"/v1//chat/completions",
            b"/v1/chat%2Fcompletions",
        )
    ),
    Entry(
        name="a query is ignored",
        rule=_RULE,
        raw=chat(line=b"POST /api/chat?model=other&path=/api/pull HTTP/1.1"),
        wants=(answered(),),
    ),
    _got(b"/api/tags?", listed()),
    _got(b"/api/tags?/../../api/pull", listed()),
    _got(b"/api/tags??", listed()),
    _got(b"/?x=1", public()),
    _got(b"/healthz?x", public()),
    _got(b"/healthz/", refused(403, "GET -")),
    _got(b"/readyz%20", refused(403, "GET -")),
    _got(b"//", refused(403, "GET -")),
    _got(b"/;", refused(403, "GET -")),
    _got(b"/?/api/pull", public()),
    _got(b"/v1/models/llama3.2", Want(status=200, route=_MODEL)),
    _got(b"/v1/models/llama3.2:latest", Want(status=200, route=_MODEL)),
    _got(b"/v1/models/llama3.2%3Alatest", Want(status=200, route=_MODEL), "RFC 3986 2.4"),
    _got(b"/v1/models/%6clama3.2", Want(status=200, route=_MODEL), "RFC 3986 2.4"),
    _got(b"/v1/models/hf.co%2Forg%2Fname", _NO_MODEL),
    _got(b"/v1/models/hf.co/org/name:Q4", _NO_MODEL),
    _got(b"/v1/models/llama3.2%253Alatest", _NO_PATH, "RFC 3986 2.4"),
    _got(b"/v1/models/llama3.2%00", _NO_PATH),
    _got(b"/v1/models/llama3.2%0a", _NO_PATH),
    _got(b"/v1/models/", _NO_PATH),
    _got(b"/v1/models//llama3.2", _NO_PATH),
    _got(b"/v1/models/../chat/completions", _NO_PATH),
    _got(b"/v1/models/%2e%2e/chat", _NO_PATH),
    _got(b"/v1/models/a/../../chat/completions", _NO_MODEL),
    _got(b"/v1/models/%c0%af", _NO_PATH),
    _got(b"/v1/Models/llama3.2", _NO_PATH),
)
