"""From a request to its endpoint, and what is left of an endpoint that fails or is not wanted."""

from collections.abc import Awaitable, Callable

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.dispatch import Dispatch
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.testing.http import MemoryConnection
from tests.unit.edge.plain import PlainSite, reply

Endpoint = Callable[[GatewayRequest], Awaitable[None]]


class DispatchTests(SynchronousTestCase):
    def ask(self, endpoint: Endpoint) -> MemoryConnection:
        """A client that asks the one endpoint there is."""

        class Table:
            app = Klein()

            @app.route("/healthz")
            def healthz(self, request: GatewayRequest) -> Awaitable[None]:
                """The endpoint."""
                return endpoint(request)

        self.plain = PlainSite()
        self.plain.site.begin = Dispatch(Table()).begin
        return self.plain.connect().request("GET", "/healthz")

    def test_an_endpoint_that_answers(self) -> None:
        """At once or later."""
        later: Deferred[None] = Deferred()

        async def endpoint(request: GatewayRequest) -> None:
            await later
            reply(request)

        client = self.ask(endpoint)
        self.assertEqual(client.value(), b"")
        later.callback(None)
        self.assertEqual(client.answer().body, b"ok")

    def test_an_endpoint_that_fails(self) -> None:
        """It is logged, and the client learns nothing but that the connection broke."""

        async def endpoint(_: GatewayRequest) -> None:
            raise ZeroDivisionError("canary")

        client = self.ask(endpoint)
        self.assertEqual((client.value(), client.reset), (b"", True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_endpoint_that_fails_behind_its_first_bytes(self) -> None:
        """No page and no clean end follow them."""

        async def endpoint(request: GatewayRequest) -> None:
            request.begin(200, [], None)
            request.write(b"some")
            raise ZeroDivisionError

        client = self.ask(endpoint)
        self.assertTrue(client.reset)
        self.assertEqual((client.answer().whole, client.value()), (False, b""))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_endpoint_that_fails_behind_its_answer(self) -> None:
        """The answer was whole, and the connection goes on."""

        async def endpoint(request: GatewayRequest) -> None:
            reply(request)
            raise ZeroDivisionError

        client = self.ask(endpoint)
        self.assertEqual((client.answer().body, client.reset), (b"ok", False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_client_that_goes(self) -> None:
        """Whatever runs for it is cancelled, and nobody is told of a fault."""
        waiting: Deferred[None] = Deferred()
        ends: list[str] = []

        async def endpoint(_: GatewayRequest) -> None:
            try:
                await waiting
            except CancelledError:
                ends.append("cancelled")
                raise

        self.ask(endpoint).leave()
        self.assertEqual(ends, ["cancelled"])
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.plain.clock.getDelayedCalls(), [])
