"""A network in memory: connections that the test makes, with the model host's end in its hands."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from neuronetz_twisted.upstream.agent import OllamaAgent
from neuronetz_twisted.upstream.backends import Backend

A = Backend(name="a", url="http://192.0.2.1:11434")
B = Backend(name="b", url="http://192.0.2.2:11434")
CONNECT_S = 5.0
WAIT_S = 20.0

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Frame one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Wire(StringTransport):
    """One connection. An abort takes effect in the reactor's next turn, as Twisted's does."""

    def __init__(self, reactor: IReactorTime, protocol: IProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self._reactor = reactor
        self.lost = False
        self.pauses = 0

    def send(self, *reads: bytes) -> None:
        """Let the model host's bytes be read."""
        for data in reads:
            self.protocol.dataReceived(data)

    def hang_up(self) -> None:
        """Let the model host close."""
        self._lose(ConnectionDone())

    def break_down(self) -> None:
        """Let the connection be reset."""
        self._lose(ConnectionLost())

    def abortConnection(self) -> None:
        """Close at once."""
        super().abortConnection()
        self._reactor.callLater(0, self._lose, ConnectionAborted())

    def pauseProducing(self) -> None:
        """Count."""
        super().pauseProducing()
        self.pauses += 1

    def taken(self) -> bytes:
        """What was written since last asked."""
        written: bytes = self.value()
        self.clear()
        return written

    def _lose(self, error: Exception) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(error))


class Network:
    """The reactor, and every connection that was made."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.wires: list[Wire] = []
        self._settled: set[int] = set()

    def agent(self, *backends: Backend, places: int = 2) -> OllamaAgent:
        """Make an agent, of backend `A` if none is named, with so many places at each."""
        return OllamaAgent(
            self.reactor,
            [evolve(backend, slots=places) for backend in backends or (A,)],
            connect_s=CONNECT_S,
            wait_s=WAIT_S,
        )

    @property
    def attempts(self) -> Sequence[tuple[Any, ...]]:
        """What was asked of the reactor: host, port, factory, seconds, and one more."""
        return self.reactor.tcpClients

    @property
    def pending(self) -> list[int]:
        """The attempts that have neither succeeded nor failed nor were given up."""
        return [
            number
            for number, connector in enumerate(self.reactor.connectors)
            if number not in self._settled and not connector.stoppedConnecting
        ]

    def connect(self) -> Wire:
        """Let the oldest pending attempt succeed."""
        number = self.pending[0]
        self._settled.add(number)
        protocol = self.attempts[number][2].buildProtocol(None)
        wire = Wire(self.reactor, protocol)
        self.wires.append(wire)
        protocol.makeConnection(wire)
        return wire

    def refuse(self, error: Exception) -> None:
        """Let the newest pending attempt fail."""
        number = self.pending[-1]
        self._settled.add(number)
        self.attempts[number][2].clientConnectionFailed(None, Failure(error))

    def turn(self) -> None:
        """Let the reactor do what is due."""
        self.reactor.advance(0)


class Reader(Protocol):
    """Reads a body: what came, one entry a delivery, and why it ended."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.end: Failure | None = None
        self.on_read: Callable[[bytes], object] = lambda _: None
        self.on_end: Callable[[], object] = lambda: None

    @property
    def done(self) -> bool:
        """Whether the body ended as its framing says."""
        return self.end is not None and self.end.check(ResponseDone) is not None

    @property
    def why(self) -> Any:
        """The error that the body ended with."""
        return None if self.end is None else self.end.value

    @property
    def connection(self) -> Any:
        """The body's transport, of which Twisted's type says less than there is."""
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.read.append(data)
        self.on_read(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the end, which comes once."""
        if self.end is not None:
            raise AssertionError("a body ended twice")
        self.end = reason
        self.on_end()


def read(response: IResponse) -> Reader:
    """Read a response's body."""
    reader = Reader()
    response.deliverBody(reader)
    return reader
