"""Hosts that can be connected to, and names that can be looked up."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.hosts import is_address, is_host, is_resolvable

NAMES = ("ollama", "Ollama", "my-host.example", "host.example.", "1.2.3", "x" * 63)
ADDRESSES = ("127.0.0.1", "::1", "fe80::1%eth0")
IMPOSSIBLE = ("", ".", "a..b", ".a", "x" * 64, "-a", "a-", "a b", "[::1]", "x." * 127 + "x", "a@b")


class HostTests(SynchronousTestCase):
    def test_both(self) -> None:
        """Addresses and plain names serve everybody."""
        for text in NAMES + ADDRESSES:
            with self.subTest(text=text):
                self.assertTrue(is_host(text))
                self.assertTrue(is_resolvable(text))
                self.assertIs(is_address(text), text in ADDRESSES)

    def test_neither(self) -> None:
        """Empty or long labels, and what no name is made of."""
        for text in IMPOSSIBLE:
            with self.subTest(text=text):
                self.assertFalse(is_host(text))
                self.assertFalse(is_resolvable(text))

    def test_container_names(self) -> None:
        """An underscore can be looked up, but Twisted does not connect to such a name."""
        self.assertTrue(is_resolvable("my_caddy"))
        self.assertFalse(is_host("my_caddy"))
