"""A peer of the twin in memory: a channel on a string transport and a clock that tests advance."""

from typing import Any

import orjson
from attrs import define, field
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from mock_ollama.app import MockOllama


@define
class Answer:
    """One answer as a client sees it; `complete` says whether its end was marked."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    def json(self) -> Any:
        """Decode the body as one object."""
        return orjson.loads(self.body)

    def lines(self) -> list[Any]:
        """Decode the body as NDJSON."""
        return [orjson.loads(line) for line in self.body.splitlines()]


class TurningClock(Clock):
    """A clock on which a call made during a turn waits for the next turn, as on a reactor."""

    def advance(self, amount: float) -> None:
        """Let time pass and run what was due by then when the turn began."""
        self.rightNow += amount
        for call in [call for call in self.calls if call.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class ResettableTransport(StringTransport):
    """A string transport that tells a reset from a close."""

    def abortConnection(self) -> None:
        """Note the reset."""
        super().abortConnection()
        self.producer = None


@define
class Peer:
    """One connection to a twin."""

    clock: Clock = field(factory=TurningClock)
    mock: MockOllama | None = None
    address: IAddress | None = None
    transport: ResettableTransport = field(init=False)
    _channel: HTTPChannel = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.mock = self.mock or MockOllama(self.clock)
        self.transport = ResettableTransport(hostAddress=self.address)
        self._channel = self.mock.site().buildProtocol(None)
        self._channel.makeConnection(self.transport)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Send a request; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        head = [f"{method} {path} HTTP/1.1", f"Host: {headers.pop('host', 'localhost')}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        head += [f"Content-Length: {len(raw)}", "", ""]
        self._channel.dataReceived("\r\n".join(head).encode() + raw)
        self.clock.advance(0)

    @property
    def producer(self) -> IPushProducer:
        """What the transport would pause, resume and stop."""
        if self.transport.producer is None:
            raise AssertionError("nothing is registered on the transport")
        return IPushProducer(self.transport.producer)

    def close(self) -> None:
        """Go away, as a client that closes its socket."""
        self._channel.connectionLost(Failure(ConnectionDone()))

    def answer(self) -> Answer:
        """Give what has arrived so far of the last answer."""
        head, _, rest = self.transport.value().partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        if headers.get("transfer-encoding") == "chunked":
            body, complete = _dechunked(rest)
        else:
            body, complete = rest, len(rest) == int(headers["content-length"])
        return Answer(int(lines[0].split()[1]), headers, body, complete)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request on this connection and give its answer, which fits into one turn."""
        self.transport.clear()
        self.send(method, path, body, **headers)
        return self.answer()

    def chat(self, text: str, **fields: Any) -> None:
        """Begin a chat of one message."""
        message = {"role": "user", "content": text}
        self.send("POST", "/api/chat", {"model": "llama3.2", "messages": [message], **fields})

    def pump(self, seconds: float, turns: int) -> None:
        """Let time pass in equal turns."""
        self.clock.pump([seconds] * turns)

    def seen(self) -> dict[str, Any]:
        """Give the record of the last request."""
        if self.mock is None:
            raise AssertionError("a peer always has a twin")
        return self.mock.state.entries[-1].as_json()


def _dechunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, True
        body, data = body + data[:length], data[length + 2 :]
    return body, False
