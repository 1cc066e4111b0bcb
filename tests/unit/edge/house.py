"""A whole edge with its pipeline, on a clock, between a client and a model host of the test's."""

from twisted.internet.task import Clock

from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.edge.address import TrustedProxies, bucket_key
from neuronetz_twisted.edge.connections import ConnectionLimits
from neuronetz_twisted.edge.cors import CrossOrigin
from neuronetz_twisted.edge.dispatch import Dispatch
from neuronetz_twisted.edge.doors import Doors
from neuronetz_twisted.edge.pages import Pages
from neuronetz_twisted.edge.proxies import ProxyNames
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.edge.routes import Routes
from neuronetz_twisted.edge.site import GatewaySite
from neuronetz_twisted.edge.surfaces import NativeSurfaces
from neuronetz_twisted.pipeline import Pipeline
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.testing.admission import DEFAULTS, FakeCatalog, FakeLimiter, made_admission
from neuronetz_twisted.testing.audit import FakePrompts, FakeTrail, FakeUsage
from neuronetz_twisted.testing.calls import RecordingSink, made_model
from neuronetz_twisted.testing.http import MemoryConnection
from neuronetz_twisted.testing.identity import (
    FakeKeyStore,
    FakePrincipalCache,
    FakeVerifier,
    made_key,
)
from neuronetz_twisted.testing.leases import FakeLeases
from neuronetz_twisted.testing.upstream import ScriptedUpstream

KEY = made_key(1)
BODY_LIMIT = DEFAULTS.max_body_bytes
MAX_PREDICT = DEFAULTS.max_predict
IDLE_S = 600.0
STALL_S = 120.0
WALL = 1_700_000_000.0
LIMITS = ConnectionLimits(total=1000, per_address=1000)


class House:
    """Every room but the stores and the model host is the real one."""

    def __init__(
        self, limits: ConnectionLimits = LIMITS, cross_origin: CrossOrigin | None = None
    ) -> None:
        """One active key, one model."""
        self.clock = Clock()
        self.keys = FakeKeyStore()
        self.row = self.keys.add(KEY)
        self.cache = FakePrincipalCache(self.clock.seconds)
        self.limiter = FakeLimiter()
        self.catalog = FakeCatalog([made_model()])
        self.upstream = ScriptedUpstream()
        self.sink = RecordingSink()
        self.trail = FakeTrail()
        self.usage = FakeUsage()
        self.prompts = FakePrompts()
        self.live = LiveCalls(self.keys, lambda *_: None)
        self.ready = True
        doors = self.doors()
        self.site = GatewaySite(
            self.clock,
            begin=Dispatch(
                Routes(doors, self.pages(), NativeSurfaces.of(hide_timings=False))
            ).begin,
            refuse=doors.refuse,
            max_body_bytes=BODY_LIMIT,
            limits=limits,
            now=lambda: WALL,
            cross_origin=cross_origin,
        )

    def pages(self) -> Pages:
        """The answers that need no model host."""
        return Pages(self.catalog, self.usage, lambda: self.ready, DEFAULTS, self.limiter)

    def doors(self) -> Doors:
        """The doors, with all that is behind them."""
        self.identifier = Identifier(
            store=self.keys,
            cache=self.cache,
            verifier=FakeVerifier(),
            failures=FailureBuckets(limit=20),
            clock=self.clock,
            now=lambda: WALL,
        )
        admission = made_admission(
            self.identifier, self.limiter, self.catalog, self.trail, self.upstream.check
        )
        self.settlement = settlement = Settlement(
            clock=self.clock,
            trail=self.trail,
            limiter=self.limiter,
            estimates=PromptEstimates(),
            log=self.sink,
            prompts=self.prompts,
            bucket_of=bucket_key,
        )
        limits = RelayLimits(idle_s=IDLE_S, stall_s=STALL_S, max_folded_bytes=10_000)
        relay = Relay(self.clock, limits, FakeLeases().source)
        proxies = ProxyNames(self.clock, TrustedProxies.parse(["192.0.2.7"]))
        return Doors(
            clock=self.clock,
            now=lambda: WALL,
            client_address=proxies.client_address,
            request_id_header=b"X-Request-ID",
            defaults=DEFAULTS,
            identifier=self.identifier,
            admission=admission,
            pipeline=Pipeline(admission, self.upstream, self.live, relay, settlement, self.trail),
            settlement=settlement,
            trail=self.trail,
        )

    def connect(self) -> MemoryConnection:
        """A client."""
        return MemoryConnection(self.site)

    def running(self, client: MemoryConnection) -> GatewayRequest:
        """The request of a client that is being answered."""
        request: GatewayRequest = client.protocol._request  # type: ignore[attr-defined]
        return request

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> MemoryConnection:
        """A client that sends one request with the key."""
        headers = {"Authorization": f"Bearer {KEY}", **headers}
        return self.connect().request(method, path, body, **headers)
