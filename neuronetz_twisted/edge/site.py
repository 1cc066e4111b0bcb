"""The factory of connections, and the service that opens and closes the port."""

from collections.abc import Callable
from typing import Any, cast

from OpenSSL.crypto import Error as SSLError
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from neuronetz_twisted.config import Settings
from neuronetz_twisted.edge.channel import GatewayChannel
from neuronetz_twisted.edge.connections import ConnectionLimits, Connections
from neuronetz_twisted.edge.cors import CrossOrigin
from neuronetz_twisted.edge.leaving import TurnedAway
from neuronetz_twisted.edge.preflights import Preflights
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.edge.responses import DateField
from neuronetz_twisted.errors import Refusal

BACKLOG = 1024
CLOSE_S = 6.0
"""Longer than a broken answer has to be read (`CUT_S` in edge/deadlines.py)."""

CLOSE_POLL_S = 0.05


ENDPOINT_FAILURES = (
    CannotListenError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SSLError,
    TypeError,
    ValueError,
)
"""What Twisted's parsers of endpoint strings raise for one that they cannot use."""


class CannotOpen(Exception):  # noqa: N818 - states what happened
    """The port cannot be opened; one plain line says why."""


class GatewaySite(ServerFactory):
    """The factory of channels.

    `begin` starts what answers a request, `refuse` answers what is none. `now` is the wall clock,
    in seconds since 1970. `cross_origin` knows the pages that may call from browsers; without it
    no answer says anything of that. There is no access log: it would hold paths and queries, and
    the record says more.
    """

    noisy = False

    def __init__(  # noqa: PLR0913 - its parts, given once
        self,
        reactor: IReactorTime,
        *,
        begin: Callable[[GatewayRequest], None],
        refuse: Callable[[GatewayRequest, Refusal], None],
        max_body_bytes: int,
        limits: ConnectionLimits,
        now: Callable[[], float],
        cross_origin: CrossOrigin | None = None,
    ) -> None:
        self.clock = reactor
        self.cross_origin = cross_origin
        self.begin = begin if cross_origin is None else Preflights(cross_origin, begin).begin
        self.refuse = refuse
        self.max_body_bytes = max_body_bytes
        self.connections = Connections(reactor, limits)
        self.closing = False
        self._now = now
        self._date = DateField()

    def buildProtocol(self, addr: IAddress | None) -> GatewayChannel | TurnedAway:  # type: ignore[override]
        """A channel for one more connection if there may be one, else what resets it."""
        host = addr.host if isinstance(addr, IPv4Address | IPv6Address) else None
        if not self.connections.may_open(host):
            return TurnedAway()
        channel = GatewayChannel()
        channel.factory = self
        return channel

    def date_line(self) -> bytes:
        """The `Date` field of an answer that begins now."""
        return self._date.line(self._now())

    async def close(self) -> None:
        """Close idle connections now, the others when they are done or after `CLOSE_S`.

        Requests whose answer has not begun are refused; running calls are cut by `LiveCalls`.
        """
        self.closing = True
        deadline = self.clock.seconds() + CLOSE_S
        while len(self.connections) and self.clock.seconds() < deadline:
            for channel in self.channels:
                channel.stop()
            await deferLater(self.clock, CLOSE_POLL_S)
        for channel in self.channels:
            channel.abort()
        self.connections.stop()

    @property
    def channels(self) -> list[GatewayChannel]:
        """Those that are open now."""
        return cast("list[GatewayChannel]", self.connections.all())


class EdgeService(Service):
    """The open port. `listen` is awaited by the start, so that a failure ends the process."""

    name = "edge"
    _log = Logger()

    def __init__(self, reactor: Any, description: str, site: GatewaySite) -> None:
        self._reactor = reactor
        self._description = description
        self._site = site
        self._port: IListeningPort | None = None

    async def listen(self) -> IListeningPort:
        """Open the port. Raises `CannotOpen`."""
        try:
            endpoint = serverFromString(self._reactor, self._description)
            self._port = await endpoint.listen(self._site)
        except ENDPOINT_FAILURES as error:
            raise CannotOpen(f"{self._description}: {error}") from None
        self._log.info("listening on {address}", address=_where(self._port.getHost()))
        return self._port

    def stopService(self) -> Deferred[None]:
        """Close the port, then the connections."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._port is not None:
            port, self._port = self._port, None
            await _stopped(port)
        await self._site.close()


def _where(address: IAddress) -> str:
    if isinstance(address, IPv4Address | IPv6Address):
        host = f"[{address.host}]" if isinstance(address, IPv6Address) else address.host
        return f"http://{host}:{address.port}"
    return str(address)


async def _stopped(port: IListeningPort) -> None:
    stopping = port.stopListening()
    if stopping is not None:
        await stopping


def endpoint_description(settings: Settings) -> str:
    """The endpoint string that the settings mean (SPEC 10)."""
    if settings.endpoint is not None:
        return settings.endpoint
    host = quoteStringArgument(settings.bind_host)
    return f"tcp:{settings.bind_port}:interface={host}:backlog={BACKLOG}"
