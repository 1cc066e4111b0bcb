"""Connections of clients: stock HTTP/1.1, known to the site so that a stop can end them."""

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITCPTransport

MAX_BEHIND_BYTES = 16 * 1024
"""Room for a pipelined request; what twisted.web itself reads ahead before it pauses."""


class GatewayChannel(HTTPChannel):
    """One connection. Only HTTP/1: this class takes the place of Twisted's negotiation."""

    def connectionMade(self) -> None:
        """Join the site's channels."""
        super().connectionMade()
        self._channels.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; end a connection that sends much behind a request that is being answered.

        Stock twisted.web would stop reading there, and so never see the client go.
        """
        super().dataReceived(data)
        if self._handlingRequest and sum(map(len, self._dataBuffer)) > MAX_BEHIND_BYTES:
            cast("ITCPTransport", self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave them."""
        self._channels.discard(self)
        super().connectionLost(reason)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return not self.requests

    @property
    def _channels(self) -> set[Any]:
        factory: Any = self.factory
        channels: set[Any] = factory.channels
        return channels
