"""A site whose application is the test: channels and requests, without doors and a pipeline."""

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from neuronetz_twisted.edge.answers import HttpAnswer
from neuronetz_twisted.edge.connections import ConnectionLimits
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.edge.site import GatewaySite
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.testing.http import MemoryConnection
from tests.unit.edge.house import LIMITS, WALL

BODY_LIMIT = 1 << 20


def reply(request: GatewayRequest, body: bytes = b"ok") -> None:
    """Send a whole answer."""
    request.begin(200, [], len(body))
    request.write(body)
    request.finish()


def refuse(request: GatewayRequest, refusal: Refusal) -> None:
    """Send a refusal."""
    HttpAnswer(request, "the-id").refuse(refusal)


class PlainSite:
    """Keeps each request for the test, unless that gives its site another `begin`."""

    def __init__(self, limits: ConnectionLimits = LIMITS) -> None:
        """No connection yet."""
        self.clock = Clock()
        self.requests: list[GatewayRequest] = []
        self.site = GatewaySite(
            self.clock,
            begin=self.requests.append,
            refuse=refuse,
            max_body_bytes=BODY_LIMIT,
            limits=limits,
            now=lambda: WALL,
        )

    def body(self, request: GatewayRequest, limit: int = BODY_LIMIT) -> "Deferred[bytes]":
        """Ask for the body of a request."""
        return Deferred.fromCoroutine(request.body(limit))

    def connect(self) -> MemoryConnection:
        """A client that reads at once."""
        return MemoryConnection(self.site)


class SlowReader(MemoryConnection):
    """A client that reads when the test says so; its transport buffers as a real one does."""

    def __init__(self, site: GatewaySite) -> None:
        self.transport = FileDescriptor(MemoryReactorClock())
        super().__init__(site)

    @property
    def unread(self) -> int:
        """The bytes that it has left lying."""
        return self.transport._tempDataLen

    def write(self, data: bytes) -> None:
        """Buffer, and pause the producer when that is too much (twisted.internet.abstract)."""
        super().write(data)
        self.transport._tempDataLen += len(data)
        if self.producer is not None and self.unread > self.transport.bufferSize:
            self.producer.pauseProducing()

    def reads(self, count: int) -> None:
        """Take bytes; a producer goes on when nothing is left."""
        self.transport._tempDataLen = max(0, self.unread - count)
        if not self.unread and self.producer is not None:
            self.producer.resumeProducing()
