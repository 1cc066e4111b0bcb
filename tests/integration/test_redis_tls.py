"""`rediss://` on a real server behind a TLS listener: only the right certificate will do."""

import os
import tempfile
from pathlib import Path

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import PrivateCertificate
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.stores.redis import RedisGate
from tests.certificates import self_signed
from tests.integration.killable_redis import KillableRedis
from tests.waiting import reactor, until


class Joined(Protocol):
    """One side of a forwarded connection."""

    transport: ITransport

    def __init__(self) -> None:
        self.other: Joined | None = None
        self.held = b""

    def join(self, other: "Joined") -> None:
        """Send to `other`, first what has come already."""
        self.other = other
        other.transport.write(self.held)

    def dataReceived(self, data: bytes) -> None:
        """Forward, or hold until there is somebody."""
        if self.other is None:
            self.held += data
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        """Close the other side."""
        if self.other is not None:
            self.other.transport.loseConnection()


class Front(Factory):
    """Forwards each connection to a Unix socket."""

    noisy = False

    def __init__(self, path: str) -> None:
        self.endpoint = UNIXClientEndpoint(reactor, path)

    def buildProtocol(self, addr: IAddress | None) -> Joined:  # noqa: ARG002
        """Join a new connection with one of its own to the socket."""
        near, far = Joined(), Joined()
        factory = Factory.forProtocol(lambda: far)
        factory.noisy = False

        def join(_: Protocol) -> None:
            near.join(far)
            far.join(near)

        self.endpoint.connect(factory).addCallback(join)
        return near


class NetworkTests(TestCase):
    timeout = 30

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Have a server, which listens on a Unix socket only."""
        self.server = KillableRedis("s3cret")
        self.addCleanup(self.server.clean_up)
        await self.server.start()

    async def gate_to(self, endpoint: IStreamServerEndpoint, host: str, *, tls: bool) -> RedisGate:
        """A gate that connects to a listener in front of the server."""
        port = await endpoint.listen(Front(str(self.server.target().path)))
        self.addCleanup(port.stopListening)
        number = port.getHost().port  # type: ignore[attr-defined] # an IPv4Address here
        target = RedisTarget(host=host, port=number, tls=tls, password="s3cret")
        # TLS between two ends of one process takes more turns than a usual deadline allows for.
        gate = RedisGate(reactor, target, timeout_ms=1000)
        gate.startService()
        self.addCleanup(gate.stopService)
        return gate

    async def tls_gate(self, *, name: str, trusted: bool) -> RedisGate:
        """A gate to a listener with a certificate for `name`, which the system trusts or not."""
        pem = self_signed(name)
        file = Path(tempfile.mkdtemp(prefix="nz-tls-")) / "roots.pem"
        self.addCleanup(file.parent.rmdir)
        self.addCleanup(file.unlink)
        file.write_bytes(pem if trusted else self_signed(name))
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(file)
        self.addCleanup(self.restore, before)
        options = PrivateCertificate.loadPEM(pem).options()
        listener = SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
        return await self.gate_to(listener, "localhost", tls=True)

    def restore(self, roots: str | None) -> None:
        """Trust again who was trusted before."""
        if roots is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = roots

    async def reason(self, gate: RedisGate) -> str:
        """Why the gate is not up, once it has tried."""
        reasons: list[str] = []

        def tried() -> bool:
            failure = self.failureResultOf(gate.call(b"PING"), RedisUnavailable)
            reasons.append(str(failure.value))
            return reasons[-1] != reasons[0]

        await until(tried)
        self.assertFalse(gate.up)
        return reasons[-1]

    async def test_tcp(self) -> None:
        """A gate over TCP works as over a Unix socket."""
        listener = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        gate = await self.gate_to(listener, "127.0.0.1", tls=False)
        await until(lambda: gate.up)
        self.assertEqual(await gate.call(b"ECHO", b"\x00\xff"), b"\x00\xff")

    async def test_trusted(self) -> None:
        """A certificate of the host, signed by a trusted root, will do."""
        gate = await self.tls_gate(name="localhost", trusted=True)
        await until(lambda: gate.up)
        self.assertEqual(await gate.call(b"ECHO", b"\x00\xff"), b"\x00\xff")

    async def test_untrusted(self) -> None:
        """A certificate that no trusted root has signed will not do, and the reason is told."""
        gate = await self.tls_gate(name="localhost", trusted=False)
        self.assertIn("certificate verify failed", await self.reason(gate))

    async def test_other_host(self) -> None:
        """A trusted certificate of another host will not do."""
        gate = await self.tls_gate(name="other.example", trusted=True)
        self.assertIn("DNSMismatch", await self.reason(gate))
