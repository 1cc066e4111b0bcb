"""What the twin saw and sent, so that a test can compare it with what its client believes."""

from collections import deque
from enum import Enum
from typing import Any

from attrs import define, field

MAX_ENTRIES = 10_000
MAX_BODY_BYTES_KEPT = 67_108_864


class State(Enum):
    """Where a request stands: still open, or how its answer ended."""

    OPEN = "open"
    COMPLETE = "complete"
    PEER_CLOSED = "peer_closed"
    FAULT = "fault"


@define
class Tokens:
    """The token counts of one request, kept up to date while it is answered."""

    prompt: int = 0
    completion: int = 0


@define(kw_only=True)
class Entry:
    """One request and what became of it; times are Unix times in seconds.

    `body` is the JSON that was sent, `decoded` what Ollama would have understood of it: the
    fields that its decoder set, by canonical name (`apitypes.py`), None where it was refused or
    not read. `cloud` says that Ollama would have passed the request on to ollama.com.
    """

    id: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    body_size: int
    received_at: float
    frames_sent: int = 0
    bytes_sent: int = 0
    tokens: Tokens = field(factory=Tokens)
    state: State = State.OPEN
    closed_at: float | None = None
    decoded: Any = None
    cloud: bool = False

    def close(self, state: State, now: float) -> None:
        """Note how the request ended; the first ending that is noticed stands."""
        if self.state is State.OPEN:
            self.state = state
            self.closed_at = now

    def as_json(self) -> dict[str, Any]:
        """Give the entry as `/mock/seen` shows it."""
        return {
            "id": self.id,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": self.body,
            "decoded": self.decoded,
            "cloud": self.cloud,
            "received_at": self.received_at,
            "frames_sent": self.frames_sent,
            "bytes_sent": self.bytes_sent,
            "tokens": {"prompt": self.tokens.prompt, "completion": self.tokens.completion},
            "state": self.state.value,
            "closed_at": self.closed_at,
        }


@define
class Recorder:
    """The last requests, at most MAX_ENTRIES of them and MAX_BODY_BYTES_KEPT of their bodies."""

    entries: deque[Entry] = field(factory=deque)
    _last_id: int = 0
    _body_bytes: int = 0

    def open(  # noqa: PLR0913 - the columns of one record
        self,
        *,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Any,
        body_size: int,
        now: float,
    ) -> Entry:
        """Begin the record of a request; `body` is the decoded one, None if it is no JSON."""
        self._last_id += 1
        entry = Entry(
            id=self._last_id,
            method=method,
            path=path,
            headers=headers,
            body=body,
            body_size=body_size,
            received_at=now,
        )
        self.entries.append(entry)
        self._body_bytes += body_size
        while len(self.entries) > MAX_ENTRIES or self._body_bytes > MAX_BODY_BYTES_KEPT:
            self._body_bytes -= self.entries.popleft().body_size
        return entry

    def clear(self) -> None:
        """Forget every request; ids go on, so that an old one is never taken for a new one."""
        self.entries.clear()
        self._body_bytes = 0

    def as_json(self) -> dict[str, Any]:
        """Give the answer of `/mock/seen`."""
        return {"requests": [entry.as_json() for entry in self.entries]}
