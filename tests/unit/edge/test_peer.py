"""Who is at the other end, also behind the PROXY protocol."""

from typing import Any, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.connections import ConnectionLimits
from neuronetz_twisted.edge.peer import PeerProtocol
from neuronetz_twisted.testing.http import HOST, PEER, MemoryConnection
from tests.unit.edge.house import KEY, House
from tests.unit.edge.plain import PlainSite, SlowReader

PROXY_LINE = b"PROXY TCP4 198.51.100.7 192.0.2.9 40000 8080\r\n"
REQUEST = b"GET /api/tags HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\n\r\n" % KEY.encode()


class PeerTests(SynchronousTestCase):
    def joined(self, transport: StringTransport) -> PeerProtocol:
        """A protocol on a transport."""
        protocol = PeerProtocol()
        protocol.makeConnection(transport)
        return protocol

    def test_addresses(self) -> None:
        """Its own and ours; a local socket has no host."""
        peer = self.joined(StringTransport(hostAddress=HOST, peerAddress=PEER))
        self.assertEqual((peer.host, peer.caller_host), (PEER.host, PEER.host))
        local = self.joined(StringTransport(peerAddress=UNIXAddress("/run/x")))
        self.assertEqual((local.host, local.caller_host), (None, ""))

    def test_owes(self) -> None:
        """While something is written and not yet taken."""
        reader = SlowReader(PlainSite().site)
        (channel,) = reader.protocol.factory.channels  # type: ignore[attr-defined]
        self.assertFalse(channel.owes)
        channel.write(b"ab")
        self.assertTrue(channel.owes)
        reader.reads(2)
        self.assertFalse(channel.owes)
        reader.leave()


class ProxyProtocolTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway behind `haproxy:`, with room for one connection from an address."""
        self.house = House(ConnectionLimits(total=2, per_address=1))
        self.factory = cast("Any", HAProxyWrappingFactory(self.house.site))

    def test_who_asks(self) -> None:
        """The address of the header is recorded; the one of the connection is counted."""
        client = MemoryConnection(self.factory)
        client.send(PROXY_LINE)
        client.send(REQUEST)
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(self.house.sink.events[0]["address"], "198.51.100.7")
        self.assertEqual(list(self.house.site.connections._addresses), [PEER.host])
        client.leave()
        self.assertEqual(self.house.site.connections._addresses, {})

    def test_one_too_many(self) -> None:
        """It is reset at once, and not left open."""
        client = MemoryConnection(self.factory)
        other = MemoryConnection(self.factory)
        self.assertEqual((client.reset, other.reset), (False, True))
        client.leave()
        other.leave()
        self.house.site.connections.stop()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])
