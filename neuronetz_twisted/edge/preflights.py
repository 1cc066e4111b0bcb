"""The answers to browsers that ask whether a page may call (SPEC 3, `edge/cors.py`)."""

from collections.abc import Callable
from http import HTTPStatus

from attrs import frozen

from neuronetz_twisted.edge.cors import CrossOrigin
from neuronetz_twisted.edge.request import GatewayRequest


@frozen
class Preflights:
    """Stands before `begin_other`, which starts what answers all other requests.

    A preflight does not come to a door: no store is asked, nothing is counted, and no record is
    kept, for it says nothing but what is in the configuration.
    """

    cross_origin: CrossOrigin
    begin_other: Callable[[GatewayRequest], None]

    def begin(self, request: GatewayRequest) -> None:
        """Answer a preflight, without a key and on every path alike; hand on what is none."""
        lines = self.cross_origin.preflight_lines(request.head)
        if lines is None:
            self.begin_other(request)
            return
        request.begin(HTTPStatus.NO_CONTENT, lines, 0)
        request.finish()
