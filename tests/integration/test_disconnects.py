"""A client that goes takes its request at the model host with it, in every phase (SPEC 2, R5)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.disconnects import PHASES, seconds_until_noticed
from tests.figures import within
from tests.gateway import marker, shared_stack
from tests.http_client import Caller, ask, chat, request_bytes
from tests.processes import eventually
from tests.slow_reading import slow_stream

NOTICED_S = within(0.5)
"""Ten times what is promised, since other tests run beside this one; `tests/long` is strict."""


class ClosingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key."""
        self.stack = shared_stack()
        self.key = self.stack.new_key()

    def test_every_phase(self) -> None:
        """The model host sees the connection closed at once, whatever it was doing."""
        for phase in PHASES:
            seconds = seconds_until_noticed(self.stack, self.key, phase)
            self.assertTrue(seconds < NOTICED_S, f"{phase.name}: {seconds} s")

    def test_a_client_that_had_stopped_reading(self) -> None:
        """It is noticed also while the answer is held back for it."""
        with slow_stream(self.stack, self.key) as stream:
            stream.frames_when_held()
            stream.caller.hang_up()
            eventually(lambda: stream.state == "peer_closed", 2)

    def test_half_a_request(self) -> None:
        """A client that goes before its body is complete reaches no model host."""
        word = marker()
        request = request_bytes("POST", "/api/chat", chat(word), key=self.key)
        with Caller(self.stack.port, request[:-3]) as caller:
            caller.hang_up()
        self.assertEqual(ask(self.stack.port, "GET", "/api/tags", key=self.key).status, 200)
        self.assertNotIn(word, str(self.stack.mock.seen()))

    def test_the_record(self) -> None:
        """The operator reads that it was the client who went."""
        word = marker()
        prompt = f"{word} [[n=1000 delay=20ms]]"
        request = request_bytes(
            "POST", "/api/chat", chat(prompt), key=self.key, headers={"X-Request-ID": word}
        )
        with Caller(self.stack.port, request) as caller:
            caller.read_until(b"You")
            caller.hang_up()
        eventually(lambda: word in self.stack.gateway.output)
        line = next(line for line in self.stack.gateway.output.splitlines() if word in line)
        self.assertIn('"outcome":"client_abort"', line)
