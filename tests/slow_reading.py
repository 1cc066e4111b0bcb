"""A stream of 50 MB for a client that hardly reads it, and what that costs the gateway."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import field, frozen

from tests.gateway import Stack, marker
from tests.http_client import Caller, chat, request_bytes
from tests.processes import eventually

FRAMES = 4000
MOST_GROWTH = 2_000_000
"""What the gateway may need for such a client, in bytes (SPEC 2, R5)."""

_HELD_S = 1.0
_STREAM = f"[[n={FRAMES} size=13000]]"
_WARM_UPS = 3


@frozen
class SlowStream:
    """A stream under way; `growth` is in bytes of the gateway's resident memory."""

    caller: Caller
    _stack: Stack
    _word: str
    _before: int = field(repr=False)

    @property
    def growth(self) -> int:
        """How much more memory the gateway uses than before the stream."""
        return resident(self._stack) - self._before

    @property
    def frames_sent(self) -> int:
        """What the model host has got rid of so far."""
        sent: int = self._stack.mock.entry(self._word)["frames_sent"]
        return sent

    @property
    def state(self) -> str:
        """Where the request stands at the model host."""
        state: str = self._stack.mock.entry(self._word)["state"]
        return state

    def frames_when_held(self) -> int:
        """The same, once it has stood still for a second; fails where it never does."""
        sent, since = self.frames_sent, time.monotonic()

        def held() -> bool:
            nonlocal sent, since
            now = self.frames_sent
            if now != sent:
                sent, since = now, time.monotonic()
            return time.monotonic() > since + _HELD_S

        eventually(held)
        return sent


def resident(stack: Stack) -> int:
    """The gateway's resident memory in bytes."""
    size: int = stack.process().memory_info().rss
    return size


def warm_up(stack: Stack, key: str) -> None:
    """Send whole streams through, so that what allocators keep is there before we measure."""
    for _ in range(_WARM_UPS):
        with Caller(
            stack.port, request_bytes("POST", "/api/chat", chat(_STREAM), key=key)
        ) as caller:
            while caller.read(1 << 18):
                caller.received.clear()


@contextmanager
def slow_stream(stack: Stack, key: str, path: str = "/api/chat") -> Iterator[SlowStream]:
    """Begin such a stream and read its first frame only."""
    word = marker()
    request = request_bytes("POST", path, chat(f"{word} {_STREAM}", stream=True), key=key)
    before = resident(stack)
    with Caller(stack.port, request, receive_buffer=65536) as caller:
        caller.read_until(b"xxx")
        yield SlowStream(caller, stack, word, before)
