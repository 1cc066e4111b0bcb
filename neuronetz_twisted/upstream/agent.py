"""Requests to model hosts: an agent with a pool of its own, under a lean client of treq's.

Nothing goes out but what is written here, and of an answer's head little comes back: no cookies, no
redirects, no encodings, no retries but one (SPEC 6). `OllamaClient.ask` goes straight to the agent
and keeps treq's response API; stock `treq.client.HTTPClient` has one cookie jar for all callers,
follows redirects and offers gzip on every call.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import define, field
from treq.client import HTTPClient
from treq.response import _Response
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.connection import Exchange
from neuronetz_twisted.upstream.pool import Pool
from neuronetz_twisted.upstream.targets import Target, target_of

JSON = b"application/json"
JSON_HEADERS = Headers({b"content-type": [JSON]})
"""All that a request of ours has to say for itself; nothing of a client's (SPEC 2, R4)."""

_BEHIND_SCHEME = len(b"https://")
_HEADS_KEPT = 64
_METHODS = frozenset({b"GET", b"POST"})
_PATH = re.compile(rb"/[!-~]*")


@implementer(IBodyProducer)
@define
class BytesProducer:
    """A request's body, there at once. `sent` is called each time it goes out."""

    body: bytes = field(repr=False)
    sent: Callable[[], None]

    @property
    def length(self) -> int:
        """The body's, in bytes."""
        return len(self.body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it, for an agent that does not take it as it is."""
        self.sent()
        consumer.write(self.body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to pause."""

    def resumeProducing(self) -> None:
        """Nothing is left to resume."""

    def stopProducing(self) -> None:
        """Nothing is left to stop."""


_NO_BODY = BytesProducer(b"", lambda: None)


@implementer(IAgent)
class OllamaAgent:
    """Asks the backends that it was made for, and nobody else.

    Of each backend as many requests are under way as it has slots, and as many wait, `wait_s`
    seconds at most; one that has no place fails with `PoolFull`. `connect_s` bounds the time to
    connect. What is cancelled is closed at once and fails with `CancelledError`. A head that is not
    HTTP fails with `UpstreamNonsense`; a connection that is lost before it, with
    `ResponseNeverReceived`.
    """

    def __init__(
        self, reactor: Any, backends: Sequence[Backend], *, connect_s: float, wait_s: float
    ) -> None:
        self.pools: Mapping[str, Pool] = {
            backend.name: Pool(
                clock=reactor,
                name=backend.name,
                places=backend.slots,
                wait_s=wait_s,
                connect_s=connect_s,
            )
            for backend in backends
        }
        self._targets: Mapping[bytes, tuple[Target, Pool]] = {
            backend.address_of(""): (
                target_of(reactor, backend, connect_s),
                self.pools[backend.name],
            )
            for backend in backends
        }
        self._head_of = lru_cache(_HEADS_KEPT)(self._make_head)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a GET or a POST; fires with the response's head, its body unread.

        Of `headers` only the content type goes out, and a body is a `BytesProducer`. Raises
        `ValueError` for whatever else, which is a fault of ours.
        """
        body = _NO_BODY if bodyProducer is None else bodyProducer
        if not isinstance(body, BytesProducer):
            raise ValueError("not a body that is there at once")  # noqa: TRY004 - as above
        # Nearly all have these, and to look into them costs as much as to know a head.
        content_type = JSON if headers is JSON_HEADERS else _content_type_of(headers)
        target, pool, head = self._head_of(method, uri, content_type)
        content = body.body
        exchange = Exchange(target, b"%b%d\r\n\r\n%b" % (head, len(content), content), body.sent)
        pool.run(exchange)
        return exchange.answer

    def close(self) -> Deferred[Any]:
        """Close every connection; fires when nothing is left."""
        return gatherResults([pool.close() for pool in self.pools.values()])

    def _make_head(
        self, method: bytes, uri: bytes, content_type: bytes | None
    ) -> tuple[Target, Pool, bytes]:
        """Where a request goes, and its head up to the length of its body."""
        begin = uri.find(b"/", _BEHIND_SCHEME)
        found, path = self._targets.get(uri[:begin]), uri[begin:]
        if found is None or method not in _METHODS or not _PATH.fullmatch(path):
            raise ValueError("not a request to one of the backends")
        target, pool = found
        told = b"" if content_type is None else b"Content-Type: %b\r\n" % content_type
        return target, pool, b"%b %b%b%bContent-Length: " % (method, path, target.head, told)


def _content_type_of(headers: Headers | None) -> bytes | None:
    types = None if headers is None else headers.getRawHeaders(b"content-type")
    return types[0] if types else None


class OllamaClient(HTTPClient):
    """A client that sends what it is given and nothing else."""

    def ask(
        self,
        method: bytes,
        url: bytes,
        body: bytes | None = None,
        sent: Callable[[], None] = lambda: None,
    ) -> Deferred[IResponse]:
        """Send one request; fires with the response's head, its body unread.

        `sent` is called when the request goes out. Cancelling closes the connection.
        """
        if body is None:
            asked = self._agent.request(method, url)
        else:
            asked = self._agent.request(method, url, JSON_HEADERS, BytesProducer(body, sent))
        return asked.addCallback(_Response, self._cookiejar)


class UpstreamConnections(Service):
    """Closes the connections of agents when the gateway stops."""

    name = "upstream"

    def __init__(self, *agents: OllamaAgent) -> None:
        self._agents = agents

    def stopService(self) -> Deferred[Any]:
        """Fires when nothing is left of them."""
        super().stopService()
        return gatherResults([agent.close() for agent in self._agents])
