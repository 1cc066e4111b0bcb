"""Whole bodies of responses, up to a bound."""

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from neuronetz_twisted.errors import UpstreamNonsense

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITCPTransport
    from twisted.web.http_headers import Headers


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

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is over."""
        if self.done.called:
            return
        if isinstance(reason.value, ResponseDone):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(UpstreamNonsense("an answer was cut short"))

    def _close(self) -> None:
        cast("ITCPTransport", self.transport).abortConnection()


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
    return headers.hasHeader(b"content-encoding")
