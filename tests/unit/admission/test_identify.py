"""Who is calling: the order of the checks, what is kept, and what a change does to it.

Everything is synchronous: fakes answer at once unless a test holds them, and time is a `Clock`.
"""

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.errors import AuthFailuresLimited, AuthUnavailable, InvalidApiKey, Refusal
from neuronetz_twisted.testing.identity import (
    FakeKeyStore,
    FakePrincipalCache,
    FakeVerifier,
    fake_hash,
    made_key,
)
from neuronetz_twisted.vocabulary import Principal, Status

KEY = made_key(1)
PREFIX = KEY[:12]
WRONG = made_key(2, prefix=PREFIX)
LIMIT = 3
TTL_S = 60.0


class IdentityTestCase(SynchronousTestCase):
    """One gateway process with one key, and all that it talks to."""

    def setUp(self) -> None:
        """One active key; three failures a minute fill a bucket."""
        self.clock = Clock()
        self.wall = 1_000_000.0
        self.store = FakeKeyStore()
        self.row = self.store.add(KEY)
        self.cache = FakePrincipalCache(self.clock.seconds)
        self.verifier = FakeVerifier()
        self.identifier = self.gateway()

    def gateway(self, **changes: Any) -> Identifier:
        """Make a process that shares store, cache and verifier with the others."""
        arguments: dict[str, Any] = {
            "store": self.store,
            "cache": self.cache,
            "verifier": self.verifier,
            "failures": FailureBuckets(limit=LIMIT),
            "clock": self.clock,
            "now": lambda: self.wall + self.clock.seconds(),
            "ttl_s": TTL_S,
        }
        return Identifier(**(arguments | changes))

    def ask(
        self, key: str | None = KEY, address: str = "here", *, at: Identifier | None = None
    ) -> Deferred[Principal]:
        """Begin to identify."""
        identifier = at or self.identifier
        return Deferred.fromCoroutine(identifier.identify(key, address))

    def known(
        self, key: str = KEY, address: str = "here", *, at: Identifier | None = None
    ) -> Principal:
        """Identify at once."""
        return self.successResultOf(self.ask(key, address, at=at))

    def refused(
        self,
        expected: type[Refusal],
        why: str,
        key: str | None = KEY,
        address: str = "here",
        *,
        at: Identifier | None = None,
    ) -> Refusal:
        """Be refused at once, for this reason."""
        refusal = self.failureResultOf(self.ask(key, address, at=at), expected).value
        self.assertEqual(refusal.why, why)
        assert isinstance(refusal, Refusal)
        return refusal

    def reread(self, principal: Principal) -> Deferred[Principal]:
        """Begin to read a stale principal anew."""
        return Deferred.fromCoroutine(self.identifier.reread(principal))

    def fill_bucket(self, address: str = "here") -> None:
        """Fail as often as it takes."""
        for _ in range(LIMIT):
            self.refused(InvalidApiKey, "none", None, address)

    def change(self, **changes: Any) -> None:
        """Change the row as an operator does, and let the process hear of it."""
        self.row = self.store.change(PREFIX, **changes)
        self.identifier.epoch_changed(self.row.tenant_id, self.row.epoch)


class OrderTests(IdentityTestCase):
    def test_a_cold_key_is_verified_once(self) -> None:
        """Then it is warm: no store is asked again, and its use has been noted."""
        principal = self.known()
        self.assertEqual((principal.key_id, principal.prefix), (self.row.key_id, PREFIX))
        self.assertEqual(self.known(), principal)
        self.assertEqual(
            (self.cache.asked, self.store.found, self.verifier.verified, self.store.noted),
            ([PREFIX], [PREFIX], [PREFIX], [(PREFIX, None)]),
        )

    def test_shape_and_crc_come_before_any_store(self) -> None:
        """No key and a mistyped one cost nothing."""
        self.refused(InvalidApiKey, "none", None)
        for text in ("", "word", KEY[:-1], KEY[:20] + ("a" if KEY[20] != "a" else "b") + KEY[21:]):
            self.refused(InvalidApiKey, "malformed", text, "elsewhere")
        self.assertEqual((self.cache.asked, self.store.found), ([], []))

    def test_an_unknown_prefix_costs_no_argon2(self) -> None:
        """The row is looked for each time: it may be there the next time."""
        stranger = made_key(3)
        self.refused(InvalidApiKey, "unknown", stranger)
        self.assertEqual(self.verifier.verified, [])
        self.store.add(stranger)
        self.known(stranger)

    def test_a_dead_key_costs_no_argon2(self) -> None:
        """Each reason is told to the operator."""
        for why, changes in {
            "disabled": {"key_status": Status.DISABLED},
            "revoked": {"key_status": Status.REVOKED},
            "tenant_disabled": {"tenant_status": Status.DISABLED},
            "expired": {"expires_at": self.wall},
        }.items():
            self.store.rows[PREFIX] = evolve(self.row, **changes)  # type: ignore[arg-type]
            self.refused(InvalidApiKey, why, KEY, why)
        self.assertEqual(self.verifier.verified, [])

    def test_a_key_that_becomes_good_does_not_wait(self) -> None:
        """Enabled again, it is served at once."""
        self.store.rows[PREFIX] = evolve(self.row, key_status=Status.DISABLED)
        self.refused(InvalidApiKey, "disabled")
        self.store.rows[PREFIX] = self.row
        self.known()

    def test_a_wrong_key_costs_one_argon2(self) -> None:
        """For a minute it is known as wrong; the right one is not touched by it."""
        self.refused(InvalidApiKey, "wrong", WRONG)
        self.refused(InvalidApiKey, "wrong", WRONG)
        self.assertEqual(self.verifier.verified, [PREFIX])
        self.known()
        self.assertEqual(len(self.store.noted), 1)

    def test_a_wrong_key_is_asked_for_again_after_a_minute(self) -> None:
        """What is kept of it is short-lived."""
        self.refused(InvalidApiKey, "wrong", WRONG)
        self.clock.advance(60)
        self.refused(InvalidApiKey, "wrong", WRONG)
        self.assertEqual(len(self.verifier.verified), 2)

    def test_a_wrong_key_of_a_warm_prefix_costs_nothing(self) -> None:
        """A prefix has one right key, and that one is known; here and by way of Redis."""
        self.known()
        self.refused(InvalidApiKey, "wrong", WRONG)
        self.refused(InvalidApiKey, "wrong", WRONG, at=self.gateway())
        self.assertEqual((len(self.store.found), len(self.verifier.verified)), (1, 1))

    def test_all_failures_look_the_same(self) -> None:
        """Status, code, text and headers of the 401 do not tell which it was."""
        self.store.rows[PREFIX] = evolve(self.row, key_status=Status.REVOKED)
        refusals = [
            self.refused(InvalidApiKey, "none", None),
            self.refused(InvalidApiKey, "malformed", "word"),
            self.refused(InvalidApiKey, "unknown", made_key(3), "b"),
            self.refused(InvalidApiKey, "revoked", KEY, "c"),
        ]
        faces = {(r.status, r.code, r.message, r.retry_after) for r in refusals}
        self.assertEqual(len(faces), 1)

    def test_new_parameters_reach_the_row(self) -> None:
        """What the verifier hashed anew is written with the note of the use."""
        self.verifier.rehashed = "new hash"
        self.known()
        self.assertEqual(self.store.noted, [(PREFIX, "new hash")])

    def test_no_answer_waits_for_notes(self) -> None:
        """Stores that go away after the verification cost a warning, not the request."""
        self.verifier.gate.held = True
        asked = self.ask()
        self.store.away = self.cache.away = True
        self.verifier.gate.release_all()
        self.successResultOf(asked)
        self.known()

    def test_a_fault_while_noting_is_logged(self) -> None:
        """What is not a store that is away is a defect, and the request is served."""
        self.patch(FakeKeyStore, "used", lambda *_, **__: fail(ZeroDivisionError()))
        self.known()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class CacheTests(IdentityTestCase):
    def test_the_time_to_live_runs_from_the_verification(self) -> None:
        """Hits do not put it off: then argon2 runs again."""
        self.known()
        for _ in range(59):
            self.clock.advance(1)
            self.known()
        self.assertEqual(len(self.verifier.verified), 1)
        self.clock.advance(1)
        self.known()
        self.assertEqual(len(self.verifier.verified), 2)

    def test_redis_makes_a_key_warm_everywhere(self) -> None:
        """Another process takes the principal from there, without row or argon2."""
        principal = self.known()
        other = self.gateway()
        for _ in range(3):
            self.assertEqual(self.known(at=other), principal)
        self.assertEqual((len(self.store.found), len(self.verifier.verified)), (1, 1))
        self.assertEqual(len(self.cache.asked), 2)

    def test_the_way_through_redis_does_not_lengthen_a_life(self) -> None:
        """Sixty seconds after the verification it is over in each process."""
        self.known()
        self.clock.advance(50)
        other = self.gateway()
        self.known(at=other)
        self.clock.advance(10)
        self.known(at=other)
        self.assertEqual(len(self.verifier.verified), 2)

    def test_an_answer_of_redis_that_takes_long_is_no_longer_good(self) -> None:
        """The life that it had left is counted from the question."""
        self.known()
        self.clock.advance(59)
        self.cache.gate.held = True
        asked = self.ask(at=self.gateway())
        self.clock.advance(1)
        self.cache.gate.release_all()
        self.successResultOf(asked)
        self.assertEqual(len(self.verifier.verified), 2)

    def test_an_entry_of_redis_that_lives_too_long_is_absent(self) -> None:
        """Nobody who counted from a verification could have kept it so; a second is rounding."""
        for longer_s, verified in ((1.0, 1), (1.1, 2), (1e9, 2)):
            with self.subTest(longer_s=longer_s):
                self.setUp()
                self.known()
                (entry, _) = self.cache.entries[PREFIX]
                self.cache.entries[PREFIX] = (entry, TTL_S + longer_s)
                other = self.gateway()
                self.known(at=other)
                self.assertEqual(len(self.verifier.verified), verified)
                self.clock.advance(TTL_S + 1)
                self.known(at=other)
                self.assertEqual(len(self.verifier.verified), verified + 1)

    def test_expiry_is_checked_on_each_hit(self) -> None:
        """A key that expires while it is warm is refused from that second on."""
        self.store.rows[PREFIX] = evolve(self.row, expires_at=self.wall + 10)
        self.known()
        self.clock.advance(9)
        self.known()
        self.clock.advance(1)
        self.refused(InvalidApiKey, "expired")
        self.refused(InvalidApiKey, "expired", at=self.gateway())

    def test_without_redis_cold_keys_are_refused_and_warm_ones_are_not(self) -> None:
        """It fails closed, and is no failure of the caller's."""
        self.known()
        self.cache.away = True
        self.known()
        for _ in range(LIMIT + 1):
            self.refused(AuthUnavailable, "redis", made_key(3))
        self.cache.away = False
        self.refused(InvalidApiKey, "unknown", made_key(3))

    def test_without_postgres_cold_keys_are_refused_and_warm_ones_are_not(self) -> None:
        """For the time to live, and no longer."""
        self.known()
        self.store.away = True
        self.refused(AuthUnavailable, "database", made_key(3))
        self.clock.advance(59)
        self.known()
        self.clock.advance(1)
        self.refused(AuthUnavailable, "database")
        self.store.away = False
        self.known()

    def test_a_full_verifier_is_no_wrong_key(self) -> None:
        """503, nothing kept, and served when there is room."""
        self.verifier.capacity = 0
        self.refused(AuthUnavailable, "verifier_full")
        self.verifier.capacity = 1
        self.known()


class SharedFlightTests(IdentityTestCase):
    def test_parallel_first_requests_cost_one(self) -> None:
        """One look into Redis, one row, one argon2, one note, for a hundred."""
        self.cache.gate.held = self.store.gate.held = self.verifier.gate.held = True
        waiting = [self.ask() for _ in range(100)]
        for gate in (self.cache.gate, self.store.gate, self.verifier.gate):
            self.assertEqual(gate.waiting, 1)
            gate.release_all()
        for asked in waiting:
            self.successResultOf(asked)
        self.assertEqual(len(self.store.noted), 1)

    def test_a_request_that_goes_away_takes_nothing_with_it(self) -> None:
        """The one that began the work is cancelled at each of its steps; the others are served."""
        for gate in (self.cache.gate, self.store.gate, self.verifier.gate):
            self.identifier, self.cache.entries = self.gateway(), {}
            gate.held = True
            first, second = self.ask(), self.ask()
            first.cancel()
            self.failureResultOf(first, CancelledError)
            gate.release_all()
            self.successResultOf(second)

    def test_a_cancelled_reread_takes_nothing_with_it(self) -> None:
        """Also where a warm key is read anew."""
        self.known()
        self.change()
        self.store.gate.held = True
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.store.gate.release_all()
        self.successResultOf(second)

    def test_each_failure_of_a_shared_flight_counts(self) -> None:
        """Three requests with one wrong key are three failures."""
        self.verifier.gate.held = True
        waiting = [self.ask(WRONG) for _ in range(LIMIT)]
        self.verifier.gate.release_all()
        for asked in waiting:
            self.failureResultOf(asked, InvalidApiKey)
        self.refused(AuthFailuresLimited, "unknown", made_key(3))

    def test_another_address_full_bucket_is_no_refusal(self) -> None:
        """The same key from two addresses at once: each has its own way."""
        self.fill_bucket("bad")
        other = self.store.add(made_key(4))
        self.verifier.gate.held = True
        busy = self.ask(made_key(4), "bad")
        self.cache.gate.held = True
        there, here = self.ask(KEY, "bad"), self.ask(KEY, "good")
        self.cache.gate.release_all()
        self.failureResultOf(there, AuthFailuresLimited)
        self.verifier.gate.release_all()
        self.assertEqual(self.successResultOf(busy).key_id, other.key_id)
        self.successResultOf(here)


class EpochTests(IdentityTestCase):
    def test_a_change_holds_at_the_next_request(self) -> None:
        """The row is read anew, without a second argon2."""
        self.known()
        self.change(tenant_models=frozenset({"a"}), tenant_allow_all_models=False)
        principal = self.known()
        self.assertEqual((principal.allow_all_models, principal.models), (False, {"a:latest"}))
        self.known()
        self.assertEqual((len(self.store.found), len(self.verifier.verified)), (2, 1))

    def test_a_revoked_key_is_refused_at_the_next_request(self) -> None:
        """Here, and by any process that hears of the epoch or starts from Redis later."""
        self.known()
        self.change(key_status=Status.REVOKED)
        self.refused(InvalidApiKey, "revoked")
        self.refused(InvalidApiKey, "revoked", at=self.gateway())
        self.assertEqual(len(self.verifier.verified), 1)

    def test_a_revoked_key_is_cold(self) -> None:
        """Its proof is forgotten: who goes on asking goes by way of his address' bucket."""
        self.known()
        self.change(key_status=Status.REVOKED)
        self.refused(InvalidApiKey, "revoked")
        self.fill_bucket()
        del self.store.rows[PREFIX]
        self.refused(AuthFailuresLimited, "unknown")

    def test_an_old_entry_in_redis_is_not_used(self) -> None:
        """A process that knows the newer epoch reads the row; the entry proves the key still."""
        self.known()
        other = self.gateway()
        self.row = self.store.change(PREFIX, key_status=Status.REVOKED)
        other.epoch_changed(self.row.tenant_id, self.row.epoch)
        self.refused(InvalidApiKey, "revoked", at=other)
        self.assertEqual(len(self.verifier.verified), 1)

    def test_a_change_without_a_database_is_a_503(self) -> None:
        """What is known to be old is not used; it fails closed."""
        self.known()
        self.change()
        self.store.away = True
        self.refused(AuthUnavailable, "database")
        self.store.away = False
        self.known()
        self.assertEqual(len(self.verifier.verified), 1)

    def test_a_change_while_argon2_runs_counts(self) -> None:
        """The row was read before it: it is read again."""
        self.verifier.gate.held = True
        asked = self.ask()
        self.change(key_status=Status.REVOKED)
        self.verifier.gate.release_all()
        self.failureResultOf(asked, InvalidApiKey)
        self.assertEqual(self.cache.entries, {})
        self.verifier.gate.held = False
        self.refused(InvalidApiKey, "revoked")

    def test_a_row_that_comes_late_is_not_kept_as_new(self) -> None:
        """Read before a change and home after it: the change wins, also for a second one."""
        self.store.gate.held = True
        asked = self.ask()
        self.change(tenant_allow_all_models=False)
        self.store.gate.release()
        self.assertNoResult(asked)
        self.change(key_status=Status.DISABLED)
        self.store.gate.release_all()
        self.failureResultOf(asked, InvalidApiKey)
        self.refused(InvalidApiKey, "disabled")

    def test_an_older_entry_is_not_put_over_a_newer(self) -> None:
        """Whoever knows of a newer epoch writes nothing older to Redis."""
        self.known()
        newest = self.store.change(PREFIX, tenant_allow_all_models=False)
        self.identifier.epoch_changed(newest.tenant_id, newest.epoch)
        self.known()
        late = self.gateway()
        late.epoch_changed(newest.tenant_id, newest.epoch)
        self.store.rows[PREFIX] = self.row
        self.cache.entries.clear()
        self.successResultOf(self.ask(at=late))
        self.assertEqual(self.cache.entries, {})

    def test_other_tenants_stay_warm(self) -> None:
        """An epoch is a tenant's own."""
        other = made_key(4)
        self.store.add(other)
        self.known(other)
        self.change()
        self.known(other)
        self.assertEqual(len(self.store.found), 1)

    def test_a_row_tells_of_a_change_too(self) -> None:
        """Another key's row, read with a newer epoch, outdates all older ones of its tenant."""
        other = self.store.add(made_key(4))
        self.known()
        self.store.rows[PREFIX] = evolve(self.row, key_status=Status.REVOKED, epoch=2)
        self.store.rows[other.prefix] = evolve(other, tenant_id=self.row.tenant_id, epoch=2)
        self.known(made_key(4))
        self.refused(InvalidApiKey, "revoked")

    def test_a_smaller_or_known_epoch_costs_nothing(self) -> None:
        """The poll tells the same epoch again and again."""
        self.known()
        for epoch in (1, 0, 1):
            self.identifier.epoch_changed(self.row.tenant_id, epoch)
        self.known()
        self.assertEqual(len(self.store.found), 1)

    def test_the_life_of_a_proof_goes_on_through_changes(self) -> None:
        """Sixty seconds after the verification argon2 runs again, however often it changed."""
        self.known()
        for _ in range(5):
            self.clock.advance(11)
            self.change()
            self.known()
        self.assertEqual(len(self.verifier.verified), 1)
        self.clock.advance(5)
        self.known()
        self.assertEqual(len(self.verifier.verified), 2)


class RereadTests(IdentityTestCase):
    def test_a_stale_principal_is_read_anew(self) -> None:
        """No argon2, and the new one is kept here and in Redis, for the old time."""
        stale = self.known()
        self.clock.advance(40)
        self.store.change(PREFIX, tenant_allow_all_models=False)
        fresh = self.successResultOf(self.reread(stale))
        self.assertEqual((fresh.epoch, fresh.allow_all_models), (2, False))
        self.assertEqual(self.known(), fresh)
        self.assertEqual(self.known(at=self.gateway()), fresh)
        entry, until = self.cache.entries[PREFIX]
        self.assertEqual((entry.principal, until), (fresh, 60.0))
        self.assertEqual(len(self.verifier.verified), 1)

    def test_a_key_that_is_no_longer_good_is_dropped(self) -> None:
        """From both caches; it is refused by all."""
        stale = self.known()
        self.store.change(PREFIX, key_status=Status.REVOKED)
        self.failureResultOf(self.reread(stale), InvalidApiKey)
        self.assertEqual(self.cache.entries, {})
        self.refused(InvalidApiKey, "revoked")
        del self.store.rows[PREFIX]
        self.failureResultOf(self.reread(stale), InvalidApiKey)

    def test_without_a_database_it_is_unavailable(self) -> None:
        """And the stale one is used by nobody here."""
        stale = self.known()
        self.store.away = True
        self.failureResultOf(self.reread(stale), AuthUnavailable)
        self.refused(AuthUnavailable, "database")

    def test_parallel_rereads_share_a_read(self) -> None:
        """A hundred stale requests of a key cost one row."""
        stale = self.known()
        self.store.change(PREFIX)
        self.store.gate.held = True
        waiting = [self.reread(stale) for _ in range(100)]
        self.assertEqual(self.store.gate.waiting, 1)
        self.store.gate.release_all()
        self.assertEqual({self.successResultOf(w).epoch for w in waiting}, {2})

    def test_a_read_that_began_before_the_change_is_not_enough(self) -> None:
        """Who joins it and learns nothing new reads once more, all together."""
        stale = evolve(self.known(), epoch=2)
        self.change()
        self.store.gate.held = True
        early = self.ask()
        self.store.change(PREFIX)
        waiting = [self.reread(stale) for _ in range(3)]
        self.store.gate.release()
        self.assertEqual(self.store.gate.waiting, 1)
        self.store.gate.release_all()
        self.assertEqual({self.successResultOf(w).epoch for w in [early, *waiting]}, {3})

    def test_a_principal_that_is_not_kept_is_only_returned(self) -> None:
        """Without a proof in this process nothing is cached."""
        stale = self.known()
        self.clock.advance(60)
        self.store.change(PREFIX)
        self.assertEqual(self.successResultOf(self.reread(stale)).epoch, 2)
        self.assertEqual(self.cache.entries, {})


class FailureBucketTests(IdentityTestCase):
    def test_only_failures_fill_the_bucket(self) -> None:
        """Any number of good requests, warm and cold, leaves it empty."""
        for seed in range(10, 30):
            self.store.add(made_key(seed))
            self.known(made_key(seed))
            self.known(made_key(seed))
        self.refused(InvalidApiKey, "unknown", made_key(3))

    def test_each_kind_of_failure_counts(self) -> None:
        """None, malformed and unknown fill it; then an unknown key hears 429 and when to return."""
        self.refused(InvalidApiKey, "none", None)
        self.clock.advance(10)
        self.refused(InvalidApiKey, "malformed", "word")
        self.refused(InvalidApiKey, "unknown", made_key(3))
        refusal = self.refused(AuthFailuresLimited, "unknown", made_key(3))
        self.assertEqual(refusal.retry_after, 50)
        self.clock.advance(50)
        self.refused(InvalidApiKey, "unknown", made_key(3))

    def test_a_full_bucket_refuses_neither_warm_nor_cold_good_keys(self) -> None:
        """Nor those of other addresses."""
        warm = made_key(4)
        self.store.add(warm)
        self.known(warm)
        self.fill_bucket()
        self.known(warm)
        self.known()
        self.refused(InvalidApiKey, "unknown", made_key(3), "elsewhere")

    def test_a_key_that_redis_knows_is_warm(self) -> None:
        """A full bucket has no say in it, nor has a verification that is running."""
        self.known(at=self.gateway())
        self.fill_bucket()
        self.verifier.gate.held = True
        self.store.add(made_key(4))
        running = self.ask(made_key(4))
        self.known()
        self.verifier.gate.release_all()
        self.successResultOf(running)

    def test_a_refusal_for_a_full_bucket_is_no_failure(self) -> None:
        """Or nobody who keeps trying would ever get out."""
        self.fill_bucket()
        for _ in range(59):
            self.clock.advance(1)
            self.refused(AuthFailuresLimited, "unknown", made_key(3))
        self.clock.advance(1)
        self.refused(InvalidApiKey, "unknown", made_key(3))

    def test_a_refused_dead_key_says_so_with_a_full_bucket(self) -> None:
        """It is decided by its row, at no cost."""
        self.store.rows[PREFIX] = evolve(self.row, key_status=Status.DISABLED)
        self.fill_bucket()
        self.refused(InvalidApiKey, "disabled")


class FloodTests(IdentityTestCase):
    """Five hundred wrong but well-formed keys at once, from one address."""

    def flood(self, wrong: list[str]) -> list[Deferred[Principal]]:
        """Ask with all of them while no store answers yet, then let Redis answer."""
        self.cache.gate.held = self.store.gate.held = self.verifier.gate.held = True
        asked = [self.ask(key) for key in wrong]
        self.cache.gate.release_all()
        return asked

    def drain(self) -> None:
        """Let rows and verifications through until there is none."""
        while self.store.gate.waiting or self.verifier.gate.waiting:
            if self.store.gate.waiting:
                self.store.gate.release()
            else:
                self.verifier.gate.release()
        self.store.gate.held = self.verifier.gate.held = False

    def test_unknown_prefixes(self) -> None:
        """No argon2, few rows at once, all answered, and good keys are served all the while."""
        warm, cold = made_key(5), KEY
        self.store.add(warm)
        self.known(warm)
        self.verifier.verified.clear()
        asked = self.flood([made_key(seed) for seed in range(1000, 1500)])
        self.assertLessEqual(self.store.most_waiting, LIMIT + 4)
        self.known(warm)
        self.drain()
        for one in asked:
            self.failureResultOf(one, InvalidApiKey, AuthFailuresLimited)
        self.assertEqual(self.verifier.verified, [])
        self.known(cold)

    def test_a_known_prefix(self) -> None:
        """One argon2 at a time, the rest refused at once; then the good key of that prefix."""
        warm = made_key(5)
        self.store.add(warm)
        self.known(warm)
        self.verifier.verified.clear()
        asked = self.flood([made_key(seed, prefix=PREFIX) for seed in range(1000, 1500)])
        self.store.gate.release_all()
        self.assertEqual(self.verifier.gate.waiting, 1)
        self.known(warm)
        self.assertEqual(sum(not one.called for one in asked), 1)
        self.drain()
        for one in asked:
            self.failureResultOf(one, InvalidApiKey, AuthFailuresLimited)
        self.assertEqual((len(self.verifier.verified), self.verifier.most_waiting), (1, 1))
        self.known()

    def test_wave_after_wave(self) -> None:
        """With a full bucket and known prefixes: one argon2 at a time, and a cold key between."""
        prefixes = [self.store.add(made_key(seed)).prefix for seed in range(100, 150)]
        self.fill_bucket()
        for wave in range(5):
            asked = self.flood(
                [made_key(1000 + wave, prefix=prefixes[seed % 50]) for seed in range(500)]
            )
            self.drain()
            for one in asked:
                self.failureResultOf(one, InvalidApiKey, AuthFailuresLimited)
            self.cache.gate.held = False
        self.assertEqual(self.verifier.most_waiting, 1)
        self.known()

    def test_one_tenant_from_many_addresses(self) -> None:
        """Guesses at one tenant's keys leave the verifier to the others, who are served."""
        self.store.add(made_key(5))
        prefixes = [self.store.add(made_key(seed)).prefix for seed in range(100, 120)]
        for prefix in prefixes:
            self.store.change(prefix, tenant_id=self.row.tenant_id)
        self.verifier.gate.held = True
        asked = [
            self.ask(made_key(1000 + number, prefix=prefix), f"address {number}")
            for number, prefix in enumerate(prefixes)
        ]
        self.assertEqual(self.verifier.gate.waiting, 4)
        for one in asked[4:]:
            self.failureResultOf(one, AuthUnavailable)
        theirs = self.ask(made_key(5), "their address")
        self.verifier.gate.release_all()
        self.successResultOf(theirs)
        for one in asked[:4]:
            self.failureResultOf(one, InvalidApiKey)
        self.known()

    def test_one_good_key_from_many_addresses(self) -> None:
        """It is one key, however many machines begin at once."""
        self.verifier.gate.held = True
        asked = [self.ask(KEY, f"address {number}") for number in range(10)]
        self.verifier.gate.release_all()
        for one in asked:
            self.successResultOf(one)

    def test_nothing_is_kept_of_a_flood(self) -> None:
        """Places, flights and verifications are all given back."""
        before = [repr(part) for part in self.transient()]
        asked = self.flood([made_key(seed, prefix=PREFIX) for seed in range(100)])
        asked += self.flood([made_key(seed) for seed in range(1000, 1500)])
        gone = next(one for one in asked if not one.called)
        gone.cancel()
        self.drain()
        for one in asked:
            self.failureResultOf(one, InvalidApiKey, AuthFailuresLimited, CancelledError)
        self.assertEqual([repr(part) for part in self.transient()], before)

    def transient(self) -> list[object]:
        """What must be empty when no request is under way."""
        guard = self.identifier._guard
        return [
            guard._attempts,
            guard._suspects,
            guard._verifying,
            guard._tenants,
            self.identifier._cold,
            self.identifier._reads,
        ]


class SecrecyTests(IdentityTestCase):
    def test_no_key_in_reprs_and_refusals(self) -> None:
        """Neither text nor digest of a key is shown by what is logged."""
        self.known()
        refusal = self.refused(InvalidApiKey, "wrong", WRONG)
        shown = repr(self.identifier) + repr(refusal) + str(refusal) + repr(self.cache.entries)
        for secret in (KEY[12:], WRONG[12:], fake_hash(KEY), fake_hash(WRONG)):
            self.assertNotIn(secret, shown)
