"""How fast a client reads, and who hears of it."""

from typing import Any, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from neuronetz_twisted.edge.pace import Pace


@implementer(IPushProducer)
class Recorder:
    """A producer that keeps what it is told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Keep it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Keep it."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Keep it."""
        self.told.append("stop")


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A client with nothing to read."""
        self.descriptor = FileDescriptor(MemoryReactorClock())
        self.changes: list[bool] = []
        self.pace = Pace(
            cast("Any", self.descriptor), lambda: self.changes.append(self.pace.stalled)
        )
        self.producer = Recorder()

    def test_is_a_push_producer(self) -> None:
        """What transports ask for."""
        verifyObject(IPushProducer, self.pace)

    def test_without_a_producer(self) -> None:
        """Each change is told."""
        self.pace.pauseProducing()
        self.pace.resumeProducing()
        self.pace.stopProducing()
        self.assertEqual(self.changes, [True, False])

    def test_with_a_producer(self) -> None:
        """It alone hears of everything."""
        self.pace.register(self.producer)
        self.pace.pauseProducing()
        self.assertTrue(self.pace.stalled)
        self.pace.resumeProducing()
        self.pace.stopProducing()
        self.assertFalse(self.pace.stalled)
        self.assertEqual(self.producer.told, ["pause", "resume", "stop"])
        self.assertEqual(self.changes, [])

    def test_a_producer_that_comes_late(self) -> None:
        """A client that has stalled already holds it from the first."""
        self.pace.pauseProducing()
        self.pace.register(self.producer)
        self.assertEqual(self.producer.told, ["pause"])
        self.pace.unregister()
        self.pace.resumeProducing()
        self.assertEqual(self.producer.told, ["pause"])
        self.assertEqual(self.changes, [True, True, False])

    def test_has_read(self) -> None:
        """Whether less is left than at the last look; what was written since may hide it."""
        self.descriptor.connected = 1
        self.assertFalse(self.pace.has_read())
        self.descriptor.write(b"x" * 10)
        self.assertFalse(self.pace.has_read())
        self.assertFalse(self.pace.has_read())
        self.descriptor._tempDataLen = 9
        self.assertTrue(self.pace.has_read())
        self.assertFalse(self.pace.has_read())

    def test_in_memory(self) -> None:
        """A transport without a socket never has anything left."""
        transport: Any = StringTransport()
        self.assertFalse(Pace(transport, lambda: None).has_read())
