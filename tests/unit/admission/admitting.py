"""An admission between fakes, whose caller has a warm key."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.testing.admission import FakeCatalog, FakeLimiter, made_admission
from neuronetz_twisted.testing.audit import FakeTrail
from neuronetz_twisted.testing.calls import made_call, made_model, made_request
from neuronetz_twisted.testing.identity import (
    FakeKeyStore,
    FakePrincipalCache,
    FakeVerifier,
    made_key,
)
from neuronetz_twisted.testing.upstream import ScriptedUpstream
from neuronetz_twisted.vocabulary import KeyRecord, NativeRequest, Ticket

KEY = made_key(1)
PREFIX = KEY[:12]
PREDICT = 64


def asking_for(predict: int = PREDICT, **changes: Any) -> NativeRequest:
    """A chat of nine bytes of prompt for an answer of so many tokens."""
    options = {"temperature": 0.5, "num_predict": predict}
    return made_request(**{"body": {"messages": [], "options": options}, **changes})


class AdmissionTestCase(SynchronousTestCase):
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
        self.upstream = ScriptedUpstream()
        self.admission = made_admission(
            self.identifier, self.limiter, self.catalog, self.trail, self.upstream.check
        )
        identifying = Deferred.fromCoroutine(self.identifier.identify(KEY, "here"))
        self.principal = self.successResultOf(identifying)

    def change(self, **changes: Any) -> KeyRecord:
        """Change the caller's row, and have Redis know of it before this process does."""
        row = self.keys.change(PREFIX, **changes)
        self.limiter.epochs[row.tenant_id] = row.epoch
        return row

    def admit(self, **changes: Any) -> "Deferred[Ticket]":
        """Ask for a ticket."""
        call = made_call(**{"principal": self.principal, "request": asking_for(), **changes})
        return Deferred.fromCoroutine(self.admission.admit(call))

    def admitted(self, **changes: Any) -> Ticket:
        """Have a ticket."""
        return self.successResultOf(self.admit(**changes))

    def refused(self, kind: type[Refusal], why: str, **changes: Any) -> Refusal:
        """Be refused for a reason."""
        refusal = self.failureResultOf(self.admit(**changes), kind).value
        assert isinstance(refusal, Refusal)
        self.assertEqual(refusal.why, why)
        return refusal
