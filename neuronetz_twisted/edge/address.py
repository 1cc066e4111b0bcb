"""Whose address a request comes from, where proxies stand before us.

A header is believed only from a proxy that the operator trusts; otherwise a client could choose
the address that his failures are counted under (SPEC 5).
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import field, frozen

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IN_BRACKETS = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?")
_V4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_MAPPED_BITS = 96

REMEMBERED = 4096
"""Addresses whose reading is kept: a client comes again, and reading one costs as much as a key."""


@frozen(kw_only=True)
class TrustedProxies:
    """The proxies whose `X-Forwarded-For` is believed.

    `names` are for whoever resolves them off the request path; `with_names` takes the result.
    """

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    resolved: frozenset[Address] = frozenset()
    _judged: dict[Address, bool] = field(factory=dict, init=False, eq=False, repr=False)

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "TrustedProxies":
        """Read checked entries of the configuration; what is no address or network is a name."""
        networks: list[Network] = []
        names: set[str] = set()
        for entry in entries:
            try:
                networks.append(_plain_network(ip_network(entry, strict=False)))
            except ValueError:
                names.add(entry.lower())
        return cls(networks=tuple(networks), names=frozenset(names))

    def with_names(self, resolved: Iterable[str]) -> "TrustedProxies":
        """Give the same proxies with the addresses that their names stand for now."""
        addresses = frozenset(
            address for text in resolved if (address := _parsed(text)) is not None
        )
        return TrustedProxies(networks=self.networks, names=self.names, resolved=addresses)

    def __contains__(self, address: Address) -> bool:
        judged = self._judged.get(address)
        if judged is None:
            if len(self._judged) >= REMEMBERED:
                self._judged.clear()
            judged = address in self.resolved or any(address in one for one in self.networks)
            self._judged[address] = judged
        return judged


def client_address(peer: str, forwarded: Sequence[bytes], trusted: TrustedProxies) -> str:
    """Find the client's address, IPv4 in IPv6 written as IPv4.

    `peer` is the TCP peer, `forwarded` the values of all `X-Forwarded-For` lines in order. That is
    the right-most entry which is no trusted proxy, if the peer is one; the peer where an entry
    cannot be read or none is left.
    """
    if not forwarded:
        return _plain(peer)
    peer_address = _parsed(peer)
    if peer_address is None or peer_address not in trusted:
        return _plain(peer)
    for entry in reversed(b",".join(forwarded).split(b",")):
        text = entry.strip(b" \t")
        if not text:
            continue  # RFC 9110 5.6.1: empty elements of a list are ignored
        address = _entry(text)
        if address is None:
            break
        if address not in trusted:
            return str(address)
    return str(peer_address)


def trusts(proxies: TrustedProxies, peer: str) -> bool:
    """Whether a TCP peer is a trusted proxy."""
    address = _parsed(peer)
    return address is not None and address in proxies


@lru_cache(maxsize=REMEMBERED)
def bucket_key(address: str) -> str:
    """Name the bucket that an address counts in: IPv6 by /64, since one host owns all of that."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def _entry(text: bytes) -> Address | None:
    """Read one forwarded entry: an address, IPv6 perhaps in brackets, perhaps with a port."""
    if not text.isascii() or b"%" in text:
        return None
    word = text.decode("ascii")
    match = _IN_BRACKETS.fullmatch(word) or _V4_WITH_PORT.fullmatch(word)
    return _parsed(match[1] if match else word)


@lru_cache(maxsize=REMEMBERED)
def _plain(peer: str) -> str:
    """A peer's address without its scope, IPv4 in IPv6 written as IPv4."""
    address = _parsed(peer)
    return peer if address is None else str(address)


@lru_cache(maxsize=REMEMBERED)
def _parsed(text: str) -> Address | None:
    """Read an address without its scope; IPv4 in IPv6 becomes IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _plain_network(network: Network) -> Network:
    """Write a network of IPv4 in IPv6 as the IPv4 one."""
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
