"""What the fuzzers have found, in as few steps as it takes."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.responses import CONTINUE
from tests.unit.edge.house import KEY
from tests.wire.entry import FOLDED, chat, tags
from tests.wire.entry import KEY as PLACEHOLDER
from tests.wire.memory import SlowConnection, WireHouse

DEADLINES_S = 40.0
"""Longer than a head or a body may take, shorter than an idle connection lasts."""

LATE = b"HTTP/1.1 408 Request Timeout\r\n"


class FoundTests(SynchronousTestCase):
    def test_a_slow_reader_may_not_send_a_body_for_ever(self) -> None:
        """That it has read everything does not take the deadline from the body it owes."""
        client = self.slow_client(chat(b"Expect: 100-continue")[: -len(FOLDED)])
        self.assertTrue(client.value().startswith(CONTINUE))
        client.clear()
        client.drain()
        self.house.pass_time(DEADLINES_S)
        self.assertTrue(client.value().startswith(LATE), client.value())

    def test_a_slow_reader_may_not_send_a_head_for_ever(self) -> None:
        """Nor from a head."""
        client = self.slow_client(tags() + tags()[:-1])
        client.clear()
        client.drain()
        self.house.pass_time(DEADLINES_S)
        self.assertTrue(client.value().startswith(LATE), client.value())

    def slow_client(self, data: bytes) -> SlowConnection:
        """A client that does not read what it is answered."""
        self.house = WireHouse()
        client = self.house.connect()
        client.fill()
        client.send(data.replace(PLACEHOLDER, KEY.encode()))
        self.assertTrue(client.paused)
        return client
