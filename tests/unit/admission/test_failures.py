"""Failure buckets by address, and what a suspected address may still do."""

from contextlib import ExitStack
from typing import Any
from uuid import UUID

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.failures import AddressGuard, FailureBuckets, Guess
from neuronetz_twisted.errors import AuthFailuresLimited, AuthUnavailable

TENANT = UUID(int=1)
OTHER = UUID(int=2)


class FailureBucketTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Three failures a minute, four addresses."""
        self.buckets = FailureBuckets(limit=3, max_addresses=4)

    def add(self, address: str, *times: float) -> None:
        """Count failures at these seconds."""
        for now in times:
            self.buckets.add(address, now)

    def test_the_limit_fills_the_bucket(self) -> None:
        """Two of three leave room, the third does not, and other addresses are free."""
        self.add("a", 0, 1)
        self.assertFalse(self.buckets.is_full("a", 2))
        self.add("a", 2)
        self.assertTrue(self.buckets.is_full("a", 2))
        self.assertFalse(self.buckets.is_full("b", 2))

    def test_a_failure_counts_for_a_minute(self) -> None:
        """In no minute are there more than the limit; the oldest makes room first."""
        self.add("a", 0, 30, 40)
        self.assertTrue(self.buckets.is_full("a", 59.9))
        self.assertFalse(self.buckets.is_full("a", 60))
        self.add("a", 60)
        self.assertTrue(self.buckets.is_full("a", 89.9))

    def test_failures_beyond_the_limit_go_on_counting(self) -> None:
        """Who fails on in a full bucket stays in it."""
        self.add("a", 0, 1, 2, 50, 51, 52)
        self.assertTrue(self.buckets.is_full("a", 109))
        self.assertFalse(self.buckets.is_full("a", 110))

    def test_pending_attempts_count(self) -> None:
        """What has not ended yet may fail."""
        self.add("a", 0)
        self.assertFalse(self.buckets.is_full("a", 1, pending=1))
        self.assertTrue(self.buckets.is_full("a", 1, pending=2))
        self.assertTrue(self.buckets.is_full("new", 1, pending=3))

    def test_the_wait_is_until_there_is_room(self) -> None:
        """Whole seconds, rounded up, one at least."""
        self.assertEqual(self.buckets.wait("a", 0), 1)
        self.add("a", 0, 10, 20)
        self.assertEqual(self.buckets.wait("a", 20.5), 40)
        self.assertEqual(self.buckets.wait("a", 59.9), 1)

    def test_a_full_bucket_is_not_pushed_out(self) -> None:
        """Failures from any number of other addresses clear nobody's bucket."""
        self.add("a", 0, 0, 0)
        for number in range(1000):
            self.add(f"other{number}", 1)
        self.assertTrue(self.buckets.is_full("a", 2))

    def test_addresses_without_a_place_share_one_bucket(self) -> None:
        """Then the newcomers are counted together, and those with a place apart."""
        for number in range(4):
            self.add(f"a{number}", 0)
        self.add("x", 1)
        self.add("y", 1)
        self.assertFalse(self.buckets.is_full("z", 2))
        self.add("x", 2)
        self.assertTrue(self.buckets.is_full("z", 2))
        self.assertFalse(self.buckets.is_full("a0", 2))

    def test_quiet_addresses_give_their_place_back(self) -> None:
        """After a minute without failures, to the next that needs one."""
        for number in range(4):
            self.add(f"a{number}", 0)
        self.add("a0", 30)
        self.add("x", 61, 61)
        self.add("y", 61)
        self.assertFalse(self.buckets.is_full("z", 61))
        self.add("x", 62)
        self.assertTrue(self.buckets.is_full("x", 62))
        self.assertFalse(self.buckets.is_full("y", 62))


class AddressGuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Three failures a minute; what a test holds is given back at its end."""
        self.failures = FailureBuckets(limit=3)
        self.guard = AddressGuard(failures=self.failures, suspect_lookups=2)
        self.held = ExitStack()
        self.addCleanup(self.held.close)

    def lookup(self, address: str = "a") -> bool:
        """Hold a place; tells whether it is a suspect's."""
        return self.held.enter_context(self.guard.lookup(address, 0))

    def verify(self, prefix: str, *, suspected: bool = False, **changes: Any) -> None:
        """Hold the right to verify a guess at a prefix of one tenant, from one address."""
        guess = Guess("a", prefix, TENANT, prefix.encode())
        right = self.guard.verification(evolve(guess, **changes), suspected=suspected)
        self.held.enter_context(right)

    def test_a_wave_is_suspected_beyond_the_limit(self) -> None:
        """Attempts under way count, then suspects have their few places, then it is 429."""
        self.assertEqual([self.lookup() for _ in range(5)], [False] * 3 + [True] * 2)
        refusal = self.assertRaises(AuthFailuresLimited, self.lookup)
        self.assertEqual(refusal.retry_after, 1)
        self.assertFalse(self.lookup("b"))

    def test_places_are_given_back(self) -> None:
        """Also when the attempt ends in an error."""
        for _ in range(10):
            with self.assertRaises(ZeroDivisionError), self.guard.lookup("a", 0):
                raise ZeroDivisionError
        self.assertFalse(self.lookup())

    def test_a_suspect_verifies_one_at_a_time(self) -> None:
        """Whatever else of his address is running, and apart from other addresses."""
        self.verify("p1", suspected=False)
        self.assertRaises(AuthFailuresLimited, self.verify, "p2", suspected=True)
        self.verify("p2", suspected=True, address="b")
        self.held.close()
        self.verify("p2", suspected=True)

    def test_one_verification_per_prefix(self) -> None:
        """Two keys of one prefix at once are guesses; of two prefixes they are not."""
        self.verify("p1", suspected=False)
        self.verify("p2", suspected=False)
        self.assertRaises(AuthFailuresLimited, self.verify, "p1", suspected=False)
        self.verify("p1", suspected=False, address="b")

    def test_a_tenant_has_few_verifications(self) -> None:
        """Different keys count, from wherever they come; other tenants have their own."""
        for number in range(4):
            self.verify(f"p{number}", address=f"a{number}")
        self.assertRaises(AuthUnavailable, self.verify, "p4", address="b")
        self.assertRaises(AuthUnavailable, self.verify, "p0", address="b", digest=b"other")
        self.verify("p4", address="b", tenant_id=OTHER)

    def test_the_same_key_counts_once(self) -> None:
        """A tenant whose callers all begin at once is not refused."""
        for number in range(9):
            self.verify("p0", address=f"a{number}")
        for number in range(3):
            self.verify(f"q{number}", address="b")
        self.assertRaises(AuthUnavailable, self.verify, "q3", address="b")
        self.verify("p0", address="a9")

    def test_verifications_are_given_back(self) -> None:
        """Each with its end, also by an error; one that was refused has taken nothing."""
        guess = Guess("a", "p0", TENANT, b"0")
        for number in range(9):
            with (
                self.assertRaises(ZeroDivisionError),
                self.guard.verification(evolve(guess, digest=bytes([number])), suspected=False),
            ):
                raise ZeroDivisionError
        for number in range(4):
            self.verify(f"p{number}")
        for number in range(9):
            self.assertRaises(AuthUnavailable, self.verify, f"q{number}")
        self.held.close()
        for number in range(4):
            self.verify(f"q{number}")

    def test_guesses_do_not_show_their_digest(self) -> None:
        """It would do for a search."""
        self.assertNotIn("canary", repr(Guess("a", "p0", TENANT, b"canary")))

    def test_one_of_two_equal_keys_ends(self) -> None:
        """The other one still counts."""
        same = Guess("b", "p0", TENANT, b"p0")
        self.verify("p0")
        with self.guard.verification(same, suspected=False):
            pass
        for number in range(1, 4):
            self.verify(f"p{number}")
        self.assertRaises(AuthUnavailable, self.verify, "p4")
