"""What the tests of the whole surface share: one gateway, asked with the key."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.testing.http import Answer
from tests.unit.edge.house import House

CHAT = b'{"model":"llama3","messages":[{"role":"user","content":"Hi"}]}'
FOLDED = CHAT[:-1] + b',"stream":false}'
VARYING = ("x-request-id", "date")


def fixed(answer: Answer) -> Any:
    """An answer without its id and date."""
    headers = {name: answer.headers[name] for name in answer.headers if name not in VARYING}
    body = answer.body.replace(answer.headers["x-request-id"].encode(), b"-")
    return answer.status, headers, body


class SurfaceTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """One gateway."""
        self.house = House()
        self.upstream = self.house.upstream

    def answered(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask with the key; the whole answer."""
        answer = self.house.ask(method, path, body, **headers).answer()
        self.assertTrue(answer.whole)
        return answer

    def tearDown(self) -> None:
        """Nobody has logged a fault, and each request was recorded once."""
        self.assertEqual(self.flushLoggedErrors(), [])
        for events in (self.house.sink.events, self.house.trail.records):
            ids = [event["id"] for event in events]
            self.assertEqual(len(ids), len(set(ids)))
