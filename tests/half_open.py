"""Connections that never send a whole request, from as many loopback addresses as are wanted."""

import select
import socket
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import define, field

from tests.http_client import HOST

PER_ADDRESS = 200
WITHOUT_ADDRESSES = "the loopback of macOS has one address" if sys.platform == "darwin" else None
"""Why these tests are skipped, where they are."""

BEGINNING = b"POST /api/chat HTTP/1.1\r\nHost: gateway\r\nX-Padding: "


def address(number: int) -> str:
    """The loopback address of a group of connections; none of them is a trusted proxy."""
    high, low = divmod(number, 250)
    return f"127.77.{high}.{low + 1}"


@define
class HalfOpen:
    """Half-open connections; each has sent the beginning of a head."""

    port: int
    sockets: list[socket.socket] = field(factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self.sockets:
            connection.close()

    def open(self, count: int, *, beginning: bytes = BEGINNING, source: str = "") -> None:
        """Open so many more, each from the address of its group or from `source`."""
        for number in range(len(self.sockets), len(self.sockets) + count):
            connection = socket.socket()
            connection.bind((source or address(number // PER_ADDRESS), 0))
            connection.connect((HOST, self.port))
            with suppress(ConnectionError):
                connection.sendall(beginning)
            self.sockets.append(connection)

    def closed(self) -> int:
        """How many of them the gateway has closed by now."""
        poll = select.poll()
        for connection in self.sockets:
            poll.register(connection, select.POLLIN | select.POLLHUP)
        return len(poll.poll(0))
