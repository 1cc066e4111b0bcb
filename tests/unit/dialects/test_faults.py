"""Refusals as JSON of each dialect family."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.faults import native_error, openai_error
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
    RequestTooLarge,
    UnsupportedMediaType,
    UpstreamFailed,
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
