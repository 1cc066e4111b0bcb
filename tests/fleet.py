"""Three twins of Ollama behind one gateway, of which a test makes some ill.

    fleet = shared_fleet()
    with fleet.ill(0, fail="stall"):
        calls = fleet.answered(8, "[[n=5]]", within_s=60)

Each call has a marker in its prompt, and its answer has to hold that one, whole, and no other.
"""

import atexit
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from os import environ
from pathlib import Path

from attrs import define

from tests.crowd import Crowd, Exchange
from tests.gateway import START_S, Mock, Stack, _new_stack, marker
from tests.http_client import ask, chat, request_bytes
from tests.processes import Program, eventually

NAMES = ("a", "b", "c")
SLOTS = 8

_MARKER = re.compile(rb"marker[0-9a-f]{16}")
_HEALED_S = 40.0


@define(eq=False)
class Fleet:
    """The gateway, the twins in the order of their names, and a key."""

    home: Path
    stack: Stack
    mocks: list[Mock]
    key: str = ""

    @contextmanager
    def ill(self, number: int, **settings: object) -> Iterator[None]:
        """Let one misbehave (`/mock/config`) for the block's duration."""
        self.configure(number, settings)
        try:
            yield
        finally:
            self.configure(number, {"fail": None, "lie": False, "slow": 0})

    def configure(self, number: int, settings: object) -> None:
        """Tell one twin how to behave."""
        answer = ask(self.mocks[number].port, "POST", "/mock/config", settings)
        if answer.status != 200:
            raise AssertionError(answer.body)

    @contextmanager
    def loads(self, number: int, seconds: float) -> Iterator[None]:
        """Let one take so long to load a model, for the block's duration."""
        self.configure(number, {"load_time": seconds})
        try:
            yield
        finally:
            self.configure(number, {"load_time": 0})

    @contextmanager
    def frozen(self, number: int) -> Iterator[None]:
        """Hold one (SIGSTOP) for the block's duration: its sockets are open, and nothing moves."""
        self.mocks[number].program.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.mocks[number].program.signal(signal.SIGCONT)

    def kill(self, number: int) -> None:
        """End one at once, as a crash does."""
        self.mocks[number].program.kill()

    def revive(self, number: int) -> None:
        """Start one that was killed, at the same place."""
        self.mocks[number] = _mock(self.home, NAMES[number], self.mocks[number].port)

    def requests(self, count: int, directive: str = "") -> list[tuple[int, bytes]]:
        """So many calls, every other one streamed, as a crowd takes them."""
        return [
            (
                self.stack.port,
                request_bytes(
                    "POST",
                    "/api/chat",
                    chat(f"{marker()} {directive}", stream=bool(number % 2)),
                    key=self.key,
                ),
            )
            for number in range(count)
        ]

    def answered(self, count: int, directive: str = "", *, within_s: float) -> list[Exchange]:
        """Make calls at once; all are answered as they should be."""
        with Crowd(self.requests(count, directive)) as crowd:
            calls = crowd.wait(within_s)
        for call in calls:
            whole_and_own(call)
        return calls

    def served(self, number: int) -> int:
        """How many calls one twin has answered to their end."""
        seen = self.mocks[number].seen()
        return sum(e["path"] == "/api/chat" and e["state"] == "complete" for e in seen)

    def seconds_until_served(self, number: int) -> float:
        """How long it takes, with one call after the other, until one twin answers again."""
        began, before = time.monotonic(), self.served(number)

        def is_back() -> bool:
            self.answered(1, "[[n=5]]", within_s=START_S)
            return self.served(number) > before

        eventually(is_back, _HEALED_S)
        return time.monotonic() - began

    def end(self) -> None:
        """End all of it."""
        self.stack.end()
        for mock in self.mocks:
            mock.program.end()
        shutil.rmtree(self.home, ignore_errors=True)


def whole_and_own(call: Exchange) -> None:
    """Raise AssertionError unless a call has its own answer, whole."""
    (own,) = set(_MARKER.findall(call.request))
    found = set(_MARKER.findall(call.body))
    if (call.status, found, call.is_whole) != (200, {own}, True):
        raise AssertionError((call.status, own, found, call.is_whole, call.body[-500:]))
    if call.frames and call.last["eval_count"] != call.frames:
        raise AssertionError(f"{call.frames} frames, but {call.last}")


@cache
def shared_fleet() -> Fleet:
    """The fleet of this process, for tests that heal what they did; ends with the process."""
    home = Path(tempfile.mkdtemp(prefix="nz"))
    mocks = [_mock(home, name, 0) for name in NAMES]
    backends = [
        {"name": name, "url": f"http://127.0.0.1:{mock.port}", "slots": SLOTS}
        for name, mock in zip(NAMES, mocks, strict=True)
    ]
    stack = _new_stack(
        {
            "OLLAMA_BACKENDS": json.dumps(backends),
            "OLLAMA_PINNED_OPTIONS": '{"*": {"num_ctx": 8192, "keep_alive": "30m"}}',
        }
    )
    fleet = Fleet(home, stack, mocks)
    atexit.register(fleet.end)
    stack.start()
    fleet.key = stack.new_key()
    return fleet


def _mock(home: Path, name: str, port: int) -> Mock:
    port_file = home / f"{name}.port"
    port_file.unlink(missing_ok=True)
    arguments = ["-m", "mock_ollama", "--port", str(port), "--port-file", str(port_file)]
    program = Program([sys.executable, *arguments], dict(environ), home / f"{name}.log")
    eventually(port_file.exists, START_S)
    return Mock(program, int(port_file.read_text(encoding="ascii")))
