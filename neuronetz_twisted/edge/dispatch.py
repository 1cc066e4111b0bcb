"""From a request to its endpoint: Klein's table of routes, without Klein's rendering.

Klein's own resource makes a page of whatever an endpoint gives or raises, even behind the first
bytes of an answer, where an error page and a clean end would follow (SPEC 2, R9). Our endpoints
answer by themselves; what they raise has passed the edge's wall, so nothing true can be said then.
"""

from typing import cast
from urllib.parse import unquote

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.edge.request import GatewayRequest

_log = Logger()


class Dispatch:
    """Finds the endpoint of each request of one app."""

    def __init__(self, app: Klein) -> None:
        self._app = app
        self._routes = app.url_map.bind("gateway")
        self._fixed = {
            rule.rule.encode("ascii"): rule.endpoint
            for rule in app.url_map.iter_rules()
            if not rule.arguments
        }

    def begin(self, request: GatewayRequest) -> None:
        """Start the endpoint of the request's path, which is one of the table's or unknown."""
        arguments: dict[str, str] = {}
        endpoint = self._fixed.get(request.path)
        if endpoint is None:
            path = unquote(request.path.decode("ascii"))
            endpoint, found = self._routes.match(path, "GET")
            arguments = dict(found)
        running = cast("Deferred[None]", self._app.execute_endpoint(endpoint, request, **arguments))
        request.running = running
        running.addErrback(self._failed, request)

    def _failed(self, reason: Failure, request: GatewayRequest) -> None:
        if reason.check(CancelledError) is None:
            _log.failure("a request failed outside of its door", reason)
        request.abort()
