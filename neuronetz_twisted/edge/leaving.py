"""How a connection is closed, so that what was written is read where it can be."""

from enum import Enum

from twisted.internet.interfaces import ISSLTransport

from neuronetz_twisted.edge.deadlines import DRAIN_BYTES
from neuronetz_twisted.transports import IStreamTransport


class Closing(Enum):
    """Why a connection is on its way out."""

    NO = "no"
    FLUSHING = "the client may take its time to read what is written"
    CUT = "the same, but not for long"
    DRAINING = "what arrives is dropped, so that the answer is not overtaken by a reset"


class WayOut:
    """The way out of one connection; how long each takes is its channel's matter."""

    def __init__(self, transport: IStreamTransport) -> None:
        self.state = Closing.NO
        self._transport = transport
        self._dropped = 0

    def flush(self) -> None:
        """Close once the client has read what is written."""
        self.state = Closing.FLUSHING
        self._lose()

    def cut(self, *, waits_for_reset: bool) -> None:
        """The same; or say nothing more and let a reset follow."""
        self.state = Closing.CUT
        if not waits_for_reset:
            self._lose()

    def drain(self) -> None:
        """Close our half; the other one is closed by the client, who has then read the answer.

        TLS has no halves: there the client closes when it has read, or we do in the end.
        """
        self.state = Closing.DRAINING
        if not ISSLTransport.providedBy(self._transport):
            self._transport.unregisterProducer()
            self._transport.loseWriteConnection()

    def drop(self, data: bytes) -> None:
        """Read what still comes, within bounds."""
        self._dropped += len(data)
        if self._dropped > DRAIN_BYTES:
            self.abort()

    def abort(self) -> None:
        """Reset the connection."""
        self.state = Closing.CUT
        self._transport.abortConnection()

    def _lose(self) -> None:
        # TLS would wait for its producer for ever.
        self._transport.unregisterProducer()
        self._transport.loseConnection()
