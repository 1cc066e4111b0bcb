"""Where one backend's requests go, prepared once: an endpoint, and the beginning of its heads."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import idna
from attrs import field, frozen
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS

from neuronetz_twisted.hosts import is_address
from neuronetz_twisted.upstream.backends import Backend

_PORTS = {"http": 80, "https": 443}
_IPV4 = 4


@frozen(eq=False)
class Target:
    """One backend as its connections know it.

    `head` follows the path in each request: version, `Host` and the backend's own token. A
    connection that is `secure` is not there before TLS has shaken hands.
    """

    endpoint: IStreamClientEndpoint
    head: bytes = field(repr=False)
    secure: bool = False


def target_of(reactor: Any, backend: Backend, connect_timeout_s: float) -> Target:
    """The target of a backend, whose URL was checked with the settings (SPEC 10)."""
    parts = urlsplit(backend.url)
    name = parts.hostname or ""
    host = name if is_address(name) else idna.encode(name).decode("ascii")
    port = parts.port or _PORTS[parts.scheme]
    endpoint = _endpoint(reactor, host, port, connect_timeout_s)
    secure = parts.scheme == "https"
    if secure:
        endpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
    shown = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        shown = f"{shown}:{port}"
    fields = [(b"Host", shown.encode("ascii"))]
    if backend.token_header is not None:
        fields.append(backend.token_header)
    head = b" HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % each for each in fields)
    return Target(endpoint, head, secure)


def _endpoint(
    reactor: Any, host: str, port: int, connect_timeout_s: float
) -> IStreamClientEndpoint:
    """An endpoint that resolves names only: the resolver's threads are shared, and may hang."""
    if not is_address(host):
        return HostnameEndpoint(reactor, host, port, timeout=connect_timeout_s)
    kind = TCP4ClientEndpoint if ip_address(host).version == _IPV4 else TCP6ClientEndpoint
    return kind(reactor, host, port, timeout=connect_timeout_s)
