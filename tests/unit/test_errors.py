"""Refusals and their public faces."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import errors
from neuronetz_twisted.errors import Refusal


def all_refusals() -> list[type[Refusal]]:
    """Every kind."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Refusal) and kind is not Refusal
    ]


class RefusalTests(SynchronousTestCase):
    def test_statuses(self) -> None:
        """The table of SPEC 8, to the letter."""
        table = {(kind.status, kind.code) for kind in all_refusals()}
        self.assertEqual(
            table,
            {
                (400, "invalid_request"),
                (401, "invalid_api_key"),
                (403, "not_allowed"),
                (405, "method_not_allowed"),
                (408, "request_timeout"),
                (413, "request_too_large"),
                (414, "uri_too_long"),
                (415, "unsupported_media_type"),
                (417, "expectation_failed"),
                (429, "rate_limited"),
                (429, "budget_exhausted"),
                (431, "headers_too_large"),
                (500, "internal_error"),
                (502, "upstream_failed"),
                (503, "limits_unavailable"),
                (503, "auth_unavailable"),
                (503, "audit_unavailable"),
                (503, "models_unavailable"),
                (503, "upstream_busy"),
                (503, "draining"),
                (504, "upstream_timeout"),
                (505, "http_version_not_supported"),
            },
        )

    def test_when_to_come_back(self) -> None:
        """Each 429 and 503 says when, and no other does."""
        for kind in all_refusals():
            with self.subTest(kind=kind):
                expected = kind.status in {429, 503}
                self.assertEqual(kind.default_retry_after is not None, expected)

    def test_outcome(self) -> None:
        """The operator reads why, the client does not."""
        refusal = errors.NotAllowed(why="model")
        self.assertEqual(refusal.outcome, "refused:not_allowed/model")
        self.assertEqual(errors.Draining().outcome, "refused:draining")
        self.assertNotIn("model_gone", str(errors.NotAllowed(why="model_gone")))

    def test_limits(self) -> None:
        """A limit that is reached has its name, its time and its header lines; others have none."""
        fields = ((b"X-Budget-Period", b"day"),)
        for kind, limit in ((errors.RateLimited, "tokens"), (errors.BudgetExhausted, "total")):
            refusal = kind(limit=limit, retry_after=9, why=f"key/{limit}", fields=fields)
            self.assertEqual((refusal.limit, refusal.retry_after), (limit, 9))
            self.assertEqual(refusal.fields, fields)
            self.assertEqual(refusal.outcome, f"refused:{kind.code}/key/{limit}")
            self.assertIn(limit, refusal.message)
        self.assertIsNone(errors.NotAllowed().limit)
        self.assertEqual(errors.NotAllowed().fields, ())
