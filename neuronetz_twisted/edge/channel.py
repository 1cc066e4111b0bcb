"""Connections of clients: stock HTTP/1.1, known to the site so that a stop can end them."""

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel


class GatewayChannel(HTTPChannel):
    """One connection. Only HTTP/1: this class takes the place of Twisted's negotiation."""

    def connectionMade(self) -> None:
        """Join the site's channels."""
        super().connectionMade()
        self._channels.add(self)

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
