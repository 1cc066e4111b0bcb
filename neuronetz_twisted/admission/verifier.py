"""Argon2 behind a counter, because one verification costs 64 MiB and 130 ms of CPU.

A flood of wrong keys must cost us nothing: two threads of our own (so that nothing else waits for
argon2), a backlog of eight, and a refusal at once beyond it (SPEC 5, docs/ARCHITECTURE.md).
"""

from functools import partial
from typing import Protocol

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from attrs import field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from neuronetz_twisted.admission.flights import SingleFlight
from neuronetz_twisted.errors import AuthUnavailable

_log = Logger()

# The dearest stored hash that is still verified, unless the configuration itself is dearer: a
# row in the database must not choose what a request costs us.
_MAX_TIME_COST = 16
_MAX_MEMORY_COST_KIB = 256 * 1024
_MAX_PARALLELISM = 16
_MAX_ENCODED_LENGTH = 256


@frozen
class VerifyResult:
    """Whether a key fits its hash; `rehashed` replaces a hash with outdated parameters."""

    ok: bool
    rehashed: str | None = field(default=None, repr=False)


class KeyVerifier(Protocol):
    """What identification asks for a key that no cache knows."""

    def verify(self, digest: bytes, secret_hash: str, key: str) -> Deferred[VerifyResult]:
        """Compare the key with its stored hash; fails with `AuthUnavailable` where that is full."""
        ...


def hash_key(key: str, *, time_cost: int, memory_cost_kib: int, parallelism: int) -> str:
    """Hash a new key with argon2id, blocking: for the command line."""
    return _hasher(time_cost, memory_cost_kib, parallelism).hash(key)


class Argon2Verifier(Service):
    """Verifies keys in threads of its own (SPEC 5).

    The costs are those of RFC 9106; hashes with others are re-hashed when they verify. `threads`
    run at once and `backlog` more may wait.
    """

    name = "argon2"

    def __init__(  # noqa: PLR0913 - each is a figure of the configuration
        self,
        reactor: IReactorFromThreads,
        *,
        time_cost: int,
        memory_cost_kib: int,
        parallelism: int,
        threads: int = 2,
        backlog: int = 8,
    ) -> None:
        self._reactor = reactor
        self._hasher = _hasher(time_cost, memory_cost_kib, parallelism)
        self._threads = threads
        self._capacity = threads + backlog
        self._in_flight = 0
        self._flights: SingleFlight[bytes, VerifyResult] = SingleFlight()
        self._pool: ThreadPool | None = None
        self._idle: Deferred[None] | None = None

    def startService(self) -> None:
        """Make the pool; its threads begin with the first key."""
        self._pool = ThreadPool(minthreads=0, maxthreads=self._threads, name="argon2")
        self._pool.start()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Refuse new keys, wait for the running ones, and end the threads."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            # The pool joins its threads and would hold up the reactor meanwhile.
            if self._in_flight:
                self._idle = Deferred()
                await self._idle
        finally:
            pool.stop()

    def verify(self, digest: bytes, secret_hash: str, key: str) -> Deferred[VerifyResult]:
        """Verify a key once, for however many wait for it.

        `digest` is the key's SHA-256. Fails at once with `AuthUnavailable` when all threads and
        the backlog are taken, when the hash is dearer than we allow, or when we are stopping.
        """
        return self._flights.join(digest, partial(self._verify, secret_hash, key))

    async def _verify(self, secret_hash: str, key: str) -> VerifyResult:
        if self._pool is None or self._in_flight >= self._capacity:
            raise AuthUnavailable(why="verifier_full")
        if not self._affordable(secret_hash):
            _log.error("a stored key hash is not argon2id within our bounds and is not verified")
            raise AuthUnavailable(why="hash_refused")
        self._in_flight += 1
        try:
            result = await deferToThreadPool(
                self._reactor, self._pool, _check, self._hasher, secret_hash, key
            )
        finally:
            self._in_flight -= 1
            if self._idle is not None and not self._in_flight:
                self._idle.callback(None)
        if result is None:
            _log.error("argon2 could not run; is the memory limit too low?")
            raise AuthUnavailable(why="argon2_failed")
        return result

    def _affordable(self, secret_hash: str) -> bool:
        if len(secret_hash) > _MAX_ENCODED_LENGTH:
            return False
        try:
            stored = extract_parameters(secret_hash)
        except InvalidHashError:
            return False
        ours = self._hasher
        return (
            stored.type is Type.ID
            and stored.time_cost <= max(_MAX_TIME_COST, ours.time_cost)
            and stored.memory_cost <= max(_MAX_MEMORY_COST_KIB, ours.memory_cost)
            and stored.parallelism <= max(_MAX_PARALLELISM, ours.parallelism)
        )


def _check(hasher: PasswordHasher, secret_hash: str, key: str) -> VerifyResult | None:
    """Run in a thread: verify, and re-hash what is outdated; None if argon2 itself failed.

    Nothing is raised, because an exception would carry this frame, and the key, to the reactor.
    """
    try:
        hasher.verify(secret_hash, key)
        outdated = hasher.check_needs_rehash(secret_hash)
        return VerifyResult(ok=True, rehashed=hasher.hash(key) if outdated else None)
    except VerifyMismatchError:
        return VerifyResult(ok=False)
    except Argon2Error:
        return None


def _hasher(time_cost: int, memory_cost_kib: int, parallelism: int) -> PasswordHasher:
    return PasswordHasher(
        time_cost=time_cost, memory_cost=memory_cost_kib, parallelism=parallelism, type=Type.ID
    )
