"""The fields of the record."""

import re

import orjson
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import (
    MAX_RECORD,
    MAX_USER_AGENT,
    arrival_event,
    call_event,
    charge_of,
    day_of,
    intent_event,
    plain,
    record_of,
)
from neuronetz_twisted.testing.calls import (
    GRANT,
    KEY_ID,
    TENANT,
    made_arrival,
    made_call,
    made_model,
    made_principal,
    made_request,
    made_ticket,
)
from neuronetz_twisted.vocabulary import End, Outcome, Usage

OUTCOME = Outcome(end=End.COMPLETE, word="ok", status=200)
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=2000)
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class PlainTests(SynchronousTestCase):
    def test_written_out(self) -> None:
        """Controls and lone surrogates are visible; all else is as it was."""
        for text, expected in (
            ("curl/8.1 (x; ü)", "curl/8.1 (x; ü)"),
            ("a\x00b\x1b[31m\x7f\x85", "a\\x00b\\x1b[31m\\x7f\\x85"),
            ("\ud800\udfff", "\\ud800\\udfff"),
            ("\u2028\u200b\U0001f600", "\u2028\u200b\U0001f600"),
            ("", ""),
        ):
            with self.subTest(expected=expected):
                self.assertEqual(plain(text, 200), expected)

    @given(ANY_TEXT, st.integers(0, 200))
    def test_fit(self, text: str, limit: int) -> None:
        """Whatever the text, the result is short, and UTF-8 without a control."""
        made = plain(text, limit)
        self.assertTrue(len(made) <= limit)
        self.assertIsNone(HARMFUL.search(made))
        made.encode()


class EventTests(SynchronousTestCase):
    def test_who(self) -> None:
        """Tenant, key and prefix where they are known, else nothing."""
        nobody = arrival_event(made_arrival(), 401, "x", 0.0)
        self.assertEqual([nobody[name] for name in ("tenant", "key", "prefix")], [None] * 3)
        known = made_arrival(principal=made_principal())
        somebody = arrival_event(known, 403, "x", 0.0)
        self.assertEqual(somebody["tenant"], str(TENANT))
        self.assertEqual(somebody["key"], str(KEY_ID))

    def test_when(self) -> None:
        """The moment of the arrival to the microsecond, and its day."""
        event = arrival_event(made_arrival(at=1_700_000_000_000_001), 401, "x", 0.0)
        self.assertEqual((event["at"], event["day"]), (1_700_000_000_000_001, "2023-11-14"))

    def test_the_day_that_is_charged(self) -> None:
        """A call's day is that of its admission, which may be another than that of its arrival."""
        call = made_call()
        grant = evolve(GRANT, day="2023-11-15")
        intent = intent_event(call, call.principal, made_model(), grant)
        self.assertEqual((intent["at"], intent["day"]), (call.arrival.at, "2023-11-15"))
        final = call_event(evolve(made_ticket(), intent=intent), OUTCOME, 0.0)
        self.assertEqual(final["day"], "2023-11-15")

    def test_days(self) -> None:
        """A day begins at midnight in UTC."""
        midnight = 1_700_006_400_000_000
        days = [day_of(midnight + microseconds) for microseconds in (-1, 0)]
        self.assertEqual(days, ["2023-11-14", "2023-11-15"])

    def test_long_user_agents_are_cut(self) -> None:
        """A client's words are bounded."""
        ticket = made_ticket(arrival=made_arrival(user_agent="x" * 1000))
        self.assertEqual(call_event(ticket, OUTCOME, 0.0)["user_agent"], "x" * MAX_USER_AGENT)

    def test_plain_values(self) -> None:
        """Only values that any store can hold; no part of a prompt or of an answer."""
        secret = made_request(body={"messages": [{"content": "canary"}]})
        outcome = Outcome(end=End.COMPLETE, word="ok", status=200, answer=b"canary")
        event = call_event(made_ticket(request=secret), outcome, 0.0)
        self.assertNotIn("canary", repr(event))
        for value in event.values():
            self.assertIn(type(value), {str, int, float, bool, type(None)})

    def test_no_first_byte(self) -> None:
        """A call without an answer has no time to it."""
        self.assertIsNone(call_event(made_ticket(), OUTCOME, 0.0)["first_byte_ms"])

    def test_charged(self) -> None:
        """What was used; of what nobody knows, the reservation; of no call, nothing."""
        used = Outcome(
            end=End.CUT, word="cut", status=200, usage=Usage(prompt_tokens=3, completion_tokens=4)
        )
        unknown = Outcome(end=End.FAILED, word="unknown", status=500)
        ticket = made_ticket()
        events = [call_event(ticket, outcome, 0.0) for outcome in (used, unknown)]
        events.append(arrival_event(made_arrival(), 200, "ok", 0.0))
        self.assertEqual([event["charged"] for event in events], [7, GRANT.reservation, 0])
        self.assertEqual([event.get("estimated") for event in events], [False, True, None])

    def test_charge(self) -> None:
        """What the limiter hears is what the record charges; no other kind of value counts."""
        for charged, cost in ((7, 7), (0, 0), (None, 0), ("7", 0)):
            self.assertEqual(charge_of({"charged": charged}), cost)

    def test_intent(self) -> None:
        """What the final event says of who, when and what, and the reservation; no outcome."""
        call = made_call()
        grant = evolve(GRANT, num_predict=74, day="2023-11-15")
        intent = intent_event(call, call.principal, made_model(), grant)
        self.assertEqual(intent["reservation"], 77)
        final = call_event(evolve(made_ticket(), intent=intent), OUTCOME, 0.0)
        self.assertEqual(intent, {name: final[name] for name in intent})
        self.assertNotIn("outcome", intent)

    @given(ANY_TEXT)
    def test_any_words(self, text: str) -> None:
        """Whatever a client or a model host calls itself, the record is short and is UTF-8."""
        arrival = made_arrival(
            client_id=text * 9, user_agent=text * 9, address=text * 9, route=text * 9
        )
        call = made_call(arrival=arrival)
        ticket = made_ticket(arrival=arrival)
        grant = evolve(GRANT, num_predict=1 << 40)
        outcome = Outcome(end=End.COMPLETE, word=text * 9, status=200, backend=text * 9)
        for event in (
            intent_event(call, call.principal, made_model(text * 9), grant),
            call_event(ticket, outcome, 1e9),
            arrival_event(arrival, 200, text * 9, 0.0),
        ):
            record = record_of(event)
            self.assertTrue(len(record) < MAX_RECORD)
            self.assertEqual(orjson.loads(record), event)
