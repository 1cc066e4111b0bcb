"""PostgreSQL and Valkey stopped and killed under a running gateway (SPEC 2, R1; SPEC 5, 14)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.gateway import Stack, marker, shared_stack
from tests.http_client import Answer, Caller, ask, burst, chat, request_bytes
from tests.processes import eventually

CACHE_TTL_S = 4.0
REDIS_ANSWER_S = within(0.5)
COLD_ANSWER_S = within(2.0)
BACK_S = within(2.0)
RESTART_S = 10.0
REACTOR_STALL_S = within(0.25)
"""More than any turn of the reactor may take, less than any deadline of a store."""

CROWD = 100


def greet(stack: Stack, key: str) -> Answer:
    """One request that reaches the model host."""
    return ask(stack.port, "POST", "/api/chat", chat("hi", stream=False), key=key)


@contextmanager
def health_watched(case: SynchronousTestCase, stack: Stack) -> Iterator[None]:
    """Ask `/healthz` all the time during the block; each answer must come at once."""
    over, seconds = Event(), [0.0]

    def watch() -> None:
        while not over.wait(0.01):
            answer = ask(stack.port, "GET", "/healthz")
            seconds.append(answer.seconds if answer.status == 200 else float("inf"))

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    case.assertTrue(len(seconds) > 10)
    case.assertTrue(max(seconds) < REACTOR_STALL_S, f"the reactor stood still: {max(seconds)} s")


class OutageTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway whose keys stay warm for seconds only, and two that were never seen."""
        self.stack = shared_stack(REDIS_KEY_CACHE_TTL_S=str(CACHE_TTL_S))
        eventually(self.ready, RESTART_S)
        self.key = self.stack.new_key()
        self.cold_key = self.stack.new_key()

    def ready(self) -> bool:
        """Whether all stores and the model host are there."""
        return ask(self.stack.port, "GET", "/readyz").status == 200

    def warm(self) -> float:
        """Make the key warm; the time from which it is, on the monotonic clock."""
        asked = time.monotonic()
        self.assertEqual(greet(self.stack, self.key).status, 200)
        return asked

    def all_well(self) -> None:
        """Cold keys are verified and revocations are heard of, as ever."""
        key = self.stack.new_key()
        eventually(lambda: greet(self.stack, key).status == 200)
        self.stack.administer("INSERT INTO gateway.revocations (prefix) VALUES (%s)", key[:12])
        eventually(lambda: greet(self.stack, key).status == 401, 1)
        self.assertEqual(ask(self.stack.port, "GET", "/readyz").status, 200)

    def test_valkey_stopped(self) -> None:
        """Everybody is refused within half a second, nobody piles up, all is well at once after."""
        self.warm()
        request = request_bytes("POST", "/api/chat", chat("hi", stream=False), key=self.key)
        with health_watched(self, self.stack), self.stack.frozen("valkey"):
            for _ in range(3):
                answers = burst(self.stack.port, [request] * CROWD)
                self.assertEqual({answer.status for answer in answers}, {503})
                self.assertIn(b'"limits_unavailable"', answers[0].body)
                self.assertTrue(int(answers[0].headers["retry-after"]) > 0)
                slowest = max(answer.seconds for answer in answers)
                self.assertTrue(slowest < REDIS_ANSWER_S, f"{slowest} s")
            self.assertEqual(greet(self.stack, self.cold_key).status, 503)
            self.assertEqual(ask(self.stack.port, "GET", "/readyz").status, 503)
        eventually(lambda: greet(self.stack, self.key).status == 200, BACK_S)
        answers = burst(self.stack.port, [request] * CROWD)
        self.assertEqual({answer.status for answer in answers}, {200})
        self.all_well()

    def test_valkey_stopped_during_a_stream(self) -> None:
        """An answer that is under way goes on to its end."""
        prompt = "hi [[n=50 delay=20ms]]"
        request = request_bytes("POST", "/api/chat", chat(prompt), key=self.key)
        with Caller(self.stack.port, request) as caller:
            caller.read_until(b"said:")
            with self.stack.frozen("valkey"):
                received = caller.read_to_end()
        self.assertIn(b'"done":true', received)
        self.assertTrue(received.endswith(b"0\r\n\r\n"))

    def test_valkey_killed(self) -> None:
        """It is started again, and everything it knew is there again."""
        self.warm()
        for _ in range(2):
            with health_watched(self, self.stack):
                self.stack.kill_server("valkey")
                eventually(lambda: greet(self.stack, self.key).status == 503)
                eventually(lambda: greet(self.stack, self.key).status == 200, RESTART_S)
        self.all_well()

    def test_revoked_while_valkey_was_away(self) -> None:
        """A key revoked before an empty Valkey came back is refused by it."""
        self.warm()
        old = self.stack.server_pid("valkey")
        with self.stack.frozen("valkey"):
            self.stack.administer(
                "INSERT INTO gateway.revocations (prefix) VALUES (%s)", self.key[:12]
            )
        self.stack.kill_server("valkey")
        statuses = []

        def decided() -> bool:
            statuses.append(greet(self.stack, self.key).status)
            return self.stack.server_pid("valkey") != old and statuses[-1] != 503

        eventually(decided, RESTART_S)
        self.assertEqual(statuses[-1], 401)
        self.assertNotIn(200, statuses)

    def ride_out(self, warm_since: float) -> None:
        """Without PostgreSQL: warm for the cache's time and no longer, cold refused quickly."""
        cold = greet(self.stack, self.cold_key)
        self.assertEqual(cold.status, 503)
        self.assertTrue(cold.seconds < COLD_ANSWER_S, f"{cold.seconds} s")
        self.assertIn(b'"auth_unavailable"', cold.body)
        # Half of the time is surely left, whatever the test itself has taken.
        while time.monotonic() < warm_since + CACHE_TTL_S / 2:
            self.assertEqual(greet(self.stack, self.key).status, 200)
        while (answer := greet(self.stack, self.key)).status == 200:
            over = time.monotonic() - answer.seconds - warm_since - CACHE_TTL_S
            self.assertTrue(over < COLD_ANSWER_S / 10, f"still warm {over} s later")
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.seconds < COLD_ANSWER_S, f"{answer.seconds} s")

    def test_postgres_stopped(self) -> None:
        """Warm keys go on for their time, cold ones are refused, and all recovers by itself."""
        with health_watched(self, self.stack):
            warm_since = self.warm()
            with self.stack.frozen("postgres"):
                self.ride_out(warm_since)
                request = request_bytes("GET", "/api/tags", key=self.key)
                crowd = burst(self.stack.port, [request] * CROWD)
                self.assertEqual({answer.status for answer in crowd}, {503})
                slowest = max(answer.seconds for answer in crowd)
                self.assertTrue(slowest < COLD_ANSWER_S, f"{slowest} s")
            eventually(lambda: greet(self.stack, self.key).status == 200, BACK_S)
        self.all_well()

    def test_postgres_killed(self) -> None:
        """It is started again; warm keys notice nothing, cold ones are refused meanwhile."""
        with health_watched(self, self.stack):
            warm_since = self.warm()
            self.stack.kill_server("postgres")
            self.assertEqual(greet(self.stack, self.key).status, 200)
            while (cold := greet(self.stack, self.cold_key)).status != 200:
                self.assertEqual(cold.status, 503)
                self.assertTrue(cold.seconds < COLD_ANSWER_S, f"{cold.seconds} s")
                self.assertTrue(time.monotonic() < warm_since + RESTART_S)
        self.all_well()

    def test_postgres_stopped_during_a_stream(self) -> None:
        """An answer that is under way goes on to its end."""
        word = marker()
        prompt = f"{word} [[n=100 delay=20ms]]"
        request = request_bytes("POST", "/api/chat", chat(prompt), key=self.key)
        with Caller(self.stack.port, request) as caller:
            caller.read_until(b"said:")
            with self.stack.frozen("postgres"):
                received = caller.read_to_end()
        self.assertIn(b'"done":true', received)
