"""The fields of the record."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import MAX_USER_AGENT, arrival_event, call_event
from neuronetz_twisted.testing.calls import (
    KEY_ID,
    TENANT,
    made_arrival,
    made_principal,
    made_request,
    made_ticket,
)
from neuronetz_twisted.vocabulary import End, Outcome

OUTCOME = Outcome(end=End.COMPLETE, word="ok", status=200)


class EventTests(SynchronousTestCase):
    def test_who(self) -> None:
        """Tenant, key and prefix where they are known, else nothing."""
        nobody = arrival_event(made_arrival(), 401, "x", 0.0)
        self.assertEqual([nobody[name] for name in ("tenant", "key", "prefix")], [None] * 3)
        known = made_arrival(principal=made_principal())
        somebody = arrival_event(known, 403, "x", 0.0)
        self.assertEqual(somebody["tenant"], str(TENANT))
        self.assertEqual(somebody["key"], str(KEY_ID))

    def test_long_user_agents_are_cut(self) -> None:
        """A client's words are bounded."""
        ticket = made_ticket(arrival=made_arrival(user_agent="x" * 1000))
        self.assertEqual(call_event(ticket, OUTCOME, 0.0)["user_agent"], "x" * MAX_USER_AGENT)

    def test_plain_values(self) -> None:
        """Only values that any store can hold; no part of a prompt."""
        secret = made_request(body={"messages": [{"content": "canary"}]})
        event = call_event(made_ticket(request=secret), OUTCOME, 0.0)
        self.assertNotIn("canary", repr(event))
        for value in event.values():
            self.assertIn(type(value), {str, int, float, bool, type(None)})

    def test_no_first_byte(self) -> None:
        """A call without an answer has no time to it."""
        self.assertIsNone(call_event(made_ticket(), OUTCOME, 0.0)["first_byte_ms"])
