"""Verified principals in Redis, so that a key is proved by argon2 once and not once per gateway.

Whoever can write to this Redis could forge an entry; what is read is therefore at least one that
we could have written, for the prefix that was asked for. Anything else is absent (SPEC 5).
"""

from uuid import UUID

import orjson
from attrs import frozen
from twisted.internet.defer import Deferred

from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.stores.expiring import (
    BrokenValueError,
    Redis,
    forget,
    member,
    parse,
    read,
    strings,
    typed,
    write,
)
from neuronetz_twisted.vocabulary import CachedPrincipal, Principal, Scope

_DIGEST_HEX_LENGTH = 64


@frozen
class RedisPrincipals:
    """The cache of `seams.PrincipalCache` under `nz:key:<prefix>`."""

    _redis: Redis

    def get(self, prefix: str) -> Deferred[tuple[CachedPrincipal, float] | None]:
        """The entry and the seconds it has left to live."""
        return Deferred.fromCoroutine(self._get(prefix))

    def put(self, prefix: str, entry: CachedPrincipal, ttl_s: float) -> Deferred[None]:
        """Keep an entry for `ttl_s` seconds from now."""
        return Deferred.fromCoroutine(write(self._redis, _key(prefix), encode(entry), ttl_s))

    def drop(self, prefix: str) -> Deferred[None]:
        """Forget the entry."""
        return Deferred.fromCoroutine(forget(self._redis, _key(prefix)))

    async def _get(self, prefix: str) -> tuple[CachedPrincipal, float] | None:
        found = await read(self._redis, _key(prefix))
        if found is None:
            return None
        value, left_s = found
        try:
            return decode(value, prefix), left_s
        except BrokenValueError:
            await forget(self._redis, _key(prefix))
            return None


def encode(entry: CachedPrincipal) -> bytes:
    """An entry as JSON; the digest in hexadecimal."""
    principal = entry.principal
    return orjson.dumps(
        {
            "digest": entry.digest.hex(),
            "tenant_id": str(principal.tenant_id),
            "key_id": str(principal.key_id),
            "prefix": principal.prefix,
            "scopes": sorted(scope.value for scope in principal.scopes),
            "allow_all_models": principal.allow_all_models,
            "models": sorted(principal.models),
            "expires_at": None if principal.expires_at is None else float(principal.expires_at),
            "epoch": principal.epoch,
            "prompt_logging": principal.prompt_logging,
            "tenant_limits": principal.tenant_limits.as_row(),
            "key_limits": principal.key_limits.as_row(),
        }
    )


def decode(value: bytes, prefix: str) -> CachedPrincipal:
    """The entry in `value`, which must be that of `prefix`. Raises BrokenValueError."""
    document = parse(value)
    if member(document, "prefix", str) != prefix:
        raise BrokenValueError("the entry of another key")
    principal = Principal(
        tenant_id=_uuid(document, "tenant_id"),
        key_id=_uuid(document, "key_id"),
        prefix=prefix,
        scopes=_scopes(document),
        allow_all_models=member(document, "allow_all_models", bool),
        models=frozenset(strings(document, "models")),
        expires_at=_expires_at(document),
        epoch=member(document, "epoch", int),
        prompt_logging=member(document, "prompt_logging", bool),
        tenant_limits=_limits(document, "tenant_limits"),
        key_limits=_limits(document, "key_limits"),
    )
    return CachedPrincipal(digest=_digest(document), principal=principal)


def _key(prefix: str) -> str:
    return f"nz:key:{prefix}"


def _digest(document: object) -> bytes:
    text = member(document, "digest", str)
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        raise BrokenValueError("no digest") from None
    # fromhex skips spaces, so the one spelling that we write is compared.
    if len(text) != _DIGEST_HEX_LENGTH or digest.hex() != text:
        raise BrokenValueError("no digest")
    return digest


def _uuid(document: object, name: str) -> UUID:
    text = member(document, name, str)
    try:
        value = UUID(text)
    except ValueError:
        raise BrokenValueError("no UUID") from None
    # UUID also takes braces and prefixes.
    if str(value) != text:
        raise BrokenValueError("no UUID")
    return value


def _scopes(document: object) -> frozenset[Scope]:
    try:
        return frozenset(Scope(text) for text in strings(document, "scopes"))
    except ValueError:
        raise BrokenValueError("no scope") from None


def _expires_at(document: object) -> float | None:
    # A missing member is no "never expires".
    value = typed(document, dict).get("expires_at", False)
    return None if value is None else typed(value, float)


def _limits(document: object, name: str) -> Limits:
    # A limit that is missing is no "not set".
    values = member(document, name, dict)
    if values.keys() != set(LIMIT_NAMES):
        raise BrokenValueError("no limits")
    return Limits(**{limit: _limit(value) for limit, value in values.items()})


def _limit(value: object) -> int | None:
    if value is None:
        return None
    amount = typed(value, int)
    if amount < 0:
        raise BrokenValueError("no limit")
    return amount
