"""What the record says of each way that a request may go."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import InvalidApiKey
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.testing.calls import RecordingSink, made_arrival, made_ticket
from neuronetz_twisted.vocabulary import End, Outcome, Usage

ARRIVAL = made_arrival(route="GET /api/tags", received=1.0)


class SettlementTests(SynchronousTestCase):
    def setUp(self) -> None:
        """It is second three."""
        self.clock = Clock()
        self.clock.advance(3)
        self.sink = RecordingSink()
        self.settlement = Settlement(self.clock, self.sink)

    def test_settled(self) -> None:
        """An admitted call, with its cost and its time."""
        outcome = Outcome(
            end=End.COMPLETE,
            word="ok",
            status=200,
            usage=Usage(prompt_tokens=3, completion_tokens=2),
            bytes_sent=9,
            first_byte_after=0.25,
            backend="default",
        )
        self.settlement.settle(made_ticket(arrival=ARRIVAL), outcome)
        (event,) = self.sink.events
        for name, value in {
            "id": "the-id",
            "outcome": "ok",
            "status": 200,
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "estimated": False,
            "bytes_sent": 9,
            "first_byte_ms": 250.0,
            "duration_ms": 2000.0,
            "backend": "default",
            "model": "llama3:latest",
        }.items():
            self.assertEqual(event[name], value, name)

    def test_not_admitted(self) -> None:
        """Refused, answered from a list, or left: status and outcome."""
        self.settlement.refused(ARRIVAL, InvalidApiKey(why="revoked"))
        self.settlement.answered(ARRIVAL, 7)
        self.settlement.left(ARRIVAL)
        recorded = [(event["status"], event["outcome"]) for event in self.sink.events]
        self.assertEqual(
            recorded,
            [(401, "refused:invalid_api_key/revoked"), (200, "ok"), (499, "client_abort")],
        )
        self.assertEqual([event["bytes_sent"] for event in self.sink.events], [0, 7, 0])
        self.assertEqual({event["duration_ms"] for event in self.sink.events}, {2000.0})
