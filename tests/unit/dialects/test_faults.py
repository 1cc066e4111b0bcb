"""Refusals as JSON of each dialect family."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.faults import (
    anthropic_error,
    native_error,
    openai_error,
    render_error,
)
from neuronetz_twisted.errors import (
    AuthFailuresLimited,
    BudgetExhausted,
    Draining,
    InternalError,
    InvalidApiKey,
    InvalidRequest,
    MethodNotAllowed,
    NotAllowed,
    RateLimited,
    Refusal,
    RequestTimeout,
    RequestTooLarge,
    UnsupportedMediaType,
    UpstreamFailed,
    UpstreamTimeout,
    VersionNotSupported,
)


def limited() -> RateLimited:
    """A window is full."""
    return RateLimited(limit="requests", retry_after=9, why="key/requests", fields=())


def exhausted() -> BudgetExhausted:
    """A budget is used up."""
    return BudgetExhausted(limit="month", retry_after=9, why="tenant/month", fields=())


class NativeErrorTests(SynchronousTestCase):
    def test_body(self) -> None:
        """Text, code and id; why it was refused stays with the operator."""
        body = native_error(InvalidApiKey(why="revoked"), "the-id")
        expected = {
            "error": "missing or invalid API key",
            "code": "invalid_api_key",
            "request_id": "the-id",
        }
        self.assertEqual(body, expected)

    def test_limit(self) -> None:
        """A refusal for a limit names it."""
        self.assertEqual(native_error(AuthFailuresLimited(), "x")["limit"], "auth_failures")
        self.assertEqual(native_error(limited(), "x")["limit"], "requests")
        self.assertEqual(openai_error(exhausted(), "x")["error"]["limit"], "month")
        self.assertNotIn("limit", native_error(NotAllowed(), "x"))


class OpenAIErrorTests(SynchronousTestCase):
    def test_body(self) -> None:
        """The field that is wrong is the param."""
        body = openai_error(InvalidRequest("n must be 1", param="n"), "the-id")
        expected = {
            "message": "n must be 1",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
            "request_id": "the-id",
        }
        self.assertEqual(body, {"error": expected})

    def test_types(self) -> None:
        """Each status has the type that OpenAI's clients know."""
        cases: tuple[tuple[Refusal, str], ...] = (
            (InvalidRequest(), "invalid_request_error"),
            (InvalidApiKey(), "authentication_error"),
            (NotAllowed(), "permission_error"),
            (MethodNotAllowed(allow="GET"), "invalid_request_error"),
            (RequestTimeout(), "invalid_request_error"),
            (RequestTooLarge(), "invalid_request_error"),
            (UnsupportedMediaType(), "invalid_request_error"),
            (AuthFailuresLimited(), "rate_limit_error"),
            (limited(), "rate_limit_error"),
            (exhausted(), "insufficient_quota"),
            (InternalError(), "api_error"),
            (UpstreamFailed(), "api_error"),
            (Draining(), "api_error"),
        )
        for refusal, expected in cases:
            with self.subTest(refusal=refusal):
                error = openai_error(refusal, "x")["error"]
                self.assertEqual((error["type"], error["param"]), (expected, None))


class AnthropicErrorTests(SynchronousTestCase):
    def test_body(self) -> None:
        """The type stands twice, the id at the top, where Anthropic's clients look for them."""
        body = anthropic_error(exhausted(), "the-id")
        error = {
            "type": "rate_limit_error",
            "message": "the budget of the month is used up",
            "code": "budget_exhausted",
            "limit": "month",
        }
        self.assertEqual(body, {"type": "error", "error": error, "request_id": "the-id"})
        self.assertNotIn("limit", anthropic_error(NotAllowed(), "x")["error"])

    def test_types(self) -> None:
        """Each status has the type that Anthropic's API gives it, or that of its class."""
        cases: tuple[tuple[Refusal, str], ...] = (
            (InvalidRequest(), "invalid_request_error"),
            (InvalidApiKey(), "authentication_error"),
            (NotAllowed(), "permission_error"),
            (MethodNotAllowed(allow="POST"), "invalid_request_error"),
            (RequestTimeout(), "invalid_request_error"),
            (RequestTooLarge(), "request_too_large"),
            (UnsupportedMediaType(), "invalid_request_error"),
            (limited(), "rate_limit_error"),
            (InternalError(), "api_error"),
            (UpstreamFailed(), "api_error"),
            (Draining(), "overloaded_error"),
            (UpstreamTimeout(), "timeout_error"),
            (VersionNotSupported(), "api_error"),
        )
        for refusal, expected in cases:
            with self.subTest(refusal=refusal):
                self.assertEqual(anthropic_error(refusal, "x")["error"]["type"], expected)


class RenderErrorTests(SynchronousTestCase):
    def test_paths(self) -> None:
        """Each surface has its own form, unknown paths under it too; all else is native."""
        for path, expected in (
            (b"/v1/messages", anthropic_error),
            (b"/v1/messages/count_tokens", anthropic_error),
            (b"/v1/chat/completions", openai_error),
            (b"/v1/models/messages", openai_error),
            (b"/v1/", openai_error),
            (b"/v1", native_error),
            (b"/api/chat", native_error),
            (b"/api/v1/messages", native_error),
            (b"*", native_error),
        ):
            with self.subTest(path=path):
                self.assertIs(render_error(path), expected)
