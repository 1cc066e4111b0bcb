"""Which peers are trusted proxies, their names resolved off the path of requests (SPEC 5)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostResolution,
    IResolutionReceiver,
)
from twisted.logger import Logger
from zope.interface import implementer

from neuronetz_twisted.edge.address import TrustedProxies, client_address, trusts

RESOLVE_S = 60.0
RETRY_S = 5.0
"""How soon a name that did not resolve is asked again."""


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

    A name that does not resolve keeps the addresses that it had: a fault of the resolver must not
    make all callers behind a proxy look like one.
    """

    name = "proxies"
    _log = Logger()

    def __init__(self, reactor: Any, proxies: TrustedProxies) -> None:
        self._reactor = reactor
        self._proxies = proxies
        self._addresses: dict[str, frozenset[str]] = {}
        self._unresolved: set[str] = set()
        self._next: dict[str, IDelayedCall] = {}

    def client_address(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """The caller's address behind a peer, empty where that has none (a Unix socket's)."""
        return client_address(peer, forwarded, self._proxies)

    def is_trusted(self, host: str) -> bool:
        """Whether a peer is one of the proxies."""
        return trusts(self._proxies, host)

    def startService(self) -> None:
        """Resolve now, and each name again some time after its answer."""
        super().startService()
        for name in self._proxies.names:
            self._ask(name)

    def stopService(self) -> None:
        """Resolve no more."""
        super().stopService()
        for call in self._next.values():
            call.cancel()
        self._next.clear()

    def _ask(self, name: str) -> None:
        self._next.pop(name, None)
        receiver = _Addresses(partial(self._resolved, name))
        self._reactor.nameResolver.resolveHostName(receiver, name)

    def _resolved(self, name: str, addresses: frozenset[str]) -> None:
        if not self.running:
            return
        if addresses:
            self._trust(name, addresses)
        elif name not in self._unresolved:
            self._unresolved.add(name)
            self._log.warn("trusted proxy {proxy} does not resolve", proxy=name)
        wait_s = RESOLVE_S if addresses else RETRY_S
        self._next[name] = self._reactor.callLater(wait_s, self._ask, name)

    def _trust(self, name: str, addresses: frozenset[str]) -> None:
        if name in self._unresolved:
            self._unresolved.discard(name)
            self._log.info("trusted proxy {proxy} resolves again", proxy=name)
        self._addresses[name] = addresses
        self._proxies = self._proxies.with_names(
            address for found in self._addresses.values() for address in found
        )
