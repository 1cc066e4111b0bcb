"""May this call run? Epoch, scope, raw, model, in that order."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.admit import Admission
from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.errors import (
    AuditUnavailable,
    AuthUnavailable,
    InvalidApiKey,
    InvalidRequest,
    LimitsUnavailable,
    ModelsUnavailable,
    NotAllowed,
    Refusal,
)
from neuronetz_twisted.testing.admission import FakeCatalog, FakeLimiter
from neuronetz_twisted.testing.audit import FakeTrail
from neuronetz_twisted.testing.calls import REQUEST_ID, made_call, made_model, made_request
from neuronetz_twisted.testing.identity import (
    FakeKeyStore,
    FakePrincipalCache,
    FakeVerifier,
    made_key,
)
from neuronetz_twisted.vocabulary import Scope, Status, Ticket

KEY = made_key(1)
PREFIX = KEY[:12]
MAX_PREDICT = 64


class AdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A caller with a warm key, one model."""
        self.clock = Clock()
        self.keys = FakeKeyStore()
        self.row = self.keys.add(KEY)
        self.identifier = Identifier(
            store=self.keys,
            cache=FakePrincipalCache(self.clock.seconds),
            verifier=FakeVerifier(),
            failures=FailureBuckets(limit=20),
            clock=self.clock,
            now=self.clock.seconds,
        )
        self.limiter = FakeLimiter()
        self.catalog = FakeCatalog([made_model()])
        self.trail = FakeTrail()
        self.admission = Admission(
            self.identifier, self.limiter, self.catalog, self.trail, MAX_PREDICT
        )
        identifying = Deferred.fromCoroutine(self.identifier.identify(KEY, "here"))
        self.principal = self.successResultOf(identifying)

    def admit(self, **changes: Any) -> "Deferred[Ticket]":
        """Ask for a ticket."""
        call = made_call(principal=self.principal, **changes)
        return Deferred.fromCoroutine(self.admission.admit(call))

    def refused(self, kind: type[Refusal], why: str, **changes: Any) -> None:
        """Be refused for a reason."""
        refusal = self.failureResultOf(self.admit(**changes), kind).value
        assert isinstance(refusal, Refusal)
        self.assertEqual(refusal.why, why)

    def test_admitted(self) -> None:
        """A ticket names caller and model; Redis was asked once, under the call's id."""
        ticket = self.successResultOf(self.admit(request=made_request(model="LLAMA3")))
        self.assertEqual(ticket.model.name, "llama3:latest")
        self.assertEqual(ticket.principal, self.principal)
        self.assertEqual(self.limiter.admitted, [REQUEST_ID])

    def test_intent(self) -> None:
        """The slot holds who wants what, and the most that it may cost."""
        ticket = self.successResultOf(self.admit())
        (slot,) = self.trail.slots
        self.assertIs(ticket.slot, slot)
        self.assertEqual(slot.intent["key"], str(self.row.key_id))
        self.assertEqual(slot.intent["reservation"], ticket.reservation)
        self.assertEqual(ticket.reservation, 3 + MAX_PREDICT)

    def test_reservation(self) -> None:
        """The longest answer that was asked for, and the prompt's bytes over three."""
        asked = made_request(body={"options": {"num_predict": 7}}, prompt_bytes=10)
        self.assertEqual(self.successResultOf(self.admit(request=asked)).reservation, 4 + 7)

    def test_no_slot(self) -> None:
        """Whose record cannot be kept is refused, last of all."""
        self.trail.full = True
        self.refused(NotAllowed, "model", request=made_request(model="other"))
        self.refused(AuditUnavailable, "full")

    def test_refused_without_a_slot(self) -> None:
        """Only who is admitted has one."""
        self.refused(NotAllowed, "model", request=made_request(model="other"))
        self.assertEqual(self.trail.slots, [])

    def test_stale(self) -> None:
        """A caller whose tenant has changed is read anew, and asked for once more."""
        row = self.keys.change(PREFIX, tenant_allow_all_models=False)
        self.limiter.epochs[row.tenant_id] = row.epoch
        self.refused(NotAllowed, "model")
        self.assertEqual(self.limiter.admitted, [REQUEST_ID])

    def test_stale_and_still_good(self) -> None:
        """The ticket is that of the newer caller."""
        row = self.keys.change(PREFIX, scopes=frozenset({Scope.CHAT}))
        self.limiter.epochs[row.tenant_id] = row.epoch
        ticket = self.successResultOf(self.admit())
        self.assertEqual(ticket.principal.epoch, row.epoch)
        self.assertEqual(ticket.principal.scopes, {Scope.CHAT})

    def test_stale_and_revoked(self) -> None:
        """A key that was taken away is found here at the latest."""
        row = self.keys.change(PREFIX, key_status=Status.REVOKED)
        self.limiter.epochs[row.tenant_id] = row.epoch
        self.refused(InvalidApiKey, "revoked")

    def test_stale_again(self) -> None:
        """Where the row lags behind Redis nobody can say, so nobody passes."""
        self.limiter.epochs[self.row.tenant_id] = 99
        self.refused(AuthUnavailable, "stale")

    def test_stale_without_a_database(self) -> None:
        """A change that cannot be read is no pass."""
        self.limiter.epochs[self.row.tenant_id] = 2
        self.keys.away = True
        self.refused(AuthUnavailable, "database")

    def test_redis_away(self) -> None:
        """Nobody passes."""
        self.limiter.away = True
        self.refused(LimitsUnavailable, "redis")

    def test_models(self) -> None:
        """Not installed, no name, elsewhere: all alike."""
        for name in ("other", "", "llama3:cloud", "a b", "hf.co/x/llama3"):
            with self.subTest(name=name):
                self.refused(NotAllowed, "model", request=made_request(model=name))

    def test_list_expired(self) -> None:
        """An old list is no list, whatever a caller may use."""
        self.catalog.expired = True
        self.refused(ModelsUnavailable, "expired")

    def test_scope(self) -> None:
        """A route's scope is needed."""
        self.keys.change(PREFIX, scopes=frozenset({Scope.EMBEDDINGS}))
        self.limiter.epochs[self.row.tenant_id] = 2
        self.refused(NotAllowed, "scope")
        self.successResultOf(self.admit(scope=Scope.EMBEDDINGS))

    def test_raw(self) -> None:
        """Raw needs its own scope; without it, it is an error of the request."""
        raw = made_request(body={"prompt": "x", "raw": True})
        self.refused(InvalidRequest, "", request=raw)
        self.keys.change(PREFIX, scopes=frozenset({Scope.CHAT, Scope.RAW}))
        self.limiter.epochs[self.row.tenant_id] = 2
        self.successResultOf(self.admit(request=raw))
