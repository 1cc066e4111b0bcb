"""Fakes of what identification talks to: key rows, the cache in Redis, and argon2.

Each answers at once, or, while `held` is true, only when `release` is called: so a test decides
what happens between a question and its answer. Each counts what it was asked.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import Any, TypeVar
from uuid import UUID, uuid4

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed

from neuronetz_twisted.admission.credentials import new_key
from neuronetz_twisted.admission.verifier import VerifyResult
from neuronetz_twisted.errors import AuthUnavailable, DatabaseUnavailable, RedisUnavailable
from neuronetz_twisted.limits import SetLimits
from neuronetz_twisted.vocabulary import CachedPrincipal, KeyRecord, Scope, Status

Answer = TypeVar("Answer")


def made_key(seed: int, *, prefix: str | None = None) -> str:
    """Make the key of a seed, always the same; `prefix` is that of another key."""
    draw = Random(seed).randrange  # noqa: S311 - it opens nothing
    if prefix is None:
        return new_key(draw)
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    fixed = [digits.index(character) for character in prefix.removeprefix("nz_")]
    return new_key(lambda count: fixed.pop(0) if fixed else draw(count))


def record_of(key: str) -> KeyRecord:
    """Make the row of a key that may do everything: active, of a tenant of its own, epoch 1."""
    return KeyRecord(
        tenant_id=uuid4(),
        tenant_status=Status.ACTIVE,
        tenant_allow_all_models=True,
        tenant_models=frozenset(),
        key_id=uuid4(),
        key_status=Status.ACTIVE,
        key_allow_all_models=None,
        key_models=None,
        prefix=key[:12],
        secret_hash=fake_hash(key),
        scopes=frozenset({Scope.CHAT, Scope.EMBEDDINGS}),
        expires_at=None,
        epoch=1,
    )


def fake_hash(key: str) -> str:
    """Hash a key as `FakeVerifier` understands it."""
    return sha256(key.encode()).hexdigest()


@define
class Gate:
    """Lets answers through at once, or keeps them, in order, until they are released."""

    held: bool = False
    _waiting: list[Callable[[], None]] = field(factory=list, init=False)

    @property
    def waiting(self) -> int:
        """How many answers are kept."""
        return len(self._waiting)

    def answer(self, compute: Callable[[], Answer]) -> Deferred[Answer]:
        """Give the value as of now, at once or when released."""
        value = compute()
        if not self.held:
            return succeed(value)
        answer: Deferred[Answer] = Deferred()
        self._waiting.append(lambda: answer.callback(value))
        return answer

    def release(self) -> None:
        """Let the oldest kept answer go."""
        self._waiting.pop(0)()

    def release_all(self) -> None:
        """Hold no longer, and let all kept answers go."""
        self.held = False
        while self._waiting:
            self.release()


@define
class FakeKeyStore:
    """A `KeyStore` of rows by prefix; `away` makes it fail as a database that is gone."""

    rows: dict[str, KeyRecord] = field(factory=dict)
    gate: Gate = field(factory=Gate)
    away: bool = False
    found: list[str] = field(factory=list, init=False)
    noted: list[tuple[str, str | None]] = field(factory=list, init=False)
    most_waiting: int = field(default=0, init=False)

    def add(self, key: str) -> KeyRecord:
        """Keep a row for a key, and give it."""
        row = self.rows[key[:12]] = record_of(key)
        return row

    def change(self, prefix: str, **changes: Any) -> KeyRecord:
        """Change a row as the triggers would: its tenant's epoch goes up by one."""
        row = self.rows[prefix]
        self.rows[prefix] = evolve(row, epoch=row.epoch + 1, **changes)
        return self.rows[prefix]

    def find(self, prefix: str) -> Deferred[KeyRecord | None]:
        """Look a row up, as it is now."""
        self.found.append(prefix)
        if self.away:
            return fail(DatabaseUnavailable())
        answer = self.gate.answer(lambda: self.rows.get(prefix))
        self.most_waiting = max(self.most_waiting, self.gate.waiting)
        return answer

    def used(self, prefix: str, *, rehashed: str | None) -> Deferred[None]:
        """Note a use."""
        if self.away:
            return fail(DatabaseUnavailable())
        self.noted.append((prefix, rehashed))
        return succeed(None)

    def usable(self, key_ids: Sequence[UUID]) -> Deferred[Mapping[UUID, SetLimits]]:
        """Pick the keys that are active, of an active tenant; expiry is left to `find`."""
        if self.away:
            return fail(DatabaseUnavailable())
        asked = set(key_ids)
        usable = {
            row.key_id: SetLimits(epoch=row.epoch, tenant=row.tenant_limits, key=row.key_limits)
            for row in self.rows.values()
            if row.key_id in asked
            and row.key_status is Status.ACTIVE
            and row.tenant_status is Status.ACTIVE
        }
        return self.gate.answer(lambda: usable)


@define
class FakePrincipalCache:
    """A `PrincipalCache` in memory, shared by as many identifiers as a test has.

    `seconds` is the clock that entries die by.
    """

    seconds: Callable[[], float]
    gate: Gate = field(factory=Gate)
    away: bool = False
    entries: dict[str, tuple[CachedPrincipal, float]] = field(factory=dict, init=False)
    asked: list[str] = field(factory=list, init=False)

    def get(self, prefix: str) -> Deferred[tuple[CachedPrincipal, float] | None]:
        """Find an entry and what it has left to live."""
        self.asked.append(prefix)
        if self.away:
            return fail(RedisUnavailable())
        return self.gate.answer(lambda: self._alive(prefix))

    def _alive(self, prefix: str) -> tuple[CachedPrincipal, float] | None:
        if prefix not in self.entries:
            return None
        entry, until = self.entries[prefix]
        left_s = until - self.seconds()
        return (entry, left_s) if left_s > 0 else None

    def put(self, prefix: str, entry: CachedPrincipal, ttl_s: float) -> Deferred[None]:
        """Keep an entry."""
        if self.away:
            return fail(RedisUnavailable())
        self.entries[prefix] = (entry, self.seconds() + ttl_s)
        return succeed(None)

    def drop(self, prefix: str) -> Deferred[None]:
        """Forget an entry."""
        if self.away:
            return fail(RedisUnavailable())
        self.entries.pop(prefix, None)
        return succeed(None)


@define
class FakeVerifier:
    """A `KeyVerifier` that compares `fake_hash`es, `capacity` of them at once.

    `rehashed` is the new hash that it gives with each right key.
    """

    capacity: int = 10
    rehashed: str | None = None
    gate: Gate = field(factory=Gate)
    verified: list[str] = field(factory=list, init=False)
    most_waiting: int = field(default=0, init=False)

    def verify(self, digest: bytes, secret_hash: str, key: str) -> Deferred[VerifyResult]:
        """Compare; fails with `AuthUnavailable` where the capacity is taken."""
        if self.gate.waiting >= self.capacity:
            return fail(AuthUnavailable(why="verifier_full"))
        self.verified.append(key[:12])
        ok = fake_hash(key) == secret_hash and digest.hex() == secret_hash
        answer = self.gate.answer(lambda: VerifyResult(ok, self.rehashed if ok else None))
        self.most_waiting = max(self.most_waiting, self.gate.waiting)
        return answer
