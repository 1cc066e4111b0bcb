"""What a channel knows of the client at the other end: its addresses, and what it owes that."""

from typing import cast

from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.internet.protocol import Protocol

from neuronetz_twisted.transports import IStreamTransport, tune, unsent_bytes, writer_of


class PeerProtocol(Protocol):
    """A protocol that is joined to a client; `write` sends at once where that is possible.

    `host` is the address that the connection came from, and is counted by. `getPeer` is the one
    that asks: behind `haproxy:` it is another, and known only when bytes have come.
    """

    def connectionMade(self) -> None:
        """Be joined."""
        self.client = cast("IStreamTransport", self.transport)
        tune(self.client)
        self.write = writer_of(self.client)
        self._own = self.client.getHost()
        self.host: str | None = getattr(self.client.getPeer(), "host", None)

    @property
    def owes(self) -> bool:
        """Whether something is written that the client has yet to take."""
        return unsent_bytes(self.client) > 0

    def isSecure(self) -> bool:
        """Whether this is TLS."""
        return bool(ISSLTransport.providedBy(self.client))

    def getPeer(self) -> IAddress:
        """The client's address."""
        return self.client.getPeer()

    def getHost(self) -> IAddress:
        """Our own."""
        return self._own
