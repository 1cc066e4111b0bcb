"""Who sends much that nobody wants still reads why (SPEC 8)."""

from twisted.trial.unittest import SynchronousTestCase

from tests.figures import EXACT
from tests.gateway import Stack, shared_stack
from tests.slow_sending import send_all_at_once

SIZE = 20_000_000
RUNS = 100 if EXACT else 10


class EarlyAnswerTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway with a key."""
        self.stack: Stack = shared_stack()
        self.key = self.stack.new_key()

    def answers(self, authorization: str) -> list[bytes]:
        """What each of many such clients reads."""
        head = (
            f"POST /api/chat HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {SIZE}\r\n\r\n"
        )
        return [send_all_at_once(self.stack.port, head.encode(), SIZE) for _ in range(RUNS)]

    def test_too_large(self) -> None:
        """Twenty megabytes at a 413: each client reads it whole, and nothing else."""
        for answer in self.answers(f"Authorization: Bearer {self.key}\r\n"):
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)
            self.assertIn(b'"code":"request_too_large"', answer)

    def test_unknown_caller(self) -> None:
        """The same for one without a key."""
        for answer in self.answers(""):
            self.assertTrue(answer.startswith(b"HTTP/1.1 401 "), answer)
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)
