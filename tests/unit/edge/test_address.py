"""The client's address behind proxies, and the bucket it counts in."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.address import (
    REMEMBERED,
    TrustedProxies,
    bucket_key,
    client_address,
    trusts,
)

# A loaded machine is slow; that is no failure.
UNHURRIED = settings(deadline=None)

TRUSTED = TrustedProxies.parse(["10.0.0.1", "192.168.0.0/16", "fd00::/8", "caddy"])


class ClientAddressTests(SynchronousTestCase):
    def assertClient(self, expected: str, *lines: bytes, peer: str = "10.0.0.1") -> None:
        """The lines of X-Forwarded-For lead to this address."""
        self.assertEqual(client_address(peer, lines, TRUSTED), expected, lines)

    def test_an_untrusted_peer_is_the_client(self) -> None:
        """Nobody chooses his own address."""
        self.assertClient("203.0.113.9", b"1.2.3.4", peer="203.0.113.9")

    def test_the_right_most_untrusted_entry_counts(self) -> None:
        """What stands left of it was written by the client."""
        self.assertClient("203.0.113.9", b"1.2.3.4, 203.0.113.9")
        self.assertClient("203.0.113.9", b"1.2.3.4, 203.0.113.9, 192.168.7.7")

    def test_all_lines_are_one_list(self) -> None:
        """Several header lines are read in their order (RFC 9110 5.3)."""
        self.assertClient("203.0.113.9", b"1.2.3.4", b"203.0.113.9,192.168.7.7", b"192.168.7.8")

    def test_without_an_untrusted_entry_the_peer_counts(self) -> None:
        """No header, an empty one, or only proxies."""
        self.assertClient("10.0.0.1")
        self.assertClient("10.0.0.1", b"")
        self.assertClient("10.0.0.1", b" , ,")
        self.assertClient("10.0.0.1", b"192.168.0.1, fd00::1")

    def test_an_entry_that_cannot_be_read_means_the_peer(self) -> None:
        """Guessing would let a client through under a made-up address."""
        for entry in (
            b"unknown",
            b"_hidden",
            b"1.2.3",
            b"1.2.3.4:port",
            b"[::1",
            b"\xff",
            b"1.2.3.04",
        ):
            self.assertClient("10.0.0.1", b"203.0.113.9, " + entry)
        self.assertClient("10.0.0.1", b"fe80::1%" + b"x" * 100)

    def test_nonsense_left_of_the_client_does_no_harm(self) -> None:
        """It is not looked at."""
        self.assertClient("203.0.113.9", b"unknown, 203.0.113.9")

    def test_ports_and_brackets(self) -> None:
        """Some proxies add the port."""
        self.assertClient("203.0.113.9", b"203.0.113.9:4711")
        self.assertClient("2001:db8::1", b"[2001:db8::1]:4711")
        self.assertClient("2001:db8::1", b"[2001:db8::1]")
        self.assertClient("2001:db8::1", b"2001:DB8:0::1")

    def test_ipv4_in_ipv6_is_ipv4(self) -> None:
        """Also where it decides on trust: a dual-stack socket shows every peer this way."""
        self.assertClient("203.0.113.9", b"::ffff:203.0.113.9", peer="::ffff:10.0.0.1")
        self.assertClient("203.0.113.9", b"1.2.3.4", peer="::ffff:203.0.113.9")

    def test_a_peer_without_an_address_stands_for_itself(self) -> None:
        """A Unix socket has none, and no header is believed."""
        self.assertClient("", b"1.2.3.4", peer="")

    @UNHURRIED
    @given(st.binary(max_size=80))
    def test_any_bytes_give_an_address(self, line: bytes) -> None:
        """Whatever the header holds, the answer is an address."""
        ip_address(client_address("10.0.0.1", [line], TRUSTED))


class TrustedProxiesTests(SynchronousTestCase):
    def test_names_are_trusted_once_resolved(self) -> None:
        """A name stands for the addresses it was given last, and for none before."""
        self.assertEqual(TRUSTED.names, {"caddy"})
        self.assertNotIn(ip_address("172.18.0.2"), TRUSTED)
        first = TRUSTED.with_names(["172.18.0.2", "::ffff:172.18.0.3", "nonsense"])
        self.assertIn(ip_address("172.18.0.2"), first)
        self.assertIn(ip_address("172.18.0.3"), first)
        self.assertIn(ip_address("10.0.0.1"), first)
        self.assertNotIn(ip_address("172.18.0.2"), first.with_names(["172.18.0.9"]))

    def test_networks_with_host_bits_and_mapped_ones(self) -> None:
        """`10.1.2.3/8` means its network, and IPv4 in IPv6 the IPv4 one."""
        proxies = TrustedProxies.parse(["10.1.2.3/8", "::ffff:192.0.2.0/120", "2001:db8::1"])
        self.assertIn(ip_address("2001:db8::1"), proxies)
        self.assertIn(ip_address("10.200.0.1"), proxies)
        self.assertIn(ip_address("192.0.2.77"), proxies)
        self.assertNotIn(ip_address("192.0.3.1"), proxies)

    def test_peers(self) -> None:
        """A peer is a proxy, is none, or has no address at all."""
        self.assertTrue(trusts(TRUSTED, "10.0.0.1"))
        self.assertTrue(trusts(TRUSTED, "::ffff:10.0.0.1"))
        self.assertFalse(trusts(TRUSTED, "10.0.0.2"))
        self.assertFalse(trusts(TRUSTED, ""))

    def test_what_is_remembered_is_bounded(self) -> None:
        """However many addresses ask, each is judged right, again and again."""
        proxies = TrustedProxies.parse(["10.0.0.0/8"])
        first = ip_address("10.0.0.0")
        for number in range(REMEMBERED + 2):
            self.assertIn(first + number, proxies)
            self.assertLessEqual(len(proxies._judged), REMEMBERED)
        for _ in range(2):
            self.assertIn(first, proxies)
            self.assertNotIn(ip_address("11.0.0.0"), proxies)

    def test_nobody_is_trusted_by_default(self) -> None:
        """An empty list believes no header."""
        self.assertEqual(client_address("127.0.0.1", [b"1.2.3.4"], TrustedProxies()), "127.0.0.1")


class BucketKeyTests(SynchronousTestCase):
    def test_one_bucket_per_host(self) -> None:
        """IPv4 by address, IPv6 by /64, mapped IPv4 as IPv4, whatever else as it is."""
        self.assertEqual(bucket_key("203.0.113.9"), "203.0.113.9")
        self.assertEqual(bucket_key("::ffff:203.0.113.9"), "203.0.113.9")
        self.assertEqual(bucket_key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64")
        self.assertEqual(bucket_key("2001:db8:1:2::ffff"), "2001:db8:1:2::/64")
        self.assertEqual(bucket_key("fe80::1%eth0"), "fe80::/64")
        self.assertNotEqual(bucket_key("2001:db8:1:3::1"), bucket_key("2001:db8:1:2::1"))
        self.assertEqual(bucket_key(""), "")
