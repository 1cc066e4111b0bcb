"""A client's connection to a site, in memory: bytes in, answers out, through our own channel."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.protocol import ServerFactory

PEER = IPv4Address("TCP", "192.0.2.1", 54321)
HOST = IPv4Address("TCP", "192.0.2.9", 8080)


@define
class Answer:
    """One answer as a client reads it. `whole` says whether its framing came to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


class MemoryConnection(StringTransport):
    """One connection to a site. Close and reset take effect when the test calls `settle`.

    `reset` says whether our side has aborted, `half_closed` whether it has only said its last word,
    `open` whether the connection is still there.
    """

    def __init__(self, site: "ServerFactory[Any]", peer: IAddress = PEER) -> None:
        super().__init__(hostAddress=HOST, peerAddress=peer)
        self.open = True
        self.reset = False
        self.half_closed = False
        protocol = site.buildProtocol(peer)
        if protocol is None:
            raise ConnectionLost
        self.protocol: IProtocol = protocol
        self.protocol.makeConnection(self)

    def abortConnection(self) -> None:
        """Note a reset by our side."""
        super().abortConnection()
        self.reset = True

    def loseWriteConnection(self) -> None:
        """Note that our side writes no more."""
        self.half_closed = True

    def send(self, data: bytes) -> None:
        """Let bytes of the client arrive."""
        self.protocol.dataReceived(data)

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> "MemoryConnection":
        """Send one request; `_` in a header's name stands for `-`."""
        head = [f"{method} {path} HTTP/1.1", "Host: gateway"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*head, "", ""]).encode() + (body or b""))
        return self

    def settle(self) -> None:
        """Let a close or reset of our side happen."""
        if self.open and (self.disconnecting or self.disconnected):
            self._lose(ConnectionDone())

    def leave(self) -> None:
        """Let the client go."""
        if self.open:
            self._lose(ConnectionLost())

    def fill(self) -> None:
        """Let the client read nothing, until its socket is full."""
        if self.producer is not None:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """Let the client read everything."""
        if self.producer is not None:
            self.producer.resumeProducing()

    def _lose(self, reason: Exception) -> None:
        self.open = False
        if self.producer is not None:
            self.producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))

    def answer(self, *, head: bool = False) -> Answer:
        """The first answer that has come, as far as it has come, taken off the wire.

        `head`: it is one to a HEAD request, so it has no body.
        """
        raw, separator, rest = self.value().partition(b"\r\n\r\n")
        if not separator:
            raise AssertionError(f"no answer yet: {raw!r}")
        status_line, *lines = raw.decode("ascii").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        chunked = headers.get("transfer-encoding") == "chunked"
        if head:
            body, whole = b"", True
        elif chunked:
            body, whole, rest = _unchunked(rest)
        else:
            length = int(headers["content-length"]) if "content-length" in headers else len(rest)
            body, whole, rest = rest[:length], len(rest) >= length, rest[length:]
        self.clear()
        self.write(rest)
        return Answer(int(status_line.split(" ")[1]), headers, body, whole)


def _unchunked(data: bytes) -> tuple[bytes, bool, bytes]:
    """The body of chunks, whether the last one is there, and what follows (RFC 9112 7.1)."""
    body = b""
    while True:
        size, separator, rest = data.partition(b"\r\n")
        if not separator:
            return body, False, b""
        length = int(size, 16)
        if length == 0:
            return body, rest.startswith(b"\r\n"), rest[2:]
        body += rest[:length]
        data = rest[length + 2 :]
