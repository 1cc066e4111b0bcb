"""Refusals as JSON of each dialect family."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.faults import native_error, openai_error
from neuronetz_twisted.errors import (
    AuthFailuresLimited,
    Draining,
    InternalError,
    InvalidApiKey,
    InvalidRequest,
    MethodNotAllowed,
    NotAllowed,
    Refusal,
    RequestTooLarge,
    UnsupportedMediaType,
    UpstreamFailed,
)


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
            (InternalError(), "api_error"),
            (UpstreamFailed(), "api_error"),
            (Draining(), "api_error"),
        )
        for refusal, expected in cases:
            with self.subTest(refusal=refusal):
                error = openai_error(refusal, "x")["error"]
                self.assertEqual((error["type"], error["param"]), (expected, None))
