"""A model host behind TLS: the same requests and answers, and nobody who is not that host."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IResponse

from neuronetz_twisted.upstream.bodies import read_bounded
from neuronetz_twisted.upstream.connection import Exchange
from neuronetz_twisted.upstream.pool import Pool
from neuronetz_twisted.upstream.targets import Target
from tests.unit.upstream.network import CHUNKED, LAST_CHUNK, chunk, read


def made_certificate(name: str) -> PrivateCertificate:
    """Make a certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    made: PrivateCertificate = PrivateCertificate.loadPEM(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


class Host(Protocol):
    """The model host's end of a connection."""

    def __init__(self, hosts: "Hosts") -> None:
        self.asked = b""
        self._hosts = hosts

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so, the first time."""
        del reason
        if not self._hosts.lost.called:
            self._hosts.lost.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Answer every request with two chunks; keep what was asked."""
        self.asked += data
        if data == b"endless":
            self.say(CHUNKED + chunk(b"one"))
        else:
            self.say(CHUNKED + chunk(b"one") + chunk(b"two") + LAST_CHUNK)

    def say(self, data: bytes) -> None:
        """Send."""
        assert self.transport is not None
        self.transport.write(data)


class Hosts(Factory):
    """Knows every end, and hears when one was lost."""

    def __init__(self) -> None:
        self.ends: list[Host] = []
        self.lost: Deferred[None] = Deferred()

    def buildProtocol(self, addr: object) -> Host:
        """Make an end."""
        del addr
        self.ends.append(Host(self))
        return self.ends[-1]


class TLSTests(TestCase):
    """On real sockets: Twisted's TLS takes no clock."""

    timeout = 20

    def setUp(self) -> None:
        """A host called `host.test`, and a pool of one place."""
        self.hosts = Hosts()
        self.certificate = made_certificate("host.test")
        kernel = cast("Any", reactor)
        self.port = kernel.listenSSL(
            0, self.hosts, self.certificate.options(), interface="127.0.0.1"
        )
        self.pool = Pool(clock=kernel, places=1, wait_s=9.0, connect_s=9.0)
        self.addCleanup(self.port.stopListening)
        self.addCleanup(self.pool.close)

    def target(self, name: str) -> Target:
        """Make the host a target under a name."""
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        trust = Certificate.loadPEM(self.certificate.dumpPEM().split(b"-----BEGIN PRIV")[0])
        return Target(wrapClientTLS(optionsForClientTLS(name, trustRoot=trust), plain), b"")

    def ask(self, target: Target, request: bytes) -> Deferred[IResponse]:
        """Send a request."""
        exchange = Exchange(target, request, lambda: None)
        self.pool.run(exchange)
        return exchange.answer

    async def test_request_and_answer(self) -> None:
        """They pass, and the connection is used again."""
        target = self.target("host.test")
        for _ in range(2):
            body = read_bounded(await self.ask(target, b"request"), 99)
            self.assertEqual(await body, b"onetwo")
        (end,) = self.hosts.ends
        self.assertEqual(end.asked, b"requestrequest")

    async def test_abort(self) -> None:
        """A held body is closed at once: it does not wait for the host's farewell."""
        reader = read(await self.ask(self.target("host.test"), b"endless"))
        reader.connection.pauseProducing()
        reader.connection.abortConnection()
        await self.hosts.lost
        self.assertIsNotNone(reader.end)

    async def test_another_host(self) -> None:
        """A certificate for another name fails the request, whose bytes nobody gets."""
        answer = self.ask(self.target("other.test"), b"request")
        await self.assertFailure(answer, ResponseNeverReceived)
        (end,) = self.hosts.ends
        self.assertEqual(end.asked, b"")
