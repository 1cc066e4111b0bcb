"""Which pages of other origins may call from a browser (Fetch standard, 3.3; SPEC 3). Pure.

A browser lets a page read an answer of another origin only if that says so, and asks before it
sends a request with a key. Its question, the preflight, carries no key, so nothing about a path may
be learnt from it (SPEC 2, R7): the answer is the same on every path, known or not, and lists the
methods that any of them has. Cookies mean nothing here, so no answer allows credentials.
"""

from collections.abc import Iterable

from neuronetz_twisted.edge.framing import RequestHead

Lines = tuple[tuple[bytes, bytes], ...]
"""Header lines of an answer."""

MAX_AGE_S = 7200
"""How long a browser may remember a preflight; Chromium takes no more."""

_METHODS = b"GET, HEAD, POST"

_REQUEST_FIELDS = (
    "Authorization",
    "X-API-Key",
    "Content-Type",
    "Accept",
    "User-Agent",
    "X-Requested-With",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "OpenAI-Project",
    "Anthropic-Beta",
    "Anthropic-Dangerous-Direct-Browser-Access",
    "Anthropic-Version",
    *(
        f"X-Stainless-{name}"
        for name in (
            "Arch",
            "Async",
            "Custom-Poll-Interval",
            "Helper",
            "Helper-Method",
            "Lang",
            "OS",
            "Package-Version",
            "Poll-Helper",
            "Retry-Count",
            "Runtime",
            "Runtime-Version",
            "Timeout",
        )
    ),
)
"""What the JavaScript clients of Ollama, OpenAI and Anthropic send, beside the request id."""

_ANSWER_FIELDS = (
    "X-Client-Request-ID",
    "X-Gateway-Ignored",
    "X-RateLimit-Limit-Requests",
    "X-RateLimit-Remaining-Requests",
    "X-RateLimit-Limit-Tokens",
    "X-RateLimit-Remaining-Tokens",
    "RateLimit-Policy",
    "RateLimit",
    "X-Budget-Period",
    "X-Budget-Tokens-Remaining",
    "X-Should-Retry",
    "Retry-After",
)
"""Our own header fields, beside the request id (SPEC 7)."""

_VARY: Lines = ((b"Vary", b"Origin"),)


class CrossOrigin:
    """The origins whose pages may call.

    `origins` are as browsers write them, or `*` for all. `request_id_header` is the configured
    name.
    """

    def __init__(self, origins: Iterable[str], request_id_header: str) -> None:
        exposed = ", ".join((request_id_header, *_ANSWER_FIELDS)).encode("ascii")
        shared = {
            origin.encode("ascii"): (
                (b"Access-Control-Allow-Origin", origin.encode("ascii")),
                *_VARY,
                (b"Access-Control-Expose-Headers", exposed),
            )
            for origin in origins
        }
        self._others: Lines | None = shared.pop(b"*", None)
        self._shared = shared
        self._preflight: Lines = (
            (b"Access-Control-Allow-Methods", _METHODS),
            (
                b"Access-Control-Allow-Headers",
                ", ".join((*_REQUEST_FIELDS, request_id_header)).encode("ascii"),
            ),
            (b"Access-Control-Max-Age", b"%d" % MAX_AGE_S),
        )

    def answer_lines(self, head: RequestHead) -> Lines:
        """The lines that every answer to a request with this head carries.

        `Vary` is on all of them: a cache that keeps the answer to a request without an origin must
        not give it to one with an origin (Fetch standard, 3.3.5).
        """
        return self._lines_for(head) or _VARY

    def preflight_lines(self, head: RequestHead) -> Lines | None:
        """What the answer to a preflight carries beside those; None where it is no preflight.

        One from an origin that may not call is none: it is answered as any other `OPTIONS` is.
        """
        if head.line.method != b"OPTIONS" or b"access-control-request-method" not in head.fields:
            return None
        return None if self._lines_for(head) is None else self._preflight

    def _lines_for(self, head: RequestHead) -> Lines | None:
        origins = head.fields.get(b"origin")
        # Browsers send one. Two would be one value with a comma, which is nobody's origin.
        if origins is None or len(origins) != 1:
            return None
        return self._shared.get(origins[0], self._others)
