"""Clients that hold a connection with a byte now and then, in real time (SPEC 8)."""

import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import Stack, shared_stack
from tests.slow_sending import Ended, dribble

LATE_S = 1.0
"""Room for a tick of the deadlines and a busy machine."""

HEAD_S = 10.0
BODY_S = 10.0


class SlowSenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway with a key."""
        self.stack: Stack = shared_stack()
        self.key = self.stack.new_key()

    def ended(self, name: str, ended: Ended, deadline_s: float) -> None:
        """The client was told 408 in JSON, at the deadline."""
        sys.stderr.write(f"\n{name}: answered after {ended.seconds:.2f} s\n")
        self.assertTrue(ended.answer.startswith(b"HTTP/1.1 408 "), ended.answer)
        self.assertIn(b'"code":"request_timeout"', ended.answer)
        self.assertTrue(deadline_s - 0.1 <= ended.seconds <= deadline_s + LATE_S, ended.seconds)

    def test_head(self) -> None:
        """A byte each 0.4 s does not extend the ten seconds of a head."""
        line = b"GET /api/tags HTTP/1.1\r\nHost: x\r\nX-Slow: "
        self.ended("head", dribble(self.stack.port, line, b"a" * 60, 20.0), HEAD_S)

    def test_body(self) -> None:
        """Nor the time of a body, which starts when it is asked for."""
        head = (
            b"POST /api/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
            b"Content-Length: 1000\r\n\r\n" % self.key.encode()
        )
        self.ended("body", dribble(self.stack.port, head, b" " * 60, 20.0), BODY_S)
