"""Entries over real sockets: to a gateway, or to a proxy in front of it."""

import socket
from collections.abc import Sequence

from tests.http_client import HOST, TIMEOUT_S
from tests.wire.entry import Ends, Entry, request
from tests.wire.responses import NotExact, read_responses
from tests.wire.verdict import Came

Address = int | str
"""A port on this machine, or the path of a Unix socket."""

LAST = request(b"GET /healthz HTTP/1.1", b"Host: gateway.test", b"Connection: close")
"""A request that is sent behind an entry, to see whether the connection is where it should be."""

_CONTINUE = b" 100 Continue\r\n\r\n"
_ALIVE = b'{"alive":true}'


class Wire:
    """One connection of a client that sends what it likes."""

    def __init__(self, address: Address, within_s: float = TIMEOUT_S) -> None:
        if isinstance(address, int):
            self._socket = socket.create_connection((HOST, address), within_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(within_s)
            self._socket.connect(address)
        self.received = b""
        self.ended = False
        self.reset = False

    def send(self, data: bytes) -> None:
        """Send, for as long as the other side listens."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> None:
        """Wait for more; notes the end."""
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            self.reset = self.ended = True
            return
        self.received += data
        self.ended = not data

    def close(self) -> None:
        """Go."""
        self._socket.close()


def send_entry(address: Address, entry: Entry, segments: Sequence[bytes]) -> Came:
    """Send an entry and read all that comes of it; what is left open is left by a last request.

    Fails with `TimeoutError` where an answer or an end does not come.
    """
    wire = Wire(address)
    try:
        for segment in segments:
            wire.send(segment)
        if entry.invited:
            while _CONTINUE not in wire.received and not wire.ended:
                wire.receive()
            wire.send(entry.invited)
        while not wire.ended and not _all_there(entry, wire.received):
            wire.receive()
        if entry.ends is not Ends.CLOSES:
            wire.send(LAST)
        while not wire.ended:
            wire.receive()
    finally:
        wire.close()
    before, last = _split_last(wire.received)
    return Came(data=before, closed=not last, reset=wire.reset)


def _all_there(entry: Entry, data: bytes) -> bool:
    """Whether all wanted answers have come."""
    try:
        found = read_responses(data, [want.head for want in entry.wants], closed=False)
    except NotExact:
        return False
    whole = [response for response in found if response.whole and response.status >= 200]
    return len(whole) >= len(entry.wants)


def _split_last(data: bytes) -> tuple[bytes, bytes]:
    """What came, and the answer to the last request if there is one behind it."""
    head = data.rfind(b"HTTP/1.1 200 OK\r\n")
    last = data[head:] if head >= 0 else b""
    is_last = last.endswith(_ALIVE) and b"\r\nConnection: close\r\n" in last
    return (data[:head], last) if is_last else (data, b"")
