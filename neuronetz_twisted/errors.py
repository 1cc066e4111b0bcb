"""What can go wrong, as types that carry their own public face.

A `Refusal` is an answer: it knows its status, its public code, when to come back, and what the
operator reads in the record. `edge/answers.py` is the one place that renders it (SPEC 8). The
`Unavailable` family is for our own stores; whoever awaits one turns it into the refusal that fits.
"""

from collections.abc import Sequence
from typing import ClassVar

_BUDGETS = {"day": "budget of the day", "month": "budget of the month", "total": "total budget"}


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that is answered with an error (SPEC 8).

    `message` is read by the client, so it never holds a secret or an upstream's words. `why` is
    read by the operator only: `not_allowed/model`. `retry_after` is in seconds. `limit` names the
    limit that was reached, where it was one. `fields` are header lines that the answer carries
    beside those of every other answer.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    default_message: ClassVar[str]
    default_retry_after: ClassVar[int | None] = None
    limit: str | None = None
    fields: Sequence[tuple[bytes, bytes]] = ()

    def __init__(
        self, message: str | None = None, *, why: str = "", retry_after: int | None = None
    ) -> None:
        self.message = message or self.default_message
        self.why = why
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        super().__init__(self.message)

    @property
    def outcome(self) -> str:
        """What the record says: `refused:<code>/<why>` (SPEC 9)."""
        return f"refused:{self.code}/{self.why}" if self.why else f"refused:{self.code}"


class InvalidRequest(Refusal):
    """The JSON or one of its fields is not what the route takes; the message names the field."""

    status = 400
    code = "invalid_request"
    default_message = "the request is not valid"

    def __init__(self, message: str | None = None, *, why: str = "", param: str = "") -> None:
        super().__init__(message, why=why)
        self.param = param


class AnswerTooLarge(InvalidRequest):
    """The model host has done what was asked, and the answer is larger than may be held."""


class InvalidApiKey(Refusal):
    """Every failure to say who is calling, whatever it was (SPEC 5)."""

    status = 401
    code = "invalid_api_key"
    default_message = "missing or invalid API key"


class NotAllowed(Refusal):
    """Path, model or scope: a caller cannot tell "not yours" from "not there" (SPEC 2, R7)."""

    status = 403
    code = "not_allowed"
    default_message = "this key may not use that path or model"


class MethodNotAllowed(Refusal):
    """A known path with another method; `allow` lists those it has."""

    status = 405
    code = "method_not_allowed"
    default_message = "method not allowed on this path"

    def __init__(self, *, allow: str) -> None:
        super().__init__()
        self.allow = allow


class RequestTimeout(Refusal):
    """The request did not come whole within its deadline (SPEC 8)."""

    status = 408
    code = "request_timeout"
    default_message = "the request did not arrive in time"


class RequestTooLarge(Refusal):
    """The body is over the limit; the message names the limit and its variable."""

    status = 413
    code = "request_too_large"
    default_message = "the request body is too large"


class UriTooLong(Refusal):
    """The target of the request line is over the limit."""

    status = 414
    code = "uri_too_long"
    default_message = "the request target is too long"


class UnsupportedMediaType(Refusal):
    """A content encoding or a multipart body, neither of which is read."""

    status = 415
    code = "unsupported_media_type"
    default_message = "the body must be plain JSON, without a content encoding"


class ExpectationFailed(Refusal):
    """An `Expect` other than `100-continue` (RFC 9110 10.1.1)."""

    status = 417
    code = "expectation_failed"
    default_message = "the only expectation that is met is 100-continue"


class HeadersTooLarge(Refusal):
    """The head, or the trailers of a chunked body, are over their limits."""

    status = 431
    code = "headers_too_large"
    default_message = "the header fields are too large or too many"


class AuthFailuresLimited(Refusal):
    """Too many failures to authenticate from one address (SPEC 5)."""

    status = 429
    code = "rate_limited"
    default_message = "too many failed attempts to authenticate from this address"
    default_retry_after = 1
    limit = "auth_failures"


class RateLimited(Refusal):
    """More at once, or more in a minute, than the key or its tenant may have (SPEC 7).

    `limit` is `requests`, `tokens` or `concurrency`.
    """

    status = 429
    code = "rate_limited"
    default_message = "a limit of this key or its tenant is reached"
    default_retry_after = 1

    def __init__(
        self, *, limit: str, retry_after: int, why: str, fields: Sequence[tuple[bytes, bytes]]
    ) -> None:
        super().__init__(f"the limit of {limit} is reached", why=why, retry_after=retry_after)
        self.limit = limit
        self.fields = fields


class BudgetExhausted(Refusal):
    """The key or its tenant has no tokens left in a period (SPEC 7).

    `limit` is `day`, `month` or `total`.
    """

    status = 429
    code = "budget_exhausted"
    default_message = "a budget of this key or its tenant is used up"
    default_retry_after = 60

    def __init__(
        self, *, limit: str, retry_after: int, why: str, fields: Sequence[tuple[bytes, bytes]]
    ) -> None:
        super().__init__(f"the {_BUDGETS[limit]} is used up", why=why, retry_after=retry_after)
        self.limit = limit
        self.fields = fields


class InternalError(Refusal):
    """A fault of ours, caught at the edge's outermost wall: the client learns nothing more."""

    status = 500
    code = "internal_error"
    default_message = "the gateway failed to answer"


class UpstreamFailed(Refusal):
    """No backend answered, or it answered nonsense before its first frame."""

    status = 502
    code = "upstream_failed"
    default_message = "the model host failed to answer"


class LimitsUnavailable(Refusal):
    """Limits cannot be checked, so nobody passes (SPEC 2, R1)."""

    status = 503
    code = "limits_unavailable"
    default_message = "limits cannot be checked at the moment"
    default_retry_after = 2


class AuthUnavailable(Refusal):
    """The key cannot be checked: a store is away or the verifier is full."""

    status = 503
    code = "auth_unavailable"
    default_message = "API keys cannot be checked at the moment"
    default_retry_after = 2


class AuditUnavailable(Refusal):
    """The record cannot be kept, so nobody passes (SPEC 2, R1; SPEC 9)."""

    status = 503
    code = "audit_unavailable"
    default_message = "records cannot be kept at the moment"
    default_retry_after = 5


class ModelsUnavailable(Refusal):
    """The list of models is older than its time to live (SPEC 6)."""

    status = 503
    code = "models_unavailable"
    default_message = "the list of models is not available at the moment"
    default_retry_after = 5


class UpstreamBusy(Refusal):
    """The model host has no room for the request."""

    status = 503
    code = "upstream_busy"
    default_message = "the model host is busy"
    default_retry_after = 2


class AnswersTooLarge(UpstreamBusy):
    """The model host has done what was asked, and too many answers are held already."""


class Draining(Refusal):
    """The gateway is on its way out."""

    status = 503
    code = "draining"
    default_message = "the gateway is shutting down"
    default_retry_after = 5


class UpstreamTimeout(Refusal):
    """No first frame in time."""

    status = 504
    code = "upstream_timeout"
    default_message = "the model host did not answer in time"


class VersionNotSupported(Refusal):
    """A request line of another major version of HTTP (RFC 9112 2.3)."""

    status = 505
    code = "http_version_not_supported"
    default_message = "only HTTP/1.0 and HTTP/1.1 are spoken here"


class Unavailable(Exception):  # noqa: N818 - states what the store is
    """A store cannot answer now: refused, timed out, overloaded or read-only."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL did not answer within its deadline, or cannot be reached."""


class RedisUnavailable(Unavailable):
    """Redis did not answer within its deadline, or no connection is there."""


class RedisNotAsked(RedisUnavailable):
    """The call was refused before it was sent, so it has certainly not been made."""


class UpstreamNonsense(Exception):  # noqa: N818 - states what was read
    """Bytes from a model host that are no frame of Ollama's stream (SPEC 6)."""


class DeadlinePassed(Exception):  # noqa: N818 - states what happened
    """What was waited for did not come in time."""
