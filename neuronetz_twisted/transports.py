"""Writing to a connection without a turn of the reactor between.

Twisted's own `write` queues the bytes, asks the reactor for the next turn, sends there and asks
no more: two system calls beside the one that sends. Where nothing is queued, a TCP connection can
send at once; what does not fit goes the ordinary way, so that back-pressure works as ever.
"""

from collections.abc import Callable

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection


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
