"""What an entry of the corpus is: bytes of a client, and all that must come of them.

Entries are written with the short words below, so that one line of a corpus module is one case. A
key and a marker stand in the bytes as placeholders of the right length; a runner puts its own in.
"""

from enum import Enum
from typing import Any

from attrs import evolve, frozen

KEY = b"nz_" + b"K" * 41
"""Stands for a key that works."""

MARKER = b"marker" + b"0" * 16
"""Stands for the word in a prompt that no other run has."""

HOST = b"Host: gateway.test"
AUTH = b"Authorization: Bearer " + KEY
CLOSE = b"Connection: close"
TAGS = b"GET /api/tags HTTP/1.1"
CHAT = b"POST /api/chat HTTP/1.1"
PROMPT = b'{"role":"user","content":"' + MARKER + b' [[n=2]]"}'
FOLDED = b'{"model":"llama3.2","messages":[' + PROMPT + b'],"stream":false}'
STREAMED = b'{"model":"llama3.2","messages":[' + PROMPT + b"]}"
OPENAI_STREAMED = b'{"model":"llama3.2","messages":[' + PROMPT + b'],"stream":true}'

BODY_LIMIT = 262_144
"""MAX_REQUEST_BODY_BYTES by default (SPEC 10)."""


NO_REQUEST = "-"
"""The method in the record of bytes that were no request, whatever path they seemed to have."""


class Ends(Enum):
    """What becomes of the connection once all wanted answers are there.

    `EITHER` is for requests that are refused before their body is there: if it closes, what
    follows the refusal is not answered.
    """

    STAYS = "stays"
    CLOSES = "closes"
    EITHER = "either"


class Interim(Enum):
    """Whether `100 Continue` comes before an answer."""

    NEVER = "never"
    ALWAYS = "always"
    MAYBE = "maybe"


@frozen(kw_only=True)
class Want:
    """One wanted answer.

    `route` is what the gateway's record says of the request; None where it has none: public paths.
    `calls` is how often the model host is asked. `head` is true for an answer without a body.
    `openai` is true for the error form of `/v1/*`.
    """

    status: int
    code: str = ""
    route: str | None = None
    calls: int = 0
    head: bool = False
    openai: bool = False
    interim: Interim = Interim.NEVER
    fields: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class Entry:
    """One case.

    `raw` is sent in any segments; `invited` only after a `100 Continue`. `waits_s` is how long the
    client then stays silent, for entries about deadlines. `rule` says where the answer is written.
    `streams` says that an answer may be under way when the next request arrives, `unfinished` that
    the bytes end in the middle of a request.
    """

    name: str
    rule: str
    raw: bytes
    wants: tuple[Want, ...]
    ends: Ends = Ends.STAYS
    invited: bytes = b""
    waits_s: float = 0.0
    streams: bool = False
    unfinished: bool = False

    def with_secrets(self, key: bytes, marker: bytes) -> "Entry":
        """Put a key and a marker of the same lengths into the bytes."""
        if (len(key), len(marker)) != (len(KEY), len(MARKER)):
            raise ValueError("a key and a marker must be as long as their placeholders")

        def filled(data: bytes) -> bytes:
            return data.replace(KEY, key).replace(MARKER, marker)

        return evolve(self, raw=filled(self.raw), invited=filled(self.invited))


def request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """A request as it stands on the wire."""
    return b"\r\n".join((line, *fields, b"", body))


def length(body: bytes) -> bytes:
    """The header that says how long a body is."""
    return b"Content-Length: %d" % len(body)


def tags(*fields: bytes) -> bytes:
    """A request for the list of models, with the key."""
    return request(TAGS, HOST, AUTH, *fields)


def chat(*fields: bytes, body: bytes = FOLDED, line: bytes = CHAT) -> bytes:
    """A chat with the key and its length."""
    return request(line, HOST, AUTH, *fields, length(body), body=body)


def coded(body: bytes, *fields: bytes) -> bytes:
    """A chat with the key whose chunked body is written by the caller."""
    return request(CHAT, HOST, AUTH, *fields, b"Transfer-Encoding: chunked", body=body)


def listed(**changes: Any) -> Want:
    """The answer to `tags`."""
    return evolve(Want(status=200, route="GET /api/tags"), **changes)


def answered(route: str = "POST /api/chat", **changes: Any) -> Want:
    """The answer of the model host to one call."""
    return evolve(Want(status=200, route=route, calls=1), **changes)


def public(*, head: bool = False) -> Want:
    """An answer that needs no key and leaves no record."""
    return Want(status=200, head=head)


def refused(status: int, route: str, code: str = "", **changes: Any) -> Want:
    """A refusal of a request whose framing is beyond doubt."""
    fields = changes.pop("fields", ())
    want = Want(status=status, code=code or CODES[status], route=route)
    return evolve(want, **changes, fields=fields)


def violation(  # noqa: PLR0913 - the columns of a case
    name: str,
    rule: str,
    raw: bytes,
    status: int = 400,
    *,
    before: tuple[Want, ...] = (),
    openai: bool = False,
    route: str = NO_REQUEST,
    unfinished: bool = False,
) -> Entry:
    """A case of bad framing: one answer in our form, nothing seen by the application, the end.

    `before` are the answers to whole requests in front of it. `route` is for faults in a body,
    which are found when the application has already seen the head.
    """
    want = Want(status=status, code=CODES[status], openai=openai, route=route)
    wants = (*before, want)
    return Entry(
        name=name, rule=rule, raw=raw, wants=wants, ends=Ends.CLOSES, unfinished=unfinished
    )


CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "not_allowed",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    417: "expectation_failed",
    431: "headers_too_large",
    505: "http_version_not_supported",
}
"""The public code of each refusal that can come before a body is judged (SPEC 8)."""
