"""A client that does not read costs no memory: the model host is made to wait (SPEC 2, R5)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.http_client import ask, chat
from tests.slow_reading import FRAMES, MOST_GROWTH, SlowStream, slow_stream, warm_up


class SlowReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway that has seen such streams before."""
        self.stack = shared_stack()
        self.key = self.stack.new_key()
        warm_up(self.stack, self.key)

    def watch(self, stream: SlowStream) -> None:
        """See the model host held back for a second, early in the stream, at no cost."""
        sent = stream.frames_when_held()
        self.assertTrue(sent < FRAMES / 2, f"{sent} frames sent")
        self.assertTrue(stream.growth < MOST_GROWTH, f"{stream.growth} bytes more")

    def test_native(self) -> None:
        """Most of the stream stays with the model host, and none of it in our memory."""
        with slow_stream(self.stack, self.key) as stream:
            self.watch(stream)

    def test_openai(self) -> None:
        """The same where every frame is translated."""
        with slow_stream(self.stack, self.key, "/v1/chat/completions") as stream:
            self.watch(stream)

    def test_it_goes_on(self) -> None:
        """A client that reads again gets all of it; others are served meanwhile."""
        with slow_stream(self.stack, self.key) as stream:
            self.watch(stream)
            body = chat("hi", stream=False)
            answer = ask(self.stack.port, "POST", "/api/chat", body, key=self.key)
            self.assertEqual(answer.status, 200)
            received = stream.caller.read_to_end()
        self.assertEqual(received.count(b'"done":false'), FRAMES)
        self.assertEqual(received.count(b'"done":true'), 1)
        self.assertTrue(received.endswith(b"\r\n0\r\n\r\n"))
