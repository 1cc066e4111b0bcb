"""Connections that are never a request: bounded in number and memory, and in nobody's way."""

import resource
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.figures import EXACT, within
from tests.gateway import own_stack, shared_stack
from tests.half_open import BEGINNING, HalfOpen
from tests.http_client import ask, chat
from tests.processes import eventually
from tests.slow_reading import resident

SMALL = 600
OURS = 500
"""Descriptors that this process keeps for itself."""

MOST_EACH = 64 * 1024
PADDED = BEGINNING + b"x" * 12_000


def many() -> int:
    """As many connections as this process may have, in a long run."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(soft - OURS, 15_000) if EXACT else SMALL


class HalfOpenTests(SynchronousTestCase):
    def test_many(self) -> None:
        """Each costs little, and requests with a key are served meanwhile."""
        stack = own_stack(self, GATEWAY_MAX_CONNECTIONS=str(many() + 100))
        key = stack.new_key()
        body = chat("hi", stream=False)
        for _ in range(20):
            ask(stack.port, "POST", "/api/chat", body, key=key)
        before, slowest = resident(stack), 0.0
        with HalfOpen(stack.port) as crowd:
            while len(crowd.sockets) < many():
                crowd.open(100, beginning=PADDED)
                answer = ask(stack.port, "POST", "/api/chat", body, key=key)
                self.assertEqual(answer.status, 200)
                slowest = max(slowest, answer.seconds)
            each = (resident(stack) - before) / len(crowd.sockets)
            count = len(crowd.sockets)
        sys.stderr.write(
            f"\n{count} half-open connections: {each:.0f} bytes each; "
            f"slowest request meanwhile {slowest * 1000:.0f} ms\n"
        )
        self.assertTrue(each <= MOST_EACH, f"{each} bytes each")
        self.assertTrue(slowest < within(1.0), f"{slowest} s")

    def test_limit_in_all(self) -> None:
        """Beyond the limit the oldest is closed, so that whoever comes next can ask."""
        limit = many() // 2
        stack = own_stack(self, GATEWAY_MAX_CONNECTIONS=str(limit))
        key = stack.new_key()
        with HalfOpen(stack.port) as crowd:
            crowd.open(many())
            eventually(lambda: crowd.closed() >= many() - limit)
            for _ in range(20):
                answer = ask(stack.port, "GET", "/api/tags", key=key)
                self.assertEqual(answer.status, 200)

    def test_limit_per_address(self) -> None:
        """One address has its share and no more; others do not notice."""
        stack = own_stack(self, GATEWAY_MAX_CONNECTIONS_PER_ADDRESS="50")
        with HalfOpen(stack.port) as crowd:
            crowd.open(120, source="127.77.9.9")
            eventually(lambda: crowd.closed() == 70)
            self.assertEqual(ask(stack.port, "GET", "/healthz").status, 200)

    def test_they_end_by_themselves(self) -> None:
        """Each is told 408 at its deadline."""
        stack = shared_stack()
        with HalfOpen(stack.port) as crowd:
            crowd.open(20)
            began = time.monotonic()
            eventually(lambda: crowd.closed() == 20, 30.0)
            self.assertTrue(time.monotonic() - began > 9.0)
            for connection in crowd.sockets:
                self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 408 "))
