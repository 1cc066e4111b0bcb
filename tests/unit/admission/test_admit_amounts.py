"""How much a call asks for, what it is granted, and what callers are shown of their limits."""

from collections.abc import Sequence

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from neuronetz_twisted.admission.answers import Figures, Granted
from neuronetz_twisted.admission.headers import limit_fields
from neuronetz_twisted.errors import (
    AuthUnavailable,
    InvalidApiKey,
    InvalidRequest,
    LimitsUnavailable,
    RateLimited,
)
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.testing.admission import LEASE, NOBODY_LIMITED, FakeLimiter
from neuronetz_twisted.testing.calls import made_request
from neuronetz_twisted.vocabulary import Principal, Status
from tests.unit.admission.admitting import PREDICT, AdmissionTestCase, asking_for

SOME = Figures(60, 59, 1000, 900, None, 0, 1_700_000_000)


def budget(left: int) -> Figures:
    """The figures of a caller with a budget of which so much is left."""
    return Figures(60, 59, 1000, 900, "day", left, 1_700_000_000)


class DemandTests(AdmissionTestCase):
    def asked(self, predict: int, prompt_bytes: int) -> tuple[int, int]:
        """The prompt and the lease that the limiter was asked for."""
        self.admitted(request=asking_for(predict, prompt_bytes=prompt_bytes))
        demand = self.limiter.admitted[-1]
        return demand.prompt, demand.lease

    def test_prompt(self) -> None:
        """Its estimate, rounded up, by the ratio that was learnt for its model."""
        self.assertEqual([self.asked(9, size)[0] for size in (0, 1, 9, 10)], [0, 1, 3, 4])
        for _ in range(100):
            self.admission._estimates.learn(self.principal.tenant, "llama3:latest", 1000, 1000)
        self.assertEqual(self.asked(9, 9)[0], 9)

    def test_lease(self) -> None:
        """A first lease, and no more than the answer may have."""
        leases = [self.asked(predict, 9)[1] for predict in (1, LEASE, LEASE + 1, 10 * LEASE)]
        self.assertEqual(leases, [1, LEASE, LEASE, LEASE])

    def test_no_answer(self) -> None:
        """A call that generates nothing leases nothing, and is told no length."""
        for figures in (NOBODY_LIMITED, budget(0), budget(9)):
            self.limiter.figures = figures
            ticket = self.admitted(request=made_request())
            self.assertEqual(self.limiter.admitted[-1].lease, 0)
            grant = ticket.grant
            self.assertEqual((grant.lease, grant.num_predict, grant.asked_predict), (0, 0, 0))
            self.assertEqual((grant.reservation, ticket.call.request), (3, made_request()))

    def test_whose(self) -> None:
        """The counters of key and tenant, with what is set for either."""
        who = evolve(self.principal, key_limits=Limits(rpm=5, budget_day=100))
        self.admitted(principal=who)
        caller = self.limiter.admitted[0].caller
        self.assertEqual((caller.tenant, caller.key), (who.tenant, who.key))
        self.assertEqual(caller.key_limits, who.key_limits)
        self.assertEqual((caller.tenant_limits.rpm, caller.tenant_limits.tpm), (None, 1000))

    def test_larger_than_a_minute(self) -> None:
        """A prompt that no minute has room for is an error of the request, not of the time."""
        ten = Limits(tpm=10)
        for own in (
            evolve(self.principal, tenant_limits=ten),
            evolve(self.principal, key_limits=ten),
        ):
            for predict in (1, PREDICT):
                with self.subTest(key=own.key_limits, predict=predict):
                    self.admitted(principal=own, request=asking_for(predict, prompt_bytes=27))
                    large = asking_for(predict, prompt_bytes=28)
                    refusal = self.refused(InvalidRequest, "tpm", principal=own, request=large)
                    self.assertIn("about 10 tokens, more than the 10 per minute", refusal.message)
            # What generates nothing needs no token for an answer.
            self.admitted(principal=own, request=made_request(prompt_bytes=30))
            silent = made_request(prompt_bytes=31)
            self.refused(InvalidRequest, "tpm", principal=own, request=silent)

    def test_default_of_a_minute(self) -> None:
        """The default counts where nothing is set, and a key's own value instead of it."""
        large = made_request(prompt_bytes=3001)
        self.refused(InvalidRequest, "tpm", request=large)
        who = evolve(self.principal, key_limits=Limits(tpm=1001))
        self.admitted(principal=who, request=large)


class GrantTests(AdmissionTestCase):
    def test_without_a_budget(self) -> None:
        """The answer may be as long as was asked, all of which is reserved."""
        self.limiter.figures = SOME
        ticket = self.admitted(request=(request := asking_for(predict_name="num_predict")))
        grant = ticket.grant
        self.assertEqual((grant.prompt, grant.lease, grant.has_budget), (3, LEASE, False))
        self.assertEqual((grant.num_predict, grant.asked_predict), (PREDICT, PREDICT))
        self.assertEqual(grant.reservation, 3 + PREDICT)
        self.assertEqual(ticket.call.request, request)

    def test_enough_budget(self) -> None:
        """With a budget only the lease is reserved; what is enough changes no length."""
        for left in (PREDICT - LEASE, PREDICT, 10**12):
            self.limiter.figures = budget(left)
            ticket = self.admitted(request=(request := asking_for(predict_name="num_predict")))
            grant = ticket.grant
            self.assertEqual((grant.num_predict, grant.asked_predict), (PREDICT, PREDICT))
            self.assertEqual((grant.has_budget, grant.reservation), (True, 3 + LEASE))
            self.assertEqual(ticket.call.request, request)

    def test_little_budget(self) -> None:
        """The model host is told of no more than the budget has, in lease and rest together."""
        for left, told in ((PREDICT - LEASE - 1, PREDICT - 1), (1, LEASE + 1), (0, LEASE)):
            self.limiter.figures = budget(left)
            ticket = self.admitted()
            grant = ticket.grant
            self.assertEqual((grant.num_predict, grant.asked_predict), (told, PREDICT))
            self.assertEqual(grant.reservation, 3 + LEASE)
            self.assertEqual(
                ticket.call.request.body,
                {"messages": [], "options": {"temperature": 0.5, "num_predict": told}},
            )

    def test_who_is_told(self) -> None:
        """A client that had said how long reads by his own word that it is less, once."""
        for name, before, ignored in (
            (None, (), ()),
            (None, ("top_k",), ("top_k",)),
            ("max_tokens", ("top_k",), ("top_k", "max_tokens")),
            ("num_predict", ("num_predict",), ("num_predict",)),
        ):
            with self.subTest(name=name, before=before):
                self.limiter.figures = budget(1)
                request = asking_for(predict_name=name, ignored=before)
                self.assertEqual(self.admitted(request=request).call.request.ignored, ignored)
                self.limiter.figures = budget(PREDICT)
                self.assertEqual(self.admitted(request=request).call.request.ignored, before)

    def test_less_than_was_asked(self) -> None:
        """The lease is what Redis gave; an answer of one token at least is asked for."""
        for lease, told in ((5, 5), (0, 1)):
            granted = Granted(lease, self.limiter.day, budget(0))
            self.patch(FakeLimiter, "admit", lambda *_, granted=granted: succeed(granted))
            grant = self.admitted().grant
            self.assertEqual((grant.lease, grant.num_predict), (lease, told))
            self.assertEqual(grant.reservation, 3 + lease)

    def test_header(self) -> None:
        """What is left is on the ticket, for the answer's header."""
        for figures in (NOBODY_LIMITED, SOME, budget(744)):
            self.limiter.figures = figures
            self.assertEqual(self.admitted().grant.fields, limit_fields(figures))
        names = [name for name, _ in limit_fields(budget(744))]
        self.assertIn(b"X-Budget-Tokens-Remaining", names)


class CountedTests(AdmissionTestCase):
    def counted(self) -> "Deferred[tuple[Principal, Sequence[tuple[bytes, bytes]]]]":
        """Count a list."""
        return Deferred.fromCoroutine(self.admission.counted(self.principal))

    def test_counted(self) -> None:
        """Once; the caller is who he was, and there is something to show him."""
        self.limiter.figures = budget(744)
        who, fields = self.successResultOf(self.counted())
        self.assertEqual((who, fields), (self.principal, limit_fields(budget(744))))
        (caller,) = self.limiter.counted
        self.assertEqual((caller.tenant, caller.key), (who.tenant, who.key))
        self.assertEqual(self.limiter.admitted, [])

    def test_stale(self) -> None:
        """A caller whose tenant has changed is read anew, and counted as who he is now."""
        row = self.change(tenant_allow_all_models=False, key_limits=Limits(rpm=7))
        who, _ = self.successResultOf(self.counted())
        self.assertEqual((who.epoch, who.allow_all_models), (row.epoch, False))
        (caller,) = self.limiter.counted
        self.assertEqual((caller.epoch, caller.key_limits.rpm), (row.epoch, 7))

    def test_stale_again(self) -> None:
        """Nobody can say who he is."""
        self.limiter.epochs[self.row.tenant_id] = 99
        failure = self.failureResultOf(self.counted(), AuthUnavailable)
        self.assertEqual((failure.value.why, self.limiter.counted), ("stale", []))

    def test_revoked(self) -> None:
        """A key that was taken away reads nothing."""
        self.change(key_status=Status.REVOKED)
        self.failureResultOf(self.counted(), InvalidApiKey)

    def test_refused(self) -> None:
        """A full window, and a Redis that is away."""
        full = RateLimited(limit="requests", retry_after=9, why="x", fields=())
        self.limiter.refusal = full
        self.assertIs(self.failureResultOf(self.counted(), RateLimited).value, full)
        self.limiter.away = True
        self.failureResultOf(self.counted(), LimitsUnavailable)


class FieldsTests(AdmissionTestCase):
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        """What a caller is shown who is refused."""
        return self.successResultOf(Deferred.fromCoroutine(self.admission.fields(self.principal)))

    def test_shown(self) -> None:
        """What is left, of which nothing is taken, whatever his epoch."""
        self.limiter.figures = budget(744)
        self.limiter.epochs[self.row.tenant_id] = 99
        self.assertEqual(self.fields(), limit_fields(budget(744)))
        self.assertEqual((self.limiter.counted, self.limiter.admitted), ([], []))
        (caller,) = self.limiter.looked
        self.assertEqual((caller.tenant, caller.key), (self.principal.tenant, self.principal.key))

    def test_redis_away(self) -> None:
        """Nothing, and no other refusal in the place of the one that he has."""
        self.limiter.away = True
        self.assertEqual(self.fields(), ())
