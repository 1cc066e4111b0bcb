"""An upstream's status as our own answer."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import (
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
)
from neuronetz_twisted.upstream.refusals import refusal_of


class RefusalTests(SynchronousTestCase):
    def test_statuses(self) -> None:
        """The table of SPEC 6."""
        cases: tuple[tuple[int, type[Refusal], str], ...] = (
            (400, InvalidRequest, "refused:invalid_request/upstream"),
            (422, InvalidRequest, "refused:invalid_request/upstream"),
            (401, UpstreamFailed, "refused:upstream_failed/credentials"),
            (403, UpstreamFailed, "refused:upstream_failed/credentials"),
            (404, NotAllowed, "refused:not_allowed/model_gone"),
            (429, UpstreamBusy, "refused:upstream_busy/429"),
            (503, UpstreamBusy, "refused:upstream_busy/503"),
            (204, UpstreamFailed, "refused:upstream_failed/204"),
            (302, UpstreamFailed, "refused:upstream_failed/302"),
            (413, UpstreamFailed, "refused:upstream_failed/413"),
            (500, UpstreamFailed, "refused:upstream_failed/500"),
            (502, UpstreamFailed, "refused:upstream_failed/502"),
        )
        for status, kind, outcome in cases:
            with self.subTest(status=status):
                refusal = refusal_of(status, b"")
                self.assertIs(type(refusal), kind)
                self.assertEqual(refusal.outcome, outcome)

    def test_words(self) -> None:
        """What the model cannot do is said in our words, from a closed list."""
        for body, message in (
            (b'"m" does not support tools', "this model does not support tools"),
            (b'"m" does not support Thinking', "this model does not support thinking"),
            (b"does not support vision", "this model does not support images"),
            (b"does not support insert", "this model does not support insertion"),
            (b"does not support embeddings", "this model does not support embeddings"),
            (b'"m" does not support chat', "this model does not support chat"),
            (b'"m" does not support generate', "this model does not support generation"),
            (
                b"the input length exceeds the context length",
                "the input is too long for this model",
            ),
            (b"panic at /srv/ollama", "the model cannot do this"),
            (b"\xff\xfe", "the model cannot do this"),
        ):
            with self.subTest(body=body):
                self.assertEqual(refusal_of(400, body).message, message)

    def test_a_missing_model_is_like_one_that_is_not_allowed(self) -> None:
        """A caller cannot tell the two."""
        self.assertEqual(refusal_of(404, b"no such model").message, NotAllowed().message)
