"""How fast a client reads: the producer that its transport pauses, and who is paused with it."""

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from neuronetz_twisted.transports import IStreamTransport, unsent_bytes


@implementer(IPushProducer)
class Pace:
    """Stands between a client's transport and the producer of an answer, where there is one.

    A producer watches over a client that does not read. Where there is none, `changed` is called
    whenever the client stalls or has read everything.
    """

    def __init__(self, transport: IStreamTransport, changed: Callable[[], None]) -> None:
        self.stalled = False
        self._transport = transport
        self._changed = changed
        self._producer: IPushProducer | None = None
        self._unsent = 0

    def register(self, producer: IPushProducer) -> None:
        """Pace a producer from now on."""
        self._producer = producer
        if self.stalled:
            producer.pauseProducing()

    def unregister(self) -> None:
        """Let go of it."""
        self._producer = None
        self._changed()

    @property
    def unread(self) -> int:
        """The bytes that a client who reads slowly has yet to take."""
        return unsent_bytes(self._transport) if self.stalled else 0

    def has_read(self) -> bool:
        """Whether the client has taken anything since the last look."""
        before, self._unsent = self._unsent, unsent_bytes(self._transport)
        return self._unsent < before

    def pauseProducing(self) -> None:
        """The client reads too slowly."""
        self.stalled = True
        if self._producer is not None:
            self._producer.pauseProducing()
        else:
            self._changed()

    def resumeProducing(self) -> None:
        """The client has read all that was written."""
        self.stalled = False
        if self._producer is not None:
            self._producer.resumeProducing()
        else:
            self._changed()

    def stopProducing(self) -> None:
        """The client has gone; the channel hears of it next."""
        if self._producer is not None:
            self._producer.stopProducing()
