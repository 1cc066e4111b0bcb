"""What an address may still try after it has failed too often to say who is calling (SPEC 5).

Only failures are counted. A full bucket is no refusal of valid keys: one at a time of the keys
whose prefix exists is still verified, so that one bad script behind a NAT does not lock out the
office. Time is an argument everywhere, in seconds of a clock that never goes back.
"""

import math
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from attrs import define, field, frozen

from neuronetz_twisted.errors import AuthFailuresLimited, AuthUnavailable

_WINDOW_S = 60.0
_SWEEP_S = 1.0


@define(kw_only=True)
class FailureBuckets:
    """Failures of the last minute by address: at most `max_addresses` times `limit` of them.

    A bucket is forgotten only when its minute is over, never to make room: whoever owns many
    addresses could else clear his own full bucket. While all are taken, the addresses without one
    share one.
    """

    limit: int
    max_addresses: int = 4096
    _buckets: dict[str, deque[float]] = field(factory=dict, init=False)
    _shared: deque[float] = field(factory=deque, init=False)
    _swept: float = field(default=-math.inf, init=False)

    def add(self, address: str, now: float) -> None:
        """Count a failure; in a full bucket it takes the place of the oldest."""
        bucket = self._bucket(address, now)
        if bucket is None:
            bucket = self._buckets[address] = deque()
        bucket.append(now)
        if len(bucket) > self.limit:
            bucket.popleft()

    def is_full(self, address: str, now: float, *, pending: int = 0) -> bool:
        """Say whether the address has failed `limit` times in the last minute.

        `pending` attempts that have not ended yet count as failures, or a wave of them would all
        pass before the first has failed.
        """
        return len(self._recent(address, now)) + pending >= self.limit

    def wait(self, address: str, now: float) -> int:
        """Give the whole seconds, at least one, until the bucket has room again."""
        recent = self._recent(address, now)
        if len(recent) < self.limit:
            return 1
        return max(1, math.ceil(recent[0] + _WINDOW_S - now))

    def _recent(self, address: str, now: float) -> deque[float]:
        bucket = self._bucket(address, now)
        if bucket is None:
            return deque()
        while bucket and bucket[0] <= now - _WINDOW_S:
            bucket.popleft()
        return bucket

    def _bucket(self, address: str, now: float) -> deque[float] | None:
        """Find where the failures of this address are counted; None: it has a place, unused."""
        bucket = self._buckets.get(address)
        if bucket is not None or len(self._buckets) < self.max_addresses:
            return bucket
        self._forget_quiet(now)
        return None if len(self._buckets) < self.max_addresses else self._shared

    def _forget_quiet(self, now: float) -> None:
        """Give back the places of those who have been quiet for a minute."""
        if now < self._swept + _SWEEP_S:
            return
        self._swept = now
        self._buckets = {
            address: bucket
            for address, bucket in self._buckets.items()
            if bucket and bucket[-1] > now - _WINDOW_S
        }


@frozen
class Guess:
    """One key that is to be verified: whose it claims to be, and the SHA-256 of it."""

    address: str
    prefix: str
    tenant_id: UUID
    digest: bytes = field(repr=False)


@define(kw_only=True)
class AddressGuard:
    """How many cold keys one address may have looked up and verified at once (SPEC 5).

    An address is *suspected* while its bucket, with its attempts under way, is full. Then it gets
    `suspect_lookups` rows at once, so that a flood of made-up keys leaves the database to others
    and a valid key still gets through.
    """

    failures: FailureBuckets
    suspect_lookups: int = 4
    tenant_verifications: int = 4
    _attempts: Counter[str] = field(factory=Counter, init=False)
    _suspects: Counter[str] = field(factory=Counter, init=False)
    _verifying: dict[str, set[str]] = field(factory=dict, init=False)
    _tenants: dict[UUID, Counter[bytes]] = field(factory=dict, init=False)

    @contextmanager
    def lookup(self, address: str, now: float) -> Iterator[bool]:
        """Hold a place for one cold key from its row to its end; gives "suspected".

        Raises `AuthFailuresLimited` where a suspected address has no place left.
        """
        suspected = self.failures.is_full(address, now, pending=self._attempts[address])
        if suspected and self._suspects[address] >= self.suspect_lookups:
            raise AuthFailuresLimited(why="lookups", retry_after=1)
        places = self._suspects if suspected else self._attempts
        places[address] += 1
        try:
            yield suspected
        finally:
            places[address] -= 1
            if not places[address]:
                del places[address]

    @contextmanager
    def verification(self, guess: Guess, *, suspected: bool) -> Iterator[None]:
        """Hold the right to one argon2: of a suspected address the only one.

        Of any address only one per prefix: a prefix has one right key, so two different ones at
        once are guesses. Of any tenant only `tenant_verifications` different keys, so that guesses
        at one tenant's keys leave the verifier to the others. Raises `AuthFailuresLimited` or
        `AuthUnavailable` where that is taken.
        """
        running = self._verifying.get(guess.address, set())
        if guess.prefix in running or (suspected and running):
            raise AuthFailuresLimited(why="verifications", retry_after=1)
        tenant = self._tenants.setdefault(guess.tenant_id, Counter())
        if guess.digest not in tenant and len(tenant) >= self.tenant_verifications:
            raise AuthUnavailable(why="verifications")
        self._verifying[guess.address] = running | {guess.prefix}
        tenant[guess.digest] += 1
        try:
            yield
        finally:
            self._let_go(guess, tenant)

    def _let_go(self, guess: Guess, tenant: Counter[bytes]) -> None:
        left = self._verifying.pop(guess.address) - {guess.prefix}
        if left:
            self._verifying[guess.address] = left
        tenant[guess.digest] -= 1
        if not tenant[guess.digest]:
            del tenant[guess.digest]
        if not tenant:
            del self._tenants[guess.tenant_id]
