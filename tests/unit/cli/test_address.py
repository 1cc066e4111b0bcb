from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.address import base_url
from neuronetz_twisted.config import load


def url_of(host: str) -> str:
    """The URL of a gateway bound to a host."""
    environ = {"DATABASE_URL": "embedded:", "GATEWAY_BIND_HOST": host, "GATEWAY_BIND_PORT": "81"}
    return base_url(load(environ, Path("/nowhere")).settings)


class BaseUrlTests(SynchronousTestCase):
    def test_all_addresses_are_reached_over_loopback(self) -> None:
        """What is bound to everything is called on this machine."""
        self.assertEqual(url_of("0.0.0.0"), "http://127.0.0.1:81")
        self.assertEqual(url_of("::"), "http://[::1]:81")

    def test_one_address_stays(self) -> None:
        """Another address is called as it is, with brackets for IPv6."""
        self.assertEqual(url_of("10.0.0.1"), "http://10.0.0.1:81")
        self.assertEqual(url_of("fd00::1"), "http://[fd00::1]:81")
