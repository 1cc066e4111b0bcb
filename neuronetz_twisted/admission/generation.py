"""Whether Redis still has what it was told: the generation that all counters belong to. Pure.

A marker in Redis names the generation, the `run_id` of the server that it was made on, and until
when nothing is admitted (DESIGN 4, loss and rebuild). It is read whenever something is doubtful:

    closed --marker of this server--> restoring --our own calls are put back--> open
      |                                                                          |
      +--no marker, or of another server: loss--> claim a new one, read again    |
      ^                                                                          |
      +-----------------------------another run_id-------------------------------+

A new `run_id` closes at once, since a server that was started from an old copy has counters of our
generation, which are wrong. A tenant that Redis does not know closes nothing by itself: then the
marker decides. It stands, so the tenant is new to Redis; or there is another, so all was lost. The
marker carries the end of the quarantine, so that a process that begins meanwhile keeps it too.
Times are in seconds of the gateway's clock, those of the server in milliseconds of Redis' own.
"""

import math
import re
from collections import deque
from functools import partial

from attrs import define, field, frozen

HEARTBEAT_S = 10.0
QUARANTINE_S = HEARTBEAT_S + 2.0
"""In this time each living process puts back what it holds, which it does with its heartbeat."""

SEEN_S = 30.0
"""A process that was not seen for this long is not waited for."""

_MOST_LEFT = 100
"""So many generations that were left are remembered."""

_MARKER = re.compile(rb"(([0-9A-Za-z]{1,64})-[0-9A-Za-z]{1,32}) ([0-9]{1,16})")


@frozen
class Claim:
    """The marker to be written; `if_absent`: only where there is still none (SET NX)."""

    value: bytes
    if_absent: bool


@frozen
class Reading:
    """The marker as it was read, and Redis' clock then, both from the server `run_id`."""

    run_id: str
    marker: bytes | None
    server_ms: int


@define
class Generation:
    """What one process knows of the generation; it begins closed."""

    _run_id: str | None = field(default=None, init=False)
    _name: str | None = field(default=None, init=False)
    _left: deque[str] = field(factory=partial(deque, maxlen=_MOST_LEFT), init=False)
    _is_doubtful: bool = field(default=True, init=False)
    _is_restored: bool = field(default=False, init=False)
    _opens_at: float = field(default=-math.inf, init=False)

    @property
    def run_id(self) -> str | None:
        """The server that was last connected to."""
        return self._run_id

    @property
    def name(self) -> str | None:
        """The generation under which counters are put back; None while it is doubtful."""
        return None if self._is_doubtful else self._name

    def connected(self, run_id: str) -> bool:
        """A connection was made; True where it is to another server than before."""
        if run_id == self._run_id:
            return False
        self._run_id = run_id
        self._is_doubtful = True
        if self._name is not None:
            self._left.append(self._name)
        return True

    def admits(self, now: float) -> str | None:
        """The generation under which calls may be admitted now; None where none may be."""
        return self.name if self._is_restored and now >= self._opens_at else None

    def opens_in(self, now: float) -> float:
        """How long the quarantine lasts yet."""
        return max(0.0, self._opens_at - now)

    def read(self, reading: Reading, now: float) -> bool:
        """Take a marker that was read; False where it does not stand and one has to be claimed.

        What was read from a server that is gone meanwhile says nothing, and leaves the doubt.
        """
        if reading.run_id != self._run_id:
            return True
        match = _MARKER.fullmatch(reading.marker or b"")
        if match is None or match[2].decode("ascii") != self._run_id:
            self._is_doubtful = True
            return False
        name = match[1].decode("ascii")
        if name in self._left:
            # Others were counted with meanwhile, elsewhere: this server knows nothing of it.
            self._is_doubtful = True
            return False
        if name != self._name:
            left_s = (int(match[3]) - reading.server_ms) / 1000
            # Redis' clock may be stepped; nobody waits for longer than the protocol asks.
            self._opens_at = now + min(max(left_s, 0.0), QUARANTINE_S)
            self._name = name
            self._is_restored = False
        self._is_doubtful = False
        return True

    def claim(self, reading: Reading, *, others: bool, nonce: str) -> Claim:
        """The marker of a new generation, behind a `read` that was False.

        `others`: whether another process was seen within `SEEN_S`. Whoever claims reads again
        after it, since another may have been first.
        """
        wait_ms = int(QUARANTINE_S * 1000) if others else 0
        value = f"{reading.run_id}-{nonce} {reading.server_ms + wait_ms}"
        return Claim(value.encode("ascii"), if_absent=reading.marker is None)

    @property
    def needs_restoring(self) -> bool:
        """Whether our own calls have yet to be put back under this generation."""
        return not (self._is_doubtful or self._is_restored)

    def restored(self, name: str) -> None:
        """All our own calls are in Redis under this generation."""
        if name == self._name:
            self._is_restored = True
