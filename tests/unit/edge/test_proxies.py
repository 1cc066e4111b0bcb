"""Names of proxies, resolved off the path of requests."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.address import TrustedProxies
from neuronetz_twisted.edge.proxies import RESOLVE_S, RETRY_S, ProxyNames


class ResolvingClock(Clock):
    """A reactor whose names are resolved by the test."""

    def __init__(self) -> None:
        """Nothing was asked."""
        super().__init__()
        self.nameResolver = self
        self.asked: list[tuple[Any, str]] = []

    def resolveHostName(self, receiver: Any, name: str) -> None:
        """Keep a question."""
        self.asked.append((receiver, name))

    def resolve(self, *addresses: str) -> None:
        """Answer the oldest question."""
        receiver, _ = self.asked.pop(0)
        receiver.resolutionBegan(None)
        for address in addresses:
            receiver.addressResolved(IPv4Address("TCP", address, 0))
        receiver.resolutionComplete()


class ProxyNamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One name and one address are trusted."""
        self.clock = ResolvingClock()
        proxies = TrustedProxies.parse(["caddy", "192.0.2.7"])
        self.names = ProxyNames(self.clock, proxies)
        self.names.startService()
        self.addCleanup(self.names.stopService)

    def address(self, peer: str) -> str:
        """The client's address as seen through a peer."""
        return self.names.client_address(peer, [b"198.51.100.1"])

    def test_name(self) -> None:
        """A name's addresses are trusted once they are known, and follow its changes."""
        self.assertEqual(self.address("192.0.2.8"), "192.0.2.8")
        self.clock.resolve("192.0.2.8")
        self.assertEqual(self.address("192.0.2.8"), "198.51.100.1")
        self.clock.advance(RESOLVE_S)
        self.clock.resolve("192.0.2.9")
        self.assertEqual(self.address("192.0.2.8"), "192.0.2.8")
        self.assertEqual(self.address("192.0.2.9"), "198.51.100.1")
        self.assertEqual(self.address("192.0.2.7"), "198.51.100.1")

    def test_unresolved(self) -> None:
        """A name without an address is ignored; the other proxies stay trusted."""
        self.clock.resolve()
        self.assertEqual(self.address("192.0.2.7"), "198.51.100.1")

    def test_failed_resolution(self) -> None:
        """A name that resolves no more keeps its addresses, and is asked again sooner."""
        self.clock.resolve("192.0.2.8")
        self.clock.advance(RESOLVE_S)
        self.clock.resolve()
        self.assertEqual(self.address("192.0.2.8"), "198.51.100.1")
        self.clock.advance(RETRY_S)
        self.clock.resolve("192.0.2.9")
        self.assertEqual(self.address("192.0.2.9"), "198.51.100.1")
        self.assertEqual(self.address("192.0.2.8"), "192.0.2.8")
        self.clock.advance(RETRY_S)
        self.assertEqual(self.clock.asked, [])

    def test_log(self) -> None:
        """That a name resolves no more is logged once, and so is that it does again."""
        answers: tuple[tuple[str, ...], ...] = ((), (), ("192.0.2.8",), ("192.0.2.8",), ())
        with capturedLogs() as events:
            for addresses in answers:
                self.clock.resolve(*addresses)
                self.clock.advance(RESOLVE_S)
        levels = [event["log_level"].name for event in events]
        self.assertEqual(levels, ["warn", "info", "warn"])

    def test_slow_resolution(self) -> None:
        """A name is not asked again while it is being asked."""
        self.clock.advance(RESOLVE_S)
        self.assertEqual(len(self.clock.asked), 1)

    def test_unix_socket(self) -> None:
        """A peer without an address has none."""
        self.assertEqual(self.names.client_address("", [b"198.51.100.1"]), "")

    def test_stop(self) -> None:
        """No timer stays."""
        self.clock.resolve("192.0.2.8")
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        self.names.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer_after_the_stop(self) -> None:
        """It begins nothing anew."""
        self.names.stopService()
        self.clock.resolve("192.0.2.8")
        self.assertEqual(self.clock.getDelayedCalls(), [])
