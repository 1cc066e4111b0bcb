"""Which peers are trusted proxies, their names resolved off the path of requests (SPEC 5)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from neuronetz_twisted.edge.address import TrustedProxies, client_address
from neuronetz_twisted.edge.request import GatewayRequest

RESOLVE_S = 60.0


@implementer(IResolutionReceiver)
@define
class _Addresses:
    """Collects the addresses of one name."""

    done: Callable[[frozenset[str]], None]
    found: set[str] = field(factory=set)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to keep: a look-up in a thread cannot be cancelled."""

    def addressResolved(self, address: IAddress) -> None:
        """Keep one address."""
        if isinstance(address, IPv4Address | IPv6Address):
            self.found.add(address.host)

    def resolutionComplete(self) -> None:
        """All are known."""
        self.done(frozenset(self.found))


class ProxyNames(Service):
    """Finds the address of callers; knows what the names of proxies mean at the moment.

    A name that does not resolve is logged once and ignored.
    """

    name = "proxies"
    _log = Logger()

    def __init__(self, reactor: Any, proxies: TrustedProxies) -> None:
        self._reactor = reactor
        self._proxies = proxies
        self._addresses: dict[str, frozenset[str]] = {}
        self._asking: set[str] = set()
        self._loop = LoopingCall(self._resolve)
        self._loop.clock = reactor

    def client_address(self, request: GatewayRequest) -> str:
        """The caller's address as text; a Unix socket's peer has the empty one."""
        peer = request.getClientAddress()
        host = peer.host if isinstance(peer, IPv4Address | IPv6Address) else ""
        forwarded = request.requestHeaders.getRawHeaders(b"x-forwarded-for", [])
        return client_address(host, forwarded, self._proxies)

    def startService(self) -> None:
        """Resolve now and every minute."""
        super().startService()
        if self._proxies.names:
            self._loop.start(RESOLVE_S)

    def stopService(self) -> None:
        """Resolve no more."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def _resolve(self) -> None:
        for name in self._proxies.names - self._asking:
            self._asking.add(name)
            receiver = _Addresses(partial(self._resolved, name))
            self._reactor.nameResolver.resolveHostName(receiver, name)

    def _resolved(self, name: str, addresses: frozenset[str]) -> None:
        self._asking.discard(name)
        if not addresses and self._addresses.get(name) != addresses:
            self._log.warn("trusted proxy {proxy} does not resolve", proxy=name)
        self._addresses[name] = addresses
        self._proxies = self._proxies.with_names(
            address for found in self._addresses.values() for address in found
        )
