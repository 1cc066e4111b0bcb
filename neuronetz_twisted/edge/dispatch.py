"""From a request to its endpoint: Klein's table of routes, without Klein's rendering.

Klein's own resource makes a page of whatever an endpoint gives or raises, even behind the first
bytes of an answer, where an error page and a clean end would follow (SPEC 2, R9). Our endpoints
answer by themselves; what they raise has passed the edge's wall, so nothing true can be said then.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import unquote

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from neuronetz_twisted.edge.request import GatewayRequest

_log = Logger()

Endpoint = Callable[..., Awaitable[None]]


class Table(Protocol):
    """An object whose methods are the endpoints of its Klein app."""

    @property
    def app(self) -> Klein:
        """The app, with its rules."""
        ...


class Dispatch:
    """Finds the endpoint of each request in one table.

    An endpoint is the method of its name: called by Klein it would be a Deferred of its own.
    """

    def __init__(self, table: Table) -> None:
        self._routes = table.app.url_map.bind("gateway")
        rules = list(table.app.url_map.iter_rules())
        self._endpoints: dict[str, Endpoint] = {
            rule.endpoint: getattr(table, rule.endpoint) for rule in rules
        }
        self._fixed = {
            rule.rule.encode("ascii"): self._endpoints[rule.endpoint]
            for rule in rules
            if not rule.arguments
        }

    def begin(self, request: GatewayRequest) -> None:
        """Start the endpoint of the request's path, which is one of the table's or unknown."""
        request.running = Deferred.fromCoroutine(self._run(request))

    async def _run(self, request: GatewayRequest) -> None:
        try:
            endpoint = self._fixed.get(request.path)
            if endpoint is None:
                path = unquote(request.path.decode("ascii"))
                name, arguments = self._routes.match(path, "GET")
                await self._endpoints[name](request, **arguments)
            else:
                await endpoint(request)
        except CancelledError:
            request.abort()
        except Exception:  # noqa: BLE001 - behind the doors there is nobody else to tell
            _log.failure("a request failed outside of its door")
            request.abort()
