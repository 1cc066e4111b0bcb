"""Fifty clients that read 1 KiB/s of endless streams (SPEC 2, R5)."""

import sys
import time
from contextlib import ExitStack

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import shared_stack
from tests.http_client import Caller, ask, chat, request_bytes
from tests.slow_reading import resident, warm_up

READERS = 50
SECONDS = 30
MOST_EACH = 256 * 1024
PROMPT = "[[n=100000 size=2000]]"


class ManySlowReadersTests(SynchronousTestCase):
    def test_fifty(self) -> None:
        """Each costs the gateway 256 KiB at most, and others are served meanwhile."""
        stack = shared_stack(OLLAMA_MAX_CONNECTIONS="100")
        key = stack.new_key()
        warm_up(stack, key)
        before = resident(stack)
        most = 0.0
        request = request_bytes("POST", "/api/chat", chat(PROMPT, stream=True), key=key)
        with ExitStack() as stacked:
            readers = [
                stacked.enter_context(Caller(stack.port, request, receive_buffer=4096))
                for _ in range(READERS)
            ]
            for _ in range(SECONDS):
                began = time.monotonic()
                for reader in readers:
                    reader.read(1024)
                most = max(most, (resident(stack) - before) / READERS)
                answer = ask(stack.port, "GET", "/api/tags", key=key)
                self.assertEqual(answer.status, 200)
                time.sleep(max(0.0, began + 1 - time.monotonic()))
        sys.stderr.write(f"\n{READERS} slow readers: at most {most:.0f} bytes each\n")
        self.assertTrue(most <= MOST_EACH, f"{most} bytes each")
