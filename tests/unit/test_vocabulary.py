"""Ends and outcomes of exceptions, and what values show of themselves."""

from uuid import UUID

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import UpstreamBusy
from neuronetz_twisted.testing.calls import TENANT, made_call, made_principal, made_request
from neuronetz_twisted.testing.identity import made_key, record_of
from neuronetz_twisted.vocabulary import End, Outcome, Usage


class OutcomeTests(SynchronousTestCase):
    def test_of_exceptions(self) -> None:
        """A cancel is a client that went, a refusal an answer, anything else unknown."""
        for error, end, word, status in (
            (CancelledError(), End.CLIENT_GONE, "client_abort", 499),
            (UpstreamBusy(why="queue"), End.REFUSED, "refused:upstream_busy/queue", 503),
            (ZeroDivisionError(), End.FAILED, "unknown", 500),
        ):
            with self.subTest(error=error):
                outcome = Outcome.of(error, Usage(prompt_tokens=3), "a")
                self.assertEqual((outcome.end, outcome.word, outcome.status), (end, word, status))
                self.assertEqual((outcome.usage, outcome.backend), (Usage(prompt_tokens=3), "a"))


class PrincipalTests(SynchronousTestCase):
    def test_ids_as_text(self) -> None:
        """The text is that of the ids, also in a changed copy, and makes no difference."""
        principal = made_principal(tenant_id=UUID(int=7))
        self.assertEqual(principal.tenant, "00000000-0000-0000-0000-000000000007")
        self.assertEqual(principal.key, str(principal.key_id))
        self.assertEqual(made_principal(), made_principal(tenant_id=TENANT))
        self.assertNotIn("tenant=", repr(principal))


class SecrecyTests(SynchronousTestCase):
    def test_prompts(self) -> None:
        """A call's text does not show what was asked."""
        request = made_request(body={"prompt": "canary"})
        self.assertNotIn("canary", repr(made_call(request=request)))

    def test_hashes(self) -> None:
        """Nor a row's text the hash of its key."""
        row = record_of(made_key(1))
        self.assertNotIn(row.secret_hash, repr(row))
