"""The argon2 pool: its counter, its bounds, and that it leaves nothing behind.

The threads are real, the reactor is a queue: `Pump` runs what threads hand over, when the test
says so.
"""

import threading
from collections.abc import Callable
from hashlib import sha256
from queue import SimpleQueue
from typing import Any

from argon2 import PasswordHasher, Type, extract_parameters
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from neuronetz_twisted.admission import verifier as module
from neuronetz_twisted.admission.verifier import Argon2Verifier, VerifyResult, hash_key
from neuronetz_twisted.errors import AuthUnavailable
from neuronetz_twisted.testing.identity import made_key

CHEAP = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
KEY = made_key(1)


@implementer(IReactorFromThreads)
class Pump:
    """A reactor that only takes calls from threads."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(
        self,
        callable: Callable[..., object],  # noqa: A002 - the interface names it
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Queue a call."""
        self._calls.put(lambda: callable(*args, **kwargs))

    def run_one(self) -> None:
        """Run the next call; 30 s without one is a failure."""
        self._calls.get(timeout=30)()


def argon2_threads() -> list[str]:
    """Names of the pool's living threads."""
    return [thread.name for thread in threading.enumerate() if "argon2" in thread.name]


class Argon2VerifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Start a verifier whose threads wait while `open` is not set."""
        self.pump = Pump()
        self.checks: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.addCleanup(self.open.set)
        check = module._check  # the thread's own work, made to wait for the test

        def counted(hasher: PasswordHasher, secret_hash: str, key: str) -> VerifyResult | None:
            self.checks.append(key)
            self.open.wait(30)
            return check(hasher, secret_hash, key)

        self.patch(module, "_check", counted)
        self.verifier = self.started()

    def started(self, **changes: int) -> Argon2Verifier:
        """Give a running verifier that is stopped after the test."""
        verifier = Argon2Verifier(self.pump, **(CHEAP | changes))
        verifier.startService()
        self.addCleanup(self.stop, verifier)
        return verifier

    def stop(self, verifier: Argon2Verifier) -> None:
        """Stop a verifier, and wait for it."""
        self.open.set()
        self.wait(verifier.stopService())

    def wait(self, result: Deferred[Any]) -> Any:
        """Pump until the Deferred has fired, and give its result."""
        while not result.called:
            self.pump.run_one()
        return self.successResultOf(result)

    def verify(self, key: str, secret_hash: str, *, by: Argon2Verifier | None = None) -> Any:
        """Ask for a key as identification does."""
        digest = sha256(key.encode()).digest()
        return (by or self.verifier).verify(digest, secret_hash, key)

    def test_right_and_wrong_keys(self) -> None:
        """The hash of a key verifies that key and no other."""
        secret_hash = hash_key(KEY, **CHEAP)
        self.assertEqual(self.wait(self.verify(KEY, secret_hash)), VerifyResult(ok=True))
        wrong = self.wait(self.verify(made_key(2), secret_hash))
        self.assertEqual(wrong, VerifyResult(ok=False))

    def test_the_real_parameters(self) -> None:
        """RFC 9106's profile, which is the default, verifies and is what it says."""
        costs = {"time_cost": 3, "memory_cost_kib": 65536, "parallelism": 4}
        secret_hash = hash_key(KEY, **costs)
        self.assertTrue(secret_hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$"))
        verifier = self.started(**costs)
        result = self.wait(self.verify(KEY, secret_hash, by=verifier))
        self.assertEqual(result, VerifyResult(ok=True))

    def test_other_parameters_are_rehashed(self) -> None:
        """A right key gives a new hash with today's parameters, a wrong one does not."""
        old = hash_key(KEY, time_cost=2, memory_cost_kib=16, parallelism=1)
        result = self.wait(self.verify(KEY, old))
        self.assertTrue(result.ok)
        stored = extract_parameters(result.rehashed)
        self.assertEqual((stored.time_cost, stored.memory_cost, stored.parallelism), (1, 8, 1))
        again = self.wait(self.verify(KEY, result.rehashed))
        self.assertEqual(again, VerifyResult(ok=True))
        self.assertIsNone(self.wait(self.verify(made_key(2), old)).rehashed)

    def test_a_hundred_at_once_cost_one(self) -> None:
        """Requests of one key share its verification, and only one place is taken."""
        self.open.clear()
        secret_hash = hash_key(KEY, **CHEAP)
        waiters = [self.verify(KEY, secret_hash) for _ in range(100)]
        self.open.set()
        for waiter in waiters:
            self.assertTrue(self.wait(waiter).ok)
        self.assertEqual(self.checks, [KEY])

    def test_beyond_threads_and_backlog_it_refuses_at_once(self) -> None:
        """Fifty keys: ten are verified, forty hear so without waiting; then there is room."""
        self.open.clear()
        secret_hash = hash_key(KEY, **CHEAP)
        results = [self.verify(made_key(seed), secret_hash) for seed in range(50)]
        for refused in results[10:]:
            self.assertEqual(
                self.failureResultOf(refused, AuthUnavailable).value.why, "verifier_full"
            )
        self.assertLessEqual(len(argon2_threads()), 2)
        self.open.set()
        for result in results[:10]:
            self.wait(result)
        self.assertEqual(len(self.checks), 10)
        self.assertTrue(self.wait(self.verify(KEY, secret_hash)).ok)

    def test_a_cancelled_waiter_leaves_alone(self) -> None:
        """Others of the same key get their answer, and the place is given back."""
        self.open.clear()
        secret_hash = hash_key(KEY, **CHEAP)
        first, second = self.verify(KEY, secret_hash), self.verify(KEY, secret_hash)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.open.set()
        self.assertTrue(self.wait(second).ok)

    def test_stored_data_does_not_choose_our_cost(self) -> None:
        """A hash beyond the bounds, of another kind, or none is not verified, and logged."""
        argon2i = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=Type.I)
        tail = hash_key(KEY, **CHEAP).split("$", 4)[4]
        refused = (
            f"$argon2id$v=19$m=262145,t=1,p=1${tail}",
            f"$argon2id$v=19$m=8,t=17,p=1${tail}",
            f"$argon2id$v=19$m=256,t=1,p=17${tail}",
            argon2i.hash(KEY),
            "",
            "nonsense",
            hash_key(KEY, **CHEAP) + "A" * 300,
        )
        for secret_hash in refused:
            failure = self.failureResultOf(self.verify(KEY, secret_hash), AuthUnavailable)
            self.assertEqual(failure.value.why, "hash_refused", secret_hash)
        self.assertEqual(self.checks, [])

    def test_a_hash_as_dear_as_configured_is_verified(self) -> None:
        """An operator's own figures are never out of bounds."""
        verifier = self.started(time_cost=17)
        secret_hash = hash_key(KEY, time_cost=17, memory_cost_kib=8, parallelism=1)
        self.assertTrue(self.wait(self.verify(KEY, secret_hash, by=verifier)).ok)

    def test_argon2_that_cannot_run_is_no_wrong_key(self) -> None:
        """A hash that passes the bounds but not argon2 is "unavailable", not "wrong"."""
        broken = hash_key(KEY, **CHEAP).replace("p=1", "p=2")  # needs 16 KiB at least
        result = self.verify(KEY, broken)
        while not result.called:
            self.pump.run_one()
        self.assertEqual(self.failureResultOf(result, AuthUnavailable).value.why, "argon2_failed")

    def test_stopping_waits_for_what_runs_and_leaves_no_thread(self) -> None:
        """New keys are refused meanwhile; those under way get their answer."""
        self.open.clear()
        secret_hash = hash_key(KEY, **CHEAP)
        running = self.verify(KEY, secret_hash)
        stopped = self.verifier.stopService()
        self.assertNoResult(stopped)
        self.failureResultOf(self.verify(made_key(2), secret_hash), AuthUnavailable)
        self.open.set()
        self.wait(stopped)
        self.assertTrue(self.successResultOf(running).ok)
        self.assertEqual(argon2_threads(), [])

    def test_it_can_be_stopped_twice_and_started_again(self) -> None:
        """A stopped or never started one refuses; a started one verifies."""
        self.wait(self.verifier.stopService())
        self.wait(self.verifier.stopService())
        secret_hash = hash_key(KEY, **CHEAP)
        self.failureResultOf(self.verify(KEY, secret_hash), AuthUnavailable)
        self.verifier.startService()
        self.assertTrue(self.wait(self.verify(KEY, secret_hash)).ok)

    def test_no_secret_in_a_repr(self) -> None:
        """A new hash is not shown."""
        self.assertNotIn("argon2", repr(VerifyResult(ok=True, rehashed=hash_key(KEY, **CHEAP))))
