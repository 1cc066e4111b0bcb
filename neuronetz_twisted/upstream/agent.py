"""Requests to a model host: treq's client without what a gateway must not have.

Stock `treq.client.HTTPClient` keeps one cookie jar for all callers, follows redirects and offers
gzip on every call. `OllamaClient.ask` goes straight to the agent and keeps treq's response API.
Connections are not reused: so a closed keep-alive connection can never eat a request.
"""

from collections.abc import Callable
from typing import Any, cast

from treq.client import HTTPClient
from treq.response import _Response
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime, ITCPTransport, ITransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from neuronetz_twisted.errors import UpstreamNonsense


class OllamaClient(HTTPClient):
    """A client that sends what it is given and nothing else."""

    def ask(
        self,
        method: bytes,
        url: bytes,
        headers: Headers,
        body: bytes | None = None,
        sent: Callable[[], None] = lambda: None,
    ) -> Deferred[IResponse]:
        """Send one request; fires with the response's head, its body unread.

        `sent` is called when the body has been written. Cancelling closes the connection.
        """
        producer = None if body is None else BytesProducer(body, sent)
        asked = self._agent.request(method, url, headers, producer)
        return asked.addCallback(_Response, self._cookiejar)


def ollama_client(reactor: IReactorTime, connect_timeout_s: float) -> OllamaClient:
    """A client whose connections are used once."""
    pool = HTTPConnectionPool(reactor, persistent=False)
    pool.retryAutomatically = False
    return OllamaClient(Agent(reactor, connectTimeout=connect_timeout_s, pool=pool))


@implementer(IBodyProducer)
class BytesProducer:
    """A request body that is written at once."""

    def __init__(self, body: bytes, sent: Callable[[], None]) -> None:
        self._body = body
        self._sent = sent
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it."""
        self._sent()
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to pause."""

    def resumeProducing(self) -> None:
        """Nothing is left to resume."""

    def stopProducing(self) -> None:
        """Nothing is left to stop."""


def abort(body_transport: ITransport) -> None:
    """Close the connection under a response's body at once, and give back all that it holds.

    What twisted.web hands to a body has only `loseConnection`, which under TLS waits for the word
    of a peer that may be paused or frozen.
    """
    connection: ITCPTransport | None = cast("Any", body_transport)._producer  # noqa: SLF001
    if connection is not None:
        connection.abortConnection()


class BoundedBody(Protocol):
    """Collects a body of at most `limit` bytes; `done` fails where it is longer or cut short."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._pieces: list[bytes] = []
        self.done: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        """Take bytes, or end a body that is too long."""
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        elif not self.done.called:
            self.done.errback(UpstreamNonsense("an answer is too long"))
            self._close()

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        """The body is over."""
        if self.done.called:
            return
        if reason.check(ResponseDone):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(UpstreamNonsense("an answer was cut short"))

    def _close(self) -> None:
        if self.transport is not None:
            abort(self.transport)


def read_bounded(response: IResponse, limit: int) -> Deferred[bytes]:
    """The whole body of a response, of at most `limit` bytes; fails with `UpstreamNonsense`.

    Cancelling closes the connection, which `treq.content` does not.
    """
    body = BoundedBody(limit)
    response.deliverBody(body)
    return body.done


def is_encoded(response: IResponse) -> bool:
    """Whether a body came in an encoding, which was never offered."""
    headers = cast("Headers", response.headers)
    return bool(headers.getRawHeaders(b"content-encoding"))
