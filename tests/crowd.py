"""Many clients at once, over any number of gateways, of which a test sees each while it runs.

    with Crowd((stack.port, request) for stack in stacks) as crowd:
        eventually(lambda: all(call.frames for call in crowd.calls))
        crowd.wait(within_s=60)

One thread and one selector read them all. A connection that is reset is no error here: it is what
a killed gateway leaves.
"""

import json
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from threading import Event, Thread
from typing import Any, Self

from attrs import define, field

from tests.http_client import HOST

_STEP_S = 0.02
_MIDDLE = {"application/x-ndjson": b'"done":false', "text/event-stream": b'"finish_reason":null'}


@define(eq=False)
class Exchange:
    """One request and what has come of it so far; times are of the monotonic clock."""

    port: int
    request: bytes
    began: float = 0.0
    first_at: float | None = None
    ended_at: float | None = None
    is_reset: bool = False
    received: bytearray = field(factory=bytearray)

    @property
    def status(self) -> int:
        """The status, 0 where none has come."""
        return int(self.received[9:12]) if len(self.received) > 12 else 0

    @property
    def headers(self) -> Mapping[str, str]:
        """The fields of its head, by their names in lower case."""
        head = bytes(self.received).partition(b"\r\n\r\n")[0].decode("latin-1")
        pairs = (line.partition(": ") for line in head.split("\r\n")[1:])
        return {name.lower(): value for name, _, value in pairs}

    @property
    def body(self) -> bytes:
        """The body as far as it is there, without its chunks."""
        _, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        if self.headers.get("transfer-encoding") != "chunked":
            return rest
        return b"".join(_chunks(rest))

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def frames(self) -> int:
        """How many frames have come that are not the last, in either dialect."""
        kind = self.headers.get("content-type", "").partition(";")[0]
        return self.body.count(_MIDDLE[kind]) if kind in _MIDDLE else 0

    @property
    def last(self) -> Any:
        """The last frame of a streamed answer that has ended, of either dialect."""
        lines = [line.removeprefix(b"data: ") for line in self.body.split(b"\n") if line]
        return json.loads([line for line in lines if line != b"[DONE]"][-1])

    @property
    def tokens(self) -> int:
        """How many tokens have come: frames of a stream, else what the answer says itself."""
        if self.headers.get("content-type") != "application/json":
            return self.frames
        body = self.json()
        return int(body["usage"]["completion_tokens"] if "usage" in body else body["eval_count"])

    @property
    def is_whole(self) -> bool:
        """Whether an answer came to its own end."""
        if "content-length" in self.headers:
            return len(self.body) == int(self.headers["content-length"])
        return self.received.endswith(b"\r\n0\r\n\r\n")

    def end(self) -> None:
        """Note that nothing more comes."""
        self.ended_at = time.monotonic()


def _chunks(rest: bytes) -> Iterator[bytes]:
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size or b"0", 16)
        yield rest[:length]
        rest = rest[length + 2 :]


class Crowd:
    """Sends all requests at once, each to its port, and reads until the block ends."""

    def __init__(self, calls: Iterable[tuple[int, bytes]]) -> None:
        self.calls = [Exchange(port, request) for port, request in calls]
        self._over = Event()
        self._thread = Thread(target=self._run)
        self._trouble: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._trouble is not None:
            raise self._trouble

    def wait(self, within_s: float = 20.0) -> list[Exchange]:
        """All exchanges, once each has ended; fails when one has not in time."""
        self._thread.join(within_s)
        if self._trouble is not None:
            raise self._trouble
        if self.running():
            raise AssertionError(f"{len(self.running())} calls have not ended")
        return self.calls

    def running(self) -> list[Exchange]:
        """Those that have not ended."""
        return [call for call in self.calls if call.ended_at is None]

    def statuses(self) -> Counter[int]:
        """How often each status came."""
        return Counter(call.status for call in self.calls)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                for call in self.calls:
                    _connect(selector, call)
                while selector.get_map() and not self._over.is_set():
                    for ready, _ in selector.select(_STEP_S):
                        _advance(selector, ready)
            except BaseException as error:  # noqa: BLE001 - told to whoever waits
                self._trouble = error
            for key in list(selector.get_map().values()):
                _socket(key).close()


def _connect(selector: selectors.BaseSelector, call: Exchange) -> None:
    connection = socket.socket()
    connection.settimeout(0)
    connection.connect_ex((HOST, call.port))
    call.began = time.monotonic()
    selector.register(connection, selectors.EVENT_WRITE, (call, bytearray(call.request)))


def _advance(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Do what a ready connection allows."""
    call, unsent = key.data
    connection = _socket(key)
    try:
        if unsent:
            del unsent[: connection.send(unsent)]
            if not unsent:
                selector.modify(connection, selectors.EVENT_READ, key.data)
            return
        data = connection.recv(65536)
    except (ConnectionError, TimeoutError):
        data, call.is_reset = b"", True
    if data:
        call.first_at = call.first_at or time.monotonic()
        call.received += data
        return
    call.end()
    selector.unregister(connection)
    connection.close()


def _socket(key: selectors.SelectorKey) -> socket.socket:
    if not isinstance(key.fileobj, socket.socket):
        raise TypeError(key.fileobj)
    return key.fileobj
