"""What one process remembers of keys: those proven right, those proven wrong, and how old.

Nothing here is a source of truth, and nothing here makes a key good or bad for longer than its
tenant's epoch stands (SPEC 5). Time is an argument, in seconds of a clock that never goes back.
All of it is bounded.
"""

from collections import OrderedDict
from uuid import UUID

from attrs import define, field, frozen

from neuronetz_twisted.vocabulary import CachedPrincipal, Principal


@frozen
class WarmKey:
    """A proven key: `until` is the end of its time to live, which no hit puts off."""

    entry: CachedPrincipal
    until: float


@define
class WarmKeys:
    """Proven keys by prefix, at most `capacity`; the least recently used goes first.

    Only proven keys come in, so that no flood of wrong ones can push them out.
    """

    capacity: int
    _keys: OrderedDict[str, WarmKey] = field(factory=OrderedDict, init=False)

    def get(self, prefix: str, now: float) -> WarmKey | None:
        """Find a key that is within its time to live."""
        warm = self._keys.get(prefix)
        if warm is None:
            return None
        if warm.until <= now:
            del self._keys[prefix]
            return None
        self._keys.move_to_end(prefix)
        return warm

    def put(self, warm: WarmKey, now: float) -> None:
        """Keep a key, unless what is kept of it was read later."""
        prefix = warm.entry.principal.prefix
        held = self.get(prefix, now)
        if warm.until <= now or (
            held is not None and held.entry.principal.epoch > warm.entry.principal.epoch
        ):
            return
        self._keys[prefix] = warm
        self._keys.move_to_end(prefix)
        if len(self._keys) > self.capacity:
            self._keys.popitem(last=False)

    def drop(self, prefix: str) -> None:
        """Forget a key."""
        self._keys.pop(prefix, None)


@define
class WrongKeys:
    """Digests that argon2 has proven wrong, at most `capacity`, each for `ttl_s` seconds.

    A prefix has one secret for ever, so a wrong one stays wrong. Keys that are unknown, disabled
    or expired are never kept: they may become good, and must not wait for us.
    """

    capacity: int
    ttl_s: float
    _until: OrderedDict[bytes, float] = field(factory=OrderedDict, init=False)

    def add(self, digest: bytes, now: float) -> None:
        """Keep a digest; the oldest gives way."""
        self._until[digest] = now + self.ttl_s
        self._until.move_to_end(digest)
        if len(self._until) > self.capacity:
            self._until.popitem(last=False)

    def holds(self, digest: bytes, now: float) -> bool:
        """Say whether a digest was proven wrong a short while ago."""
        until = self._until.get(digest)
        if until is None:
            return False
        if until <= now:
            del self._until[digest]
            return False
        return True


@define
class TenantEpochs:
    """The largest epoch seen of each tenant, of the `capacity` that were heard of last.

    A tenant pushed out has had no change for longer than a principal is kept, unless more than
    `capacity` tenants change within that time; and then the admission script still compares.
    """

    capacity: int
    _largest: OrderedDict[UUID, int] = field(factory=OrderedDict, init=False)

    def observe(self, tenant_id: UUID, epoch: int) -> None:
        """Take note of an epoch; a smaller one than is known changes nothing."""
        self._largest[tenant_id] = max(epoch, self._largest.get(tenant_id, epoch))
        self._largest.move_to_end(tenant_id)
        if len(self._largest) > self.capacity:
            self._largest.popitem(last=False)

    def outdated(self, principal: Principal) -> bool:
        """Say whether the tenant has changed since this principal was read."""
        return principal.epoch < self._largest.get(principal.tenant_id, principal.epoch)
