"""What the record says of each way that a request may go, and where it is kept."""

from typing import Any
from uuid import UUID

from attrs import evolve
from twisted.internet.defer import Deferred

from neuronetz_twisted.admission.estimates import BYTES_PER_TOKEN
from neuronetz_twisted.errors import AuditUnavailable, InvalidApiKey, NotAllowed
from neuronetz_twisted.settlement import settle
from neuronetz_twisted.settlement.settle import LISTS_PER_KEY, PORTION
from neuronetz_twisted.testing.audit import FakeSlot
from neuronetz_twisted.testing.calls import (
    GRANT,
    REQUEST_ID,
    TENANT,
    made_arrival,
    made_principal,
    made_request,
    made_ticket,
)
from neuronetz_twisted.vocabulary import End, Outcome, Usage
from tests.unit.settlement.settling import OK, SettlementTestCase

ARRIVAL = made_arrival(route="GET /api/tags", received=1.0)
KNOWN = made_arrival(route="GET /api/pull", received=1.0, principal=made_principal())


class SettleTests(SettlementTestCase):
    def test_settled(self) -> None:
        """An admitted call, with its cost and its time, in its slot and in the log."""
        record = self.settled(made_ticket(arrival=ARRIVAL))
        self.assertEqual(self.sink.events, [record])
        self.assertEqual(self.trail.notes, [])
        for name, value in {
            "id": REQUEST_ID,
            "outcome": "ok",
            "status": 200,
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "charged": 5,
            "count": 1,
            "estimated": False,
            "bytes_sent": 9,
            "first_byte_ms": 250.0,
            "duration_ms": 2000.0,
            "backend": "default",
            "model": "llama3:latest",
        }.items():
            self.assertEqual(record[name], value, name)
        self.assertNotIn("prompt_log", record)

    def test_prompt_log(self) -> None:
        """The text of a key that asks for it is handed on; the record says what became of it."""
        self.prompts.word = "dropped"
        ticket = made_ticket(principal=made_principal(prompt_logging=True))
        self.assertEqual(self.settled(ticket)["prompt_log"], "dropped")
        self.assertEqual(self.prompts.taken, [ticket])

    def test_no_prompt_log(self) -> None:
        """That of any other key is not."""
        self.settled(made_ticket())
        self.assertEqual(self.prompts.taken, [])


class ChargeTests(SettlementTestCase):
    """What the limiter hears of a call's end (SPEC 7)."""

    USAGE = Usage(prompt_tokens=3, completion_tokens=2)

    def test_each_end(self) -> None:
        """The cost that the record charges: what was used, of what nobody knows all of it."""
        for end in End:
            for usage in (self.USAGE, Usage()):
                with self.subTest(end=end, usage=usage):
                    self.setUp()
                    outcome = Outcome(end=end, word=end.value, status=200, usage=usage)
                    record = self.settled(made_ticket(), outcome)
                    used = usage.prompt_tokens + usage.completion_tokens
                    cost = GRANT.reservation if end is End.FAILED else used
                    self.assertEqual(self.limiter.settled, {REQUEST_ID: cost})
                    self.assertEqual(record["charged"], cost)
                    self.assertEqual(self.limiter.released, [])

    def test_last_reservation(self) -> None:
        """Of an unknown end all that was reserved last, leases that were drawn among it."""
        unknown = Outcome(end=End.FAILED, word="unknown", status=500, usage=self.USAGE)
        for has_budget in (False, True):
            self.setUp()
            ticket = evolve(made_ticket(), grant=evolve(GRANT, has_budget=has_budget))
            ticket.slot.extend(515)
            ticket.slot.extend(771)
            self.assertEqual(self.settled(ticket, unknown)["charged"], 771)
            self.assertEqual(self.limiter.settled, {REQUEST_ID: 771})

    def test_leases_of_a_known_end(self) -> None:
        """Leases that were not used up cost nothing."""
        ticket = made_ticket()
        ticket.slot.extend(771)
        self.assertEqual(self.settled(ticket)["charged"], 5)
        self.assertEqual(self.limiter.settled, {REQUEST_ID: 5})

    def test_no_record(self) -> None:
        """A fault of ours there must not keep the slot of a call that has ended."""
        ticket = made_ticket()
        self.patch(FakeSlot, "complete", None)
        self.assertRaises(TypeError, self.settlement.settle, ticket, OK)
        self.assertEqual((self.limiter.settled, self.sink.events), ({REQUEST_ID: 5}, []))

    def test_others(self) -> None:
        """What was not admitted costs nothing."""
        self.settlement.refused(KNOWN, NotAllowed(why="path"))
        self.settlement.answered(KNOWN, 7)
        self.settlement.left(KNOWN)
        self.assertEqual((self.limiter.settled, self.limiter.released), ({}, []))


class EstimateTests(SettlementTestCase):
    """What a model host counts teaches the estimate of its model's prompts."""

    def ratio(self, *, end: End = End.COMPLETE, estimated: bool = False) -> float:
        """The bytes that a token is taken for after many answers of one byte a token."""
        usage = Usage(prompt_tokens=1000, completion_tokens=2, estimated=estimated)
        outcome = Outcome(end=end, word=end.value, status=200, usage=usage)
        for _ in range(100):
            self.settled(made_ticket(request=made_request(prompt_bytes=1000)), outcome)
        self.assertEqual(self.estimates.ratio(str(TENANT), "llama3"), BYTES_PER_TOKEN)
        return self.estimates.ratio(str(TENANT), "llama3:latest")

    def test_whole(self) -> None:
        """A whole answer with counts of its own."""
        self.assertLess(self.ratio(), 1.1)

    def test_estimated(self) -> None:
        """Not what was only estimated: nobody learns from himself."""
        self.assertEqual(self.ratio(estimated=True), BYTES_PER_TOKEN)

    def test_not_whole(self) -> None:
        """Nor from an answer that did not come to its end."""
        for end in set(End) - {End.COMPLETE}:
            with self.subTest(end=end):
                self.assertEqual(self.ratio(end=end), BYTES_PER_TOKEN)


class NoteTests(SettlementTestCase):
    def test_not_admitted(self) -> None:
        """Refused, answered from a list, or left: status and outcome, in the spool and the log."""
        self.settlement.refused(ARRIVAL, InvalidApiKey(why="revoked"))
        self.settlement.answered(ARRIVAL, 7)
        self.settlement.left(ARRIVAL)
        recorded = [(event["status"], event["outcome"]) for event in self.trail.notes]
        self.assertEqual(
            recorded,
            [(401, "refused:invalid_api_key/revoked"), (200, "ok"), (499, "client_abort")],
        )
        self.assertEqual([event["bytes_sent"] for event in self.trail.notes], [0, 7, 0])
        self.assertEqual({event["duration_ms"] for event in self.trail.notes}, {2000.0})
        self.assertEqual(self.sink.events, self.trail.notes)

    def test_no_room_for_a_list(self) -> None:
        """A list that cannot be put on record is not answered, whatever the reason."""
        for denies, why in ((None, "full"), ("io", "io")):
            self.trail.denies, self.trail.full = denies, True
            with self.assertRaises(AuditUnavailable) as caught:
                self.settlement.answered(ARRIVAL, 7)
            self.assertEqual(caught.exception.why, why)
        self.assertEqual(self.sink.events, [])

    def test_no_room_for_a_refusal(self) -> None:
        """It is in the log all the same."""
        self.trail.full = True
        self.settlement.refused(ARRIVAL, InvalidApiKey(why="revoked"))
        self.assertEqual(
            (self.sink.outcomes, self.trail.notes), (["refused:invalid_api_key/revoked"], [])
        )


class CountTests(SettlementTestCase):
    def refused(self, count: int, **changes: Any) -> None:
        """Refuse a request so many times."""
        for _ in range(count):
            self.settlement.refused(made_arrival(**changes), InvalidApiKey(why="unknown"))

    def counts(self) -> list[object]:
        """Of how many refusals each record speaks."""
        return [event["count"] for event in self.trail.notes]

    def test_beyond_the_rate(self) -> None:
        """The first ones are recorded by themselves, the others in one; the log has them all."""
        self.refused(5)
        self.assertEqual(self.counts(), [1, 1])
        self.settlement.minute_over()
        self.assertEqual(self.counts(), [1, 1, 3])
        self.assertEqual(len(self.sink.events), 5)
        self.settlement.minute_over()
        self.refused(2)
        self.assertEqual(self.counts(), [1, 1, 3, 1, 1])

    def test_places(self) -> None:
        """Strangers are counted by their bucket, those with a key by that, and apart."""
        self.refused(1)
        self.refused(1, address="192.0.2.2")
        self.refused(1, address="192.0.2.3")
        self.refused(1, address="198.51.100.1")
        self.assertEqual(self.counts(), [1, 1, 1])
        for _ in range(3):
            self.settlement.refused(KNOWN, NotAllowed(why="path"))
        self.assertEqual(self.counts(), [1] * 4)
        self.settlement.minute_over()
        known, stranger = self.trail.notes[4:]
        self.assertEqual((known["key"], known["count"]), (KNOWN.principal.key, 2))  # type: ignore[union-attr] # made with one
        self.assertEqual((stranger["address"], stranger["count"]), ("192.0.2.3", 1))

    def test_lists(self) -> None:
        """Lists of one key too; the record that counts them has the bytes of all, the log each."""
        for _ in range(LISTS_PER_KEY + 2):
            self.settlement.answered(KNOWN, 7)
        self.assertEqual(self.counts(), [1] * LISTS_PER_KEY)
        self.settlement.answered(made_arrival(principal=made_principal(key_id=UUID(int=9))), 7)
        self.assertEqual(len(self.trail.notes), LISTS_PER_KEY + 1)
        self.settlement.minute_over()
        counted = self.trail.notes[-1]
        self.assertEqual((counted["outcome"], counted["count"]), ("ok", 2))
        self.assertEqual(counted["bytes_sent"], 14)
        self.assertEqual(len(self.sink.events), LISTS_PER_KEY + 3)

    def test_a_counted_list_is_denied(self) -> None:
        """No list is answered while nothing can be recorded, also where it would be counted."""
        for _ in range(LISTS_PER_KEY):
            self.settlement.answered(KNOWN, 7)
        self.trail.denies = "io"
        self.assertRaises(AuditUnavailable, self.settlement.answered, KNOWN, 7)

    def test_portions(self) -> None:
        """At a minute's end only so many are written in one turn; a later end waits for all."""
        for number in range(2 * PORTION + 5):
            for _ in range(3):
                self.settlement.refused(made_arrival(address=f"{number}.x"), InvalidApiKey())
        self.trail.notes.clear()
        turns: list[Deferred[None]] = [Deferred(), Deferred()]
        begun = iter(turns)
        self.patch(settle, "deferLater", lambda *_: next(begun))
        done, again = self.settlement.minute_over(), self.settlement.minute_over()
        for turn, written in zip(turns, (PORTION, 2 * PORTION), strict=True):
            self.assertEqual(len(self.trail.notes), written)
            self.assertNoResult(again)
            turn.callback(None)
        self.assertEqual(len(self.trail.notes), 2 * PORTION + 5)
        self.successResultOf(done)
        self.successResultOf(again)

    def test_those_who_leave(self) -> None:
        """A client that goes before it is admitted is no way around."""
        for _ in range(3):
            self.settlement.left(ARRIVAL)
        self.assertEqual(self.counts(), [1, 1])
