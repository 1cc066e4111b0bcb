"""Every entry against a gateway in memory, whole and in pieces."""

from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.testing.upstream import chat_frame
from tests.unit.edge.house import KEY as HOUSE_KEY
from tests.wire.corpus import THEMES
from tests.wire.entry import AUTH, HOST, KEY, STREAMED, Entry, chat, request, tags
from tests.wire.memory import WireHouse, disagreements
from tests.wire.responses import read_responses
from tests.wire.segments import at_random, byte_by_byte, whole


def with_key(data: bytes) -> bytes:
    """The key of the house, where there is a placeholder."""
    return data.replace(KEY, HOUSE_KEY.encode())


class MemoryTests(SynchronousTestCase):
    def agree(self, cut: Callable[[Entry], Sequence[bytes]], *, tail: bytes = b"") -> None:
        """Every theme comes out as it is wanted."""
        found = []
        for theme in THEMES.values():
            found += disagreements(theme, cut, tail=tail)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_whole(self) -> None:
        """Each entry in one piece."""
        self.agree(lambda entry: whole(entry.raw))

    def test_byte_by_byte(self) -> None:
        """Each entry a byte at a time."""
        self.agree(lambda entry: byte_by_byte(entry.raw))

    def test_at_random(self) -> None:
        """Each entry cut at places that do not mean anything."""
        self.agree(at_random)

    def test_nothing_behind_the_end(self) -> None:
        """A request in the same piece behind one that ends the connection is not answered."""
        self.agree(lambda entry: whole(entry.raw), tail=with_key(tags()))


class AnswerTests(SynchronousTestCase):
    def test_head_has_the_fields_of_get(self) -> None:
        """HEAD is answered as GET is, but for the body (RFC 9110 9.3.2)."""
        client = WireHouse().connect()
        client.send(with_key(tags() + request(b"HEAD /api/tags HTTP/1.1", HOST, AUTH)))
        full, head = read_responses(client.value(), [False, True], closed=False)
        for name in ("content-length", "content-type"):
            self.assertEqual(head.fields[name], full.fields[name])
        self.assertEqual(int(head.fields["content-length"]), len(full.body))

    def test_bytes_during_a_stream_end_the_connection(self) -> None:
        """The next request is not answered, and the call ends."""
        house = WireHouse()
        house.upstream.frames = [chat_frame("Hi")]
        client = house.connect()
        client.send(with_key(chat(body=STREAMED)))
        client.send(with_key(tags()))
        self.assertTrue(client.reset)
        client.settle()
        (answer,) = read_responses(client.value(), [False], closed=True)
        self.assertFalse(answer.whole)
        self.assertTrue(house.upstream.streams[0].stopped)
        self.assertEqual([event["route"] for event in house.sink.events], ["POST /api/chat"])
