"""Which records of a batch are admitted calls, and what is told of them."""

from datetime import date
from typing import Any
from uuid import UUID

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.adoption import unknown_record
from neuronetz_twisted.audit.charges import Charge, admitted_calls, flushed
from neuronetz_twisted.audit.event import arrival_event, call_event, record_of
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.ledger import Flushed, LedgerLine
from neuronetz_twisted.testing.calls import made_arrival, made_ticket
from neuronetz_twisted.vocabulary import End, Outcome, Usage

FIRST, SECOND, KEY, OTHER_KEY = (UUID(int=number) for number in (1, 2, 3, 4))
DAY = date(2031, 5, 15)
CALL = {
    "id": "one",
    "tenant": str(FIRST),
    "key": str(KEY),
    "day": DAY.isoformat(),
    "model": "m",
}


def final(record: bytes) -> Final:
    """A record, whoever wrote it."""
    return Final(UUID(int=9), 1, b"", record)


def ids(*records: bytes) -> list[str]:
    """The calls among these records."""
    return [each for own in admitted_calls(map(final, records)).values() for each in own]


class AdmittedTests(SynchronousTestCase):
    def call(self, **changes: Any) -> Final:
        """The record of a call."""
        return final(orjson.dumps(CALL | changes))

    def test_our_records(self) -> None:
        """Whether it ended or nobody knows how, a call is one; a refusal or a list is none."""
        arrival = made_arrival(id="one")
        ticket = made_ticket(arrival=arrival)
        outcome = Outcome(
            end=End.COMPLETE,
            word="ok",
            status=200,
            usage=Usage(prompt_tokens=1, completion_tokens=0),
            bytes_sent=1,
            first_byte_after=None,
            backend=None,
        )
        self.assertEqual(ids(record_of(call_event(ticket, outcome, 0.0))), ["one"])
        self.assertEqual(ids(unknown_record(record_of(dict(ticket.intent)), 7)), ["one"])
        self.assertEqual(ids(record_of(arrival_event(arrival, 429, "refused", 0.0))), [])

    def test_by_charge(self) -> None:
        """Calls of one key and day are together, however its ids are written."""
        calls = [
            self.call(),
            self.call(id="two", key=str(OTHER_KEY)),
            self.call(id="three", tenant=str(FIRST).upper(), key=KEY.hex),
            self.call(id="four", day="2031-05-16"),
        ]
        self.assertEqual(
            admitted_calls(calls),
            {
                Charge(FIRST, KEY, DAY): ["one", "three"],
                Charge(FIRST, OTHER_KEY, DAY): ["two"],
                Charge(FIRST, KEY, date(2031, 5, 16)): ["four"],
            },
        )

    def test_foreign_records(self) -> None:
        """What is not as we write it is passed over, whatever it is; the others are not."""
        values: list[Any] = [None, 7, "", "no such thing", [], {}, [1], {"a": 1}, 1.5, True]
        broken = [b"", b"no JSON", b"null", b"7", b'"text"', b"[]", b"[1]", b"{}", b"\xff"]
        for name in ("tenant", "key", "day"):
            broken += [orjson.dumps(CALL | {name: value}) for value in values]
        for name in ("id", "model"):
            others = [value for value in values if not isinstance(value, str)]
            broken += [orjson.dumps(CALL | {name: value}) for value in others]
        for name in CALL:
            broken.append(orjson.dumps({at: CALL[at] for at in CALL if at != name}))
        for record in broken:
            self.assertEqual(ids(record), [], record)
        self.assertEqual(ids(*broken, self.call().record, *broken), ["one"])


class FlushedTests(SynchronousTestCase):
    def test_by_tenant(self) -> None:
        """Each tenant is told of its own calls and lines; one without lines of its calls."""
        line = LedgerLine("t", "total", "1970-01-01", 7)
        calls = {
            Charge(FIRST, KEY, DAY): ["one"],
            Charge(SECOND, KEY, DAY): ["two"],
            Charge(FIRST, OTHER_KEY, DAY): ["three"],
        }
        self.assertEqual(
            flushed(calls, {FIRST: [line]}),
            [Flushed(str(FIRST), ["one", "three"], [line]), Flushed(str(SECOND), ["two"], ())],
        )
