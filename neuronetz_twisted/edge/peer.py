"""What a channel knows of the client at the other end: its addresses, and what it owes that."""

from functools import cached_property
from typing import cast

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol

from neuronetz_twisted.transports import IStreamTransport, tune, unsent_bytes, writer_of


class PeerProtocol(Protocol):
    """A protocol that is joined to a client; `write` sends at once where that is possible.

    `host` is the address that the connection came from, and is counted by, None where it has none.
    """

    def connectionMade(self) -> None:
        """Be joined."""
        self.client = cast("IStreamTransport", self.transport)
        tune(self.client)
        self.write = writer_of(self.client)
        self.host: str | None = getattr(self.client.getPeer(), "host", None)

    @cached_property
    def caller_host(self) -> str:
        """The address that asks, empty where it has none; to be read when bytes have come.

        Behind `haproxy:` it is another than `host`, and not known before.
        """
        return getattr(self.client.getPeer(), "host", None) or ""

    @property
    def owes(self) -> bool:
        """Whether something is written that the client has yet to take."""
        return unsent_bytes(self.client) > 0

    def isSecure(self) -> bool:
        """Whether this is TLS."""
        return bool(ISSLTransport.providedBy(self.client))
