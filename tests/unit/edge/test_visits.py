from typing import TYPE_CHECKING, Any, cast

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.answers import HttpAnswer
from neuronetz_twisted.edge.visits import Visit
from neuronetz_twisted.errors import InvalidApiKey
from neuronetz_twisted.testing.calls import (
    GRANT,
    made_arrival,
    made_principal,
    made_request,
    made_ticket,
)

if TYPE_CHECKING:
    from neuronetz_twisted.edge.request import GatewayRequest

LEFT = ((b"X-RateLimit-Limit-Requests", b"60"), (b"X-Budget-Period", b"day"))


def visit(**changes: Any) -> Visit:
    """A request that has just come; nothing here asks what it is."""
    request = cast("GatewayRequest", None)
    return Visit(request, HttpAnswer(request, "id"), made_arrival(**changes))


class VisitTests(SynchronousTestCase):
    def test_principal(self) -> None:
        """The caller, once he is known; before that nobody may be taken for one."""
        with self.assertRaises(InvalidApiKey) as caught:
            _ = visit().principal
        self.assertEqual(caught.exception.why, "none")
        self.assertEqual(visit(principal=made_principal()).principal, made_principal())

    def test_admitted(self) -> None:
        """From then on its record is kept elsewhere, and its answer shows what is left."""
        here = visit()
        self.assertFalse(here.is_on_record)
        here.admitted(evolve(made_ticket(), grant=evolve(GRANT, fields=LEFT)))
        self.assertTrue(here.is_on_record)
        self.assertEqual(here.answer.headers, dict(LEFT))

    def test_ignored(self) -> None:
        """Fields that were dropped are named; what the admission has lowered joins them."""
        here = visit()
        here.name_ignored(made_request())
        self.assertEqual(here.answer.headers, {})
        here.name_ignored(made_request(ignored=("seed",)))
        self.assertEqual(here.answer.headers, {b"X-Gateway-Ignored": b"seed"})
        here.admitted(made_ticket(request=made_request(ignored=("seed", "max_tokens"))))
        self.assertEqual(here.answer.headers, {b"X-Gateway-Ignored": b"seed, max_tokens"})

    def test_on_record(self) -> None:
        """A list has its record before it is answered."""
        here = visit()
        here.keep_record()
        self.assertTrue(here.is_on_record)
