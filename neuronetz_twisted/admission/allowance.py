"""What a caller may use, from what is set for the tenant, for the key, and for everybody (SPEC 7).

A value of the tenant holds for all calls of the tenant together, a value of the key for those of
that key. Both hold where both are set, so a key's value above its tenant's changes nothing.

The default of a limit (`DEFAULT_RPM` and the like) belongs to the tenant, and holds where neither
the tenant nor the key that calls has a value for this limit: a tenant for whom nobody has set
anything cannot have more by having more keys. A key with a value of its own is not held by the
default. Its calls still count for its tenant, as all do; so where a tenant has no value, what such
a key takes is missing to the keys that have none. Budgets have no default.

The caps of a single call are the least of what is set for everybody, for the tenant and for the
key: a level can only lower them. Pure.
"""

from functools import lru_cache

from attrs import evolve, frozen

from neuronetz_twisted.limits import Limits
from neuronetz_twisted.vocabulary import Principal


@frozen(kw_only=True, cache_hash=True)
class Defaults:
    """What is set for everybody (SPEC 10).

    `rpm`, `tpm` and `concurrent` hold where nothing is set; `max_body_bytes` and `max_predict`
    hold whatever is set.
    """

    rpm: int
    tpm: int
    concurrent: int
    max_body_bytes: int
    max_predict: int


@frozen(kw_only=True)
class Allowance:
    """What holds for one caller; None is no limit at that level.

    `tenant` is for all calls of his tenant together, `key` for those of his key. `max_body_bytes`
    and `max_predict` (tokens) are the caps of each call, with all levels counted.
    """

    tenant: Limits
    key: Limits
    max_body_bytes: int
    max_predict: int


def allowance_of(principal: Principal, defaults: Defaults) -> Allowance:
    """What a caller may use."""
    return _allowance(principal.tenant_limits, principal.key_limits, defaults)


# Most callers have one of a few combinations, and each call asks several times.
@lru_cache(maxsize=4096)
def _allowance(tenant: Limits, key: Limits, defaults: Defaults) -> Allowance:
    return Allowance(
        tenant=evolve(
            tenant,
            rpm=_shared(tenant.rpm, key.rpm, defaults.rpm),
            tpm=_shared(tenant.tpm, key.tpm, defaults.tpm),
            concurrent=_shared(tenant.concurrent, key.concurrent, defaults.concurrent),
        ),
        key=key,
        max_body_bytes=_least(defaults.max_body_bytes, tenant.max_body_bytes, key.max_body_bytes),
        # To Ollama less than one token is an answer without end.
        max_predict=max(1, _least(defaults.max_predict, tenant.max_predict, key.max_predict)),
    )


def _shared(tenant: int | None, key: int | None, default: int) -> int | None:
    """The limit of the tenant: his own, or the default where nobody has set one."""
    return default if tenant is None and key is None else tenant


def _least(ceiling: int, *own: int | None) -> int:
    return min([ceiling, *(cap for cap in own if cap is not None)])
