"""Writing to a connection without a turn of the reactor between.

Twisted's own `write` queues the bytes, asks the reactor for the next turn, sends there and asks
no more: two system calls beside the one that sends. Where nothing is queued, a TCP connection can
send at once; what does not fit goes the ordinary way, so that back-pressure works as ever.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport, ITransport
from twisted.internet.tcp import Connection

SEND_BUFFER_BYTES = 128 * 1024
"""The kernel's share of what a slow reader leaves lying (Linux doubles it)."""


class IStreamTransport(ITCPTransport, IConsumer, IPushProducer):
    """What every stream connection of Twisted's can do, under TLS too."""


def writer_of(transport: ITransport) -> Callable[[bytes], None]:
    """The quickest way to write to `transport`; its own `write` where that is all there is (TLS).

    Call it once per connection, after TLS has begun if it will.
    """
    if not isinstance(transport, Connection) or transport.TLS:
        return transport.write

    def write(data: bytes) -> None:
        if transport.dataBuffer or transport._tempDataBuffer or not transport.connected:  # noqa: SLF001 - held by a contract test
            transport.write(data)
            return
        sent = transport.writeSomeData(data)
        if isinstance(sent, ConnectionLost) or sent == 0:
            # The ordinary way finds out what is wrong, and says so in a turn of its own.
            transport.write(data)
        elif sent < len(data):
            transport.write(data[sent:])

    return write


def tune(transport: ITransport) -> None:
    """Send small writes at once, and let back-pressure bite early.

    The kernel would take megabytes for a client that does not read; to the other end that looks
    like a client that does. Nothing is raised for a peer that has gone already.
    """
    below = _descriptor(transport)
    if isinstance(below, Connection):
        handle = below.getHandle()
        # macOS refuses options of a connection that was reset; the next read finds that out.
        with suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            if handle.family in {socket.AF_INET, socket.AF_INET6}:
                below.setTcpNoDelay(True)


def unsent_bytes(transport: ITransport) -> int:
    """The bytes that a connection has yet to hand to the kernel; those under TLS are encrypted."""
    below = _descriptor(transport)
    if below is None:
        return 0
    return len(below.dataBuffer) - below.offset + below._tempDataLen  # noqa: SLF001 - as above


def _descriptor(transport: Any) -> FileDescriptor | None:
    """What is at the bottom of a transport; None for one in memory."""
    while transport is not None and not isinstance(transport, FileDescriptor):
        transport = getattr(transport, "transport", None)
    return transport
