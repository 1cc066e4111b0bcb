"""Where requests go, and what their heads begin with."""

from attrs import evolve
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.targets import Target, target_of

BACKEND = Backend(name="a", url="http://192.0.2.1:11434")


def target(url: str) -> Target:
    """Make the target of a backend at a URL."""
    return target_of(MemoryReactorClock(), evolve(BACKEND, url=url), 5.0)


class TargetTests(SynchronousTestCase):
    def test_host(self) -> None:
        """`Host` is the URL's, without a port that its scheme implies (RFC 9110, 7.2)."""
        for url, host in (
            ("http://ollama:11434", b"ollama:11434"),
            ("http://ollama", b"ollama"),
            ("http://ollama:80", b"ollama"),
            ("http://ollama:443", b"ollama:443"),
            ("https://ollama:443", b"ollama"),
            ("https://ollama:80", b"ollama:80"),
            ("http://192.0.2.1:11434", b"192.0.2.1:11434"),
            ("http://[2001:db8::1]", b"[2001:db8::1]"),
            ("http://[2001:db8::1]:11434", b"[2001:db8::1]:11434"),
            ("http://bücher.example", b"xn--bcher-kva.example"),
        ):
            with self.subTest(url=url):
                self.assertEqual(target(url).head, b" HTTP/1.1\r\nHost: %b\r\n" % host)

    def test_token(self) -> None:
        """The backend's own token goes out with every request, and is not shown."""
        backend = evolve(BACKEND, token_header=(b"X-Token", b"canary"))
        made = target_of(MemoryReactorClock(), backend, 5.0)
        self.assertEqual(made.head, b" HTTP/1.1\r\nHost: 192.0.2.1:11434\r\nX-Token: canary\r\n")
        self.assertNotIn("canary", repr(made))

    def test_endpoints(self) -> None:
        """Addresses are not looked up; names are; https is not plain."""
        for url, kind in (
            ("http://192.0.2.1", TCP4ClientEndpoint),
            ("http://[2001:db8::1]", TCP6ClientEndpoint),
            ("http://ollama", HostnameEndpoint),
        ):
            with self.subTest(url=url):
                self.assertIs(type(target(url).endpoint), kind)
                secure = target(url.replace("http:", "https:")).endpoint
                self.assertNotIsInstance(secure, kind)

    def test_names_are_their_own(self) -> None:
        """Two backends are two targets, whatever they have in common."""
        self.assertNotEqual(target(BACKEND.url), target(BACKEND.url))
