"""May this call run? Scope, raw, model, room, limits, and last of all its record's place."""

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from neuronetz_twisted.admission.answers import Code
from neuronetz_twisted.admission.generation import HEARTBEAT_S
from neuronetz_twisted.errors import (
    AuditUnavailable,
    AuthUnavailable,
    InvalidApiKey,
    InvalidRequest,
    LimitsUnavailable,
    ModelsUnavailable,
    NotAllowed,
    RateLimited,
    UpstreamBusy,
)
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.admission import made_admission
from neuronetz_twisted.testing.audit import FakeTrail
from neuronetz_twisted.testing.calls import REQUEST_ID, made_call, made_request
from neuronetz_twisted.vocabulary import Scope, Status, Ticket
from tests.unit.admission.admitting import PREFIX, AdmissionTestCase, asking_for
from tests.unit.admission.limiting import LimiterTestCase
from tests.unit.admission.scripted_redis import DAY, GRANTED

FULL = RateLimited(limit="requests", retry_after=9, why="tenant/requests", fields=())


class OrderTests(AdmissionTestCase):
    def test_order(self) -> None:
        """Where all is wrong, each mend shows the next reason; nothing is taken before the last."""
        raw = made_request(model="other", body={"prompt": "x", "raw": True}, prompt_bytes=99)
        who = evolve(self.principal, scopes=frozenset(), tenant_limits=Limits(tpm=32))
        self.upstream.full = self.trail.full = True
        self.limiter.refusal = FULL
        self.refused(NotAllowed, "scope", principal=who, request=raw)
        who = evolve(who, scopes=frozenset({Scope.CHAT}))
        self.refused(InvalidRequest, "", principal=who, request=raw)
        who = evolve(who, scopes=frozenset({Scope.CHAT, Scope.RAW}))
        self.refused(NotAllowed, "model", principal=who, request=raw)
        raw = evolve(raw, model="llama3")
        self.refused(InvalidRequest, "tpm", principal=who, request=raw)
        raw = evolve(raw, prompt_bytes=96)
        self.refused(UpstreamBusy, "queue", principal=who, request=raw)
        self.upstream.full = False
        self.refused(RateLimited, "tenant/requests", principal=who, request=raw)
        self.assertEqual((self.limiter.admitted, self.limiter.released), ([], []))
        self.limiter.refusal = None
        self.refused(AuditUnavailable, "full", principal=who, request=raw)
        self.assertEqual(self.trail.slots, [])
        self.trail.full = False
        self.assertEqual(self.admitted(principal=who, request=raw).principal, who)

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
        """A route's scope is needed, and no other."""
        who = evolve(self.principal, scopes=frozenset({Scope.EMBEDDINGS}))
        self.refused(NotAllowed, "scope", principal=who)
        self.admitted(principal=who, scope=Scope.EMBEDDINGS)

    def test_raw(self) -> None:
        """Raw needs its own scope; without it, it is an error of the request."""
        raw = made_request(body={"prompt": "x", "raw": True})
        refusal = self.refused(InvalidRequest, "", request=raw)
        assert isinstance(refusal, InvalidRequest)
        self.assertEqual(refusal.param, "raw")
        who = evolve(self.principal, scopes=frozenset({Scope.CHAT, Scope.RAW}))
        self.admitted(principal=who, request=raw)
        self.admitted(request=made_request(body={"prompt": "x", "raw": False}))

    def test_room(self) -> None:
        """A call that every model host would turn away asks nobody, so it takes nothing."""
        self.upstream.full = True
        self.refused(UpstreamBusy, "queue")
        self.assertEqual(self.limiter.admitted, [])

    def test_limits(self) -> None:
        """The limiter's own refusal is the answer, with its header lines."""
        self.limiter.refusal = FULL
        self.assertIs(self.refused(RateLimited, "tenant/requests"), FULL)
        self.assertEqual((self.trail.slots, self.limiter.released), ([], []))

    def test_redis_away(self) -> None:
        """Nobody passes."""
        self.limiter.away = True
        self.refused(LimitsUnavailable, "redis")
        self.assertEqual(self.trail.slots, [])

    def test_no_slot(self) -> None:
        """Whose record cannot be kept is refused last of all, and gives back what it took."""
        for denies, why in ((None, "full"), ("io", "io")):
            self.trail.denies, self.trail.full = denies, True
            self.limiter.released.clear()
            self.refused(AuditUnavailable, why)
            self.assertEqual(self.limiter.released, [REQUEST_ID])

    def test_fault(self) -> None:
        """So does a call whose slot is not opened for a fault of ours."""
        self.patch(FakeTrail, "open", None)
        self.failureResultOf(self.admit(), TypeError)
        self.assertEqual(self.limiter.released, [REQUEST_ID])


class TicketTests(AdmissionTestCase):
    def test_admitted(self) -> None:
        """A ticket names caller and model; Redis was asked once, under the call's id."""
        ticket = self.admitted(request=asking_for(model="LLAMA3"))
        self.assertEqual(ticket.model.name, "llama3:latest")
        self.assertEqual(ticket.principal, self.principal)
        self.assertEqual([demand.id for demand in self.limiter.admitted], [REQUEST_ID])
        self.assertEqual((self.limiter.released, self.limiter.counted), ([], []))

    def test_intent(self) -> None:
        """The slot holds who wants what, the most that it may cost, and the day of Redis."""
        self.limiter.day = "2023-11-15"
        ticket = self.admitted()
        (slot,) = self.trail.slots
        self.assertIs(ticket.slot, slot)
        self.assertEqual(slot.intent, ticket.intent)
        self.assertEqual(slot.intent["key"], str(self.row.key_id))
        self.assertEqual(slot.intent["reservation"], ticket.grant.reservation)
        self.assertEqual((slot.intent["day"], ticket.grant.day), ("2023-11-15",) * 2)


class StaleTests(AdmissionTestCase):
    def test_still_good(self) -> None:
        """A caller whose tenant has changed is read anew, and asked for once more."""
        row = self.change(scopes=frozenset({Scope.CHAT}), tenant_limits=Limits(rpm=7))
        ticket = self.admitted()
        self.assertEqual(ticket.principal.epoch, row.epoch)
        self.assertEqual(ticket.principal.scopes, {Scope.CHAT})
        (demand,) = self.limiter.admitted
        self.assertEqual((demand.caller.epoch, demand.caller.tenant_limits.rpm), (row.epoch, 7))
        self.assertEqual(self.trail.slots[0].intent, ticket.intent)

    def test_what_he_may_no_longer(self) -> None:
        """All that is asked first is asked again; nothing is taken for who may not any more."""
        self.change(tenant_allow_all_models=False)
        self.refused(NotAllowed, "model")
        self.change(scopes=frozenset({Scope.EMBEDDINGS}))
        self.refused(NotAllowed, "scope")
        self.change(scopes=frozenset({Scope.CHAT}), tenant_allow_all_models=True,
                    tenant_limits=Limits(tpm=3))  # fmt: skip
        self.refused(InvalidRequest, "tpm")
        self.assertEqual((self.limiter.admitted, self.limiter.released), ([], []))

    def test_revoked(self) -> None:
        """A key that was taken away is found here at the latest."""
        self.change(key_status=Status.REVOKED)
        self.refused(InvalidApiKey, "revoked")

    def test_again(self) -> None:
        """Where the row lags behind Redis nobody can say, so nobody passes."""
        self.limiter.epochs[self.row.tenant_id] = 99
        self.refused(AuthUnavailable, "stale")
        self.assertEqual((self.limiter.admitted, self.trail.slots), ([], []))

    def test_without_a_database(self) -> None:
        """A change that cannot be read is no pass."""
        self.limiter.epochs[self.row.tenant_id] = 2
        self.keys.away = True
        self.refused(AuthUnavailable, "database")


class RealLimiterTests(LimiterTestCase):
    """With the limiter itself in the place of its fake."""

    def setUp(self) -> None:
        """The same admission."""
        super().setUp()
        house = AdmissionTestCase()
        house.setUp()
        self.house = house
        self.admission = made_admission(house.identifier, self.limiter, house.catalog, house.trail)

    def ask(self) -> "Deferred[Ticket]":
        """Ask for a ticket."""
        call = made_call(principal=self.house.principal, request=asking_for())
        return Deferred.fromCoroutine(self.admission.admit(call))

    def test_admitted(self) -> None:
        """One round trip."""
        ticket = self.successResultOf(self.ask())
        self.assertEqual(self.redis.names(), ["admit"])
        self.assertEqual((ticket.grant.day, ticket.grant.has_budget), (DAY, True))

    def test_client_gone(self) -> None:
        """What was taken for a client that went meanwhile is given back; it has no slot."""
        del self.redis.replies["admit"]
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.redis.the("admit").answer.callback(GRANTED)
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual((self.redis.names(), self.house.trail.slots), (["admit", "release"], []))

    def test_no_slot(self) -> None:
        """So is what was taken for a call whose record cannot be kept."""
        self.house.trail.full = True
        self.failureResultOf(self.ask(), AuditUnavailable)
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["admit", "release"])

    def test_stale(self) -> None:
        """The second question has the newer epoch; a third is never asked."""
        row = self.house.keys.change(PREFIX)
        self.once("admit", [int(Code.STALE), row.epoch], GRANTED)
        self.successResultOf(self.ask())
        self.assertEqual([call.args[2] for call in self.redis.calls], [1, row.epoch])
        self.redis.calls.clear()
        self.redis.replies["admit"] = [int(Code.STALE), 99]
        self.failureResultOf(self.ask(), AuthUnavailable)
        self.assertEqual(self.redis.names(), ["admit", "admit"])
