"""Connections that are never a request: bounded in number and memory, and in nobody's way."""

import resource
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.operations.descriptors import raise_limit
from tests.figures import EXACT, within
from tests.gateway import own_stack, shared_stack
from tests.half_open import BEGINNING, WITHOUT_ADDRESSES, HalfOpen
from tests.http_client import ask, chat
from tests.processes import eventually
from tests.slow_reading import resident

SMALL = 600
AT_ONCE = 500
"""Few requests between, for all must be here before the first is gone: 10 s."""

OURS = 500
"""Descriptors that this process keeps for itself."""

MOST_EACH = 64 * 1024
PADDED = BEGINNING + b"x" * 12_000
LONG = 2500
"""Below the 32 MiB of heads in all."""


def many() -> int:
    """As many connections as this process may have, in a long run."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(soft - OURS, 15_000) if EXACT else SMALL


class HalfOpenTests(SynchronousTestCase):
    skip = WITHOUT_ADDRESSES

    def setUp(self) -> None:
        """As many descriptors as the system grants, here and in the gateway that is started."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        raise_limit()

    def costs(self, count: int, beginning: bytes) -> None:
        """So many are all there, cost little, and are in nobody's way."""
        stack = own_stack(self, GATEWAY_MAX_CONNECTIONS=str(count + 100))
        key = stack.new_key()
        body = chat("hi", stream=False)
        for _ in range(20):
            ask(stack.port, "POST", "/api/chat", body, key=key)
        before, slowest = resident(stack), 0.0
        with HalfOpen(stack.port) as crowd:
            while len(crowd.sockets) < count:
                crowd.open(min(AT_ONCE, count - len(crowd.sockets)), beginning=beginning)
                answer = ask(stack.port, "POST", "/api/chat", body, key=key)
                self.assertEqual(answer.status, 200)
                slowest = max(slowest, answer.seconds)
            grown, closed = resident(stack) - before, crowd.closed()
            self.assertEqual(closed, 0)
            each = grown / (len(crowd.sockets) - closed)
        sys.stderr.write(
            f"\n{count} half-open connections of {len(beginning)} bytes: {each:.0f} bytes each; "
            f"slowest request meanwhile {slowest * 1000:.0f} ms\n"
        )
        self.assertTrue(each <= MOST_EACH, f"{each} bytes each")
        self.assertTrue(slowest < within(1.0), f"{slowest} s")

    def test_many(self) -> None:
        """Each costs little, and requests with a key are served meanwhile."""
        self.costs(many(), BEGINNING)

    def test_long_heads(self) -> None:
        """The same for as many long beginnings of heads as may be held in all."""
        self.costs(min(many(), LONG), PADDED)

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
