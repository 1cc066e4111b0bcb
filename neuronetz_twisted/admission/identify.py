"""Who is calling: from the text of a credential to a principal, as cheaply as is safe (SPEC 5).

The order of the checks is the order of their cost, so that a flood of bad keys stops at the
cheapest one: shape and CRC, this process' memory, Redis, the address' bucket of failures, the
indexed row, and only then argon2. Each failure is the same 401; the record alone says which.

A proof (this digest belongs to this prefix) and a principal (what that key may do) age apart. A
changed tenant makes the principal outdated but not the proof, so the row is read anew without a
second argon2, and the proof's time to live goes on from the verification.
"""

from collections.abc import Callable
from functools import partial
from hmac import compare_digest
from uuid import UUID

from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.admission.credentials import ParsedKey, parse_key
from neuronetz_twisted.admission.failures import AddressGuard, FailureBuckets, Guess
from neuronetz_twisted.admission.flights import SingleFlight
from neuronetz_twisted.admission.models import principal_of
from neuronetz_twisted.admission.principals import TenantEpochs, WarmKey, WarmKeys, WrongKeys
from neuronetz_twisted.admission.verifier import KeyVerifier
from neuronetz_twisted.errors import (
    AuthFailuresLimited,
    AuthUnavailable,
    DatabaseUnavailable,
    InvalidApiKey,
    RedisUnavailable,
    Unavailable,
)
from neuronetz_twisted.seams import KeyStore, PrincipalCache
from neuronetz_twisted.vocabulary import CachedPrincipal, KeyRecord, Principal, Status

_log = Logger()

_MAX_TENANTS = 100_000


@define(kw_only=True)
class Identifier:
    """Identifies callers, and is told when a tenant has changed.

    `clock` must never go back: times to live are counted on it. `now` gives seconds since 1970,
    for the keys' expiry. `ttl_s` is counted from the verification, `wrong_ttl_s` from its failure.
    """

    store: KeyStore
    cache: PrincipalCache
    verifier: KeyVerifier
    failures: FailureBuckets
    clock: IReactorTime
    now: Callable[[], float]
    ttl_s: float = 60.0
    wrong_ttl_s: float = 60.0
    max_warm: int = 10_000
    max_wrong: int = 10_000

    _guard: AddressGuard = field(
        init=False,
        default=Factory(lambda self: AddressGuard(failures=self.failures), takes_self=True),
    )
    _warm: WarmKeys = field(
        init=False, default=Factory(lambda self: WarmKeys(self.max_warm), takes_self=True)
    )
    _wrong: WrongKeys = field(
        init=False,
        default=Factory(lambda self: WrongKeys(self.max_wrong, self.wrong_ttl_s), takes_self=True),
    )
    _epochs: TenantEpochs = field(init=False, factory=partial(TenantEpochs, _MAX_TENANTS))
    # By address too: one address' full bucket is no reason to refuse another's same key.
    _cold: SingleFlight[tuple[bytes, str], Principal] = field(init=False, factory=SingleFlight)
    _reads: SingleFlight[str, Principal] = field(init=False, factory=SingleFlight)

    async def identify(self, credential_text: str | None, address_bucket: str) -> Principal:
        """Find out who presents this credential.

        `address_bucket` is the `bucket_key` of the caller's address. Raises `InvalidApiKey` whose
        `why` is none, malformed, unknown, wrong, expired, disabled, revoked or tenant_disabled;
        `AuthFailuresLimited`; or `AuthUnavailable` where a store or the verifier cannot say.
        """
        try:
            return await self._identified(credential_text, address_bucket)
        except InvalidApiKey:
            self.failures.add(address_bucket, self.clock.seconds())
            raise

    async def reread(self, principal: Principal) -> Principal:
        """Read anew a principal that Redis knows to be stale.

        Raises `InvalidApiKey` if the key is no longer good, `AuthUnavailable` without a database.
        """
        # All of the tenant's principals that are as old as this one are stale with it.
        self.epoch_changed(principal.tenant_id, principal.epoch + 1)
        self._aside(self.cache.drop(principal.prefix), principal.prefix)
        return await self._current(principal)

    def epoch_changed(self, tenant_id: UUID, epoch: int) -> None:
        """Take note of a tenant's epoch (an `EpochListener`).

        Older principals stay as proofs of their keys and are not used for anything else.
        """
        self._epochs.observe(tenant_id, epoch)

    async def _identified(self, text: str | None, address: str) -> Principal:
        if text is None:
            raise InvalidApiKey(why="none")
        key = parse_key(text)
        if key is None:
            raise InvalidApiKey(why="malformed")
        now = self.clock.seconds()
        warm = self._warm.get(key.prefix, now)
        if warm is not None:
            return await self._from_proof(key, warm.entry)
        if self._wrong.holds(key.digest, now):
            raise InvalidApiKey(why="wrong")
        return await self._cold.join(
            (key.digest, address), partial(self._from_cold, key, text, address)
        )

    async def _from_proof(self, key: ParsedKey, entry: CachedPrincipal) -> Principal:
        """Take a cached principal; another digest than the proven one is wrong without argon2."""
        if not compare_digest(entry.digest, key.digest):
            raise InvalidApiKey(why="wrong")
        principal = await self._current(entry.principal)
        self._refuse_expired(principal.expires_at)
        return principal

    async def _from_cold(self, key: ParsedKey, text: str, address: str) -> Principal:
        shared = await self._shared(key.prefix)
        if shared is not None:
            self._warm.put(shared, self.clock.seconds())
            return await self._from_proof(key, shared.entry)
        with self._guard.lookup(address, self.clock.seconds()) as suspected:
            record = await self._row(key.prefix)
            if record is None and suspected:
                wait = self.failures.wait(address, self.clock.seconds())
                raise AuthFailuresLimited(why="unknown", retry_after=wait)
            record = self._living(record)
            guess = Guess(address, key.prefix, record.tenant_id, key.digest)
            with self._guard.verification(guess, suspected=suspected):
                result = await self.verifier.verify(key.digest, record.secret_hash, text)
        now = self.clock.seconds()
        if not result.ok:
            self._wrong.add(key.digest, now)
            raise InvalidApiKey(why="wrong")
        self._aside(self.store.used(key.prefix, rehashed=result.rehashed), key.prefix)
        principal = principal_of(record)
        self._keep(CachedPrincipal(digest=key.digest, principal=principal), now + self.ttl_s)
        # The row was read before argon2 ran; a change since then counts.
        return await self._current(principal)

    async def _shared(self, prefix: str) -> WarmKey | None:
        """Look into Redis. Without it a cold key is refused: nobody could say it is not revoked."""
        asked = self.clock.seconds()
        try:
            found = await self.cache.get(prefix)
        except RedisUnavailable:
            raise AuthUnavailable(why="redis") from None
        if found is None:
            return None
        entry, left_s = found
        if left_s > self.ttl_s + 1:
            # Whoever kept it so long did not count from the verification.
            return None
        until = asked + min(left_s, self.ttl_s)
        return WarmKey(entry, until) if until > self.clock.seconds() else None

    async def _current(self, principal: Principal) -> Principal:
        """Give the principal, read anew if the tenant has changed since."""
        if not self._epochs.outdated(principal):
            return principal
        prefix = principal.prefix
        fresh = await self._reads.join(prefix, partial(self._read, prefix))
        if self._epochs.outdated(fresh):
            # That read was under way before the change; one begun now sees it.
            fresh = await self._reads.join(prefix, partial(self._read, prefix))
        return fresh

    async def _read(self, prefix: str) -> Principal:
        """Read a proven key's row anew; its proof keeps its own time to live."""
        proof = self._warm.get(prefix, self.clock.seconds())
        try:
            principal = principal_of(self._living(await self._row(prefix)))
        except InvalidApiKey:
            self._warm.drop(prefix)
            self._aside(self.cache.drop(prefix), prefix)
            raise
        if proof is not None:
            self._keep(CachedPrincipal(digest=proof.entry.digest, principal=principal), proof.until)
        return principal

    async def _row(self, prefix: str) -> KeyRecord | None:
        try:
            record = await self.store.find(prefix)
        except DatabaseUnavailable:
            raise AuthUnavailable(why="database") from None
        if record is not None:
            self._epochs.observe(record.tenant_id, record.epoch)
        return record

    def _living(self, record: KeyRecord | None) -> KeyRecord:
        """Let a key pass that may be used now."""
        if record is None:
            raise InvalidApiKey(why="unknown")
        if record.key_status is not Status.ACTIVE:
            raise InvalidApiKey(why=record.key_status.value)
        if record.tenant_status is not Status.ACTIVE:
            raise InvalidApiKey(why="tenant_disabled")
        self._refuse_expired(record.expires_at)
        return record

    def _refuse_expired(self, expires_at: float | None) -> None:
        if expires_at is not None and expires_at <= self.now():
            raise InvalidApiKey(why="expired")

    def _keep(self, entry: CachedPrincipal, until: float) -> None:
        """Keep a proven principal here and, if it is the newest known, for the other gateways."""
        now = self.clock.seconds()
        self._warm.put(WarmKey(entry, until), now)
        if until > now and not self._epochs.outdated(entry.principal):
            prefix = entry.principal.prefix
            self._aside(self.cache.put(prefix, entry, until - now), prefix)

    def _aside(self, work: Deferred[None], prefix: str) -> None:
        """Let work go on that no request waits for; a store that is away is worth a line."""
        work.addErrback(_note, prefix)


def _note(failure: Failure, prefix: str) -> None:
    if failure.check(Unavailable) is None:
        _log.failure("what is kept of key {prefix} could not be written", failure, prefix=prefix)
    else:
        _log.warn(
            "what is kept of key {prefix} was not written: {error}",
            prefix=prefix,
            error=type(failure.value).__name__,
        )
