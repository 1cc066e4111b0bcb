"""How a connection is closed, so that what was written is read where it can be."""

from enum import Enum
from math import inf

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol

from neuronetz_twisted.edge.deadlines import CUT_1_0_S, CUT_S, DRAIN_BYTES, DRAIN_S, STALL_S
from neuronetz_twisted.edge.pace import Pace
from neuronetz_twisted.transports import IStreamTransport, unsent_bytes


class Closing(Enum):
    """Why a connection is on its way out."""

    NO = "no"
    FLUSHING = "the client may take its time to read what is written"
    CUT = "the same, but not for long"
    DRAINING = "what arrives is dropped, so that the answer is not overtaken by a reset"


class TurnedAway(Protocol):
    """A connection that is one too many.

    A factory that gives no protocol at all would do, were it not for Twisted's wrappers (TLS, the
    PROXY protocol): they take None for a protocol, fail, and leave the socket open.
    """

    transport: IStreamTransport

    def connectionMade(self) -> None:
        """Reset it."""
        self.transport.abortConnection()


class WayOut:
    """The way out of one connection."""

    def __init__(self, transport: IStreamTransport, pace: Pace) -> None:
        self.state = Closing.NO
        self._transport = transport
        self._pace = pace
        self._dropped = 0
        self._stalls_at = inf
        self._ends_at = inf

    def flush(self) -> None:
        """Close once the client has read what is written."""
        self.state = Closing.FLUSHING
        self._lose()

    def cut(self, *, waits_for_reset: bool) -> float:
        """The same; or say nothing more and let a reset follow. Gives the seconds until that."""
        self.state = Closing.CUT
        if waits_for_reset:
            return CUT_1_0_S
        self._lose()
        return CUT_S

    def drain(self, now: float) -> None:
        """Close our half; the other one is closed by the client, who has then read the answer.

        TLS has no halves: there the client closes when it has read, or we do in the end.
        """
        self.state = Closing.DRAINING
        self._pace.has_read()
        self._stalls_at = now + STALL_S
        if not ISSLTransport.providedBy(self._transport):
            self._transport.unregisterProducer()
            self._transport.loseWriteConnection()

    def drains_until(self, now: float) -> float | None:
        """When to look at the drain again, on the clock; None when it has had its time.

        That begins when the answer is flushed; until then the client may read as slowly as any.
        """
        if self._ends_at == inf and not unsent_bytes(self._transport):
            self._ends_at, self._stalls_at = now + DRAIN_S, inf
        elif self._pace.has_read():
            self._stalls_at = now + STALL_S
        if min(self._ends_at, self._stalls_at) <= now:
            return None
        return now if self._ends_at == inf else self._ends_at

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
