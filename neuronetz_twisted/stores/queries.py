"""What the service asks of PostgreSQL, as plain functions of a connection.

They run through `DatabaseThreads.run`, so each is one whole transaction. All values are bound
parameters; what comes back are values of ours, never rows that read on.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from neuronetz_twisted.limits import LIMIT_NAMES, Limits, SetLimits
from neuronetz_twisted.stores.tables import (
    api_key_credentials,
    api_keys,
    key_limits,
    tenant_limits,
    tenants,
)
from neuronetz_twisted.vocabulary import KeyRecord, Scope, Status

_LIMITS = tuple(
    table.c[name].label(f"{level}_{name}")
    for level, table in (("tenant", tenant_limits), ("key", key_limits))
    for name in LIMIT_NAMES
)


def find_key_record(connection: Connection, prefix: str) -> KeyRecord | None:
    """The credential with this prefix, with key and tenant, all of one snapshot (SPEC 5)."""
    statement = (
        select(
            api_key_credentials.c.secret_hash,
            tenants.c.id.label("tenant_id"),
            tenants.c.status.label("tenant_status"),
            tenants.c.allow_all_models.label("tenant_allow_all_models"),
            tenants.c.allowed_models.label("tenant_models"),
            tenants.c.epoch,
            api_keys.c.id.label("key_id"),
            api_keys.c.status.label("key_status"),
            api_keys.c.allow_all_models,
            api_keys.c.allowed_models,
            api_keys.c.scopes,
            api_keys.c.prompt_logging,
            func.least(api_keys.c.expires_at, api_key_credentials.c.expires_at).label("expires_at"),
            *_LIMITS,
        )
        .select_from(
            api_key_credentials.join(api_keys)
            .join(tenants)
            .outerjoin(tenant_limits)
            .outerjoin(key_limits)
        )
        .where(api_key_credentials.c.prefix == prefix)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return KeyRecord(
        tenant_id=row.tenant_id,
        tenant_status=Status(row.tenant_status),
        tenant_allow_all_models=row.tenant_allow_all_models,
        tenant_models=frozenset(row.tenant_models),
        key_id=row.key_id,
        key_status=Status(row.key_status),
        key_allow_all_models=row.allow_all_models,
        key_models=None if row.allowed_models is None else frozenset(row.allowed_models),
        prefix=prefix,
        secret_hash=row.secret_hash,
        scopes=frozenset(map(Scope, row.scopes)),
        expires_at=None if row.expires_at is None else row.expires_at.timestamp(),
        epoch=row.epoch,
        prompt_logging=row.prompt_logging,
        tenant_limits=_limits(row, "tenant"),
        key_limits=_limits(row, "key"),
    )


def _limits(row: Row[*tuple[Any, ...]], level: str) -> Limits:
    """What is set at a level; where it has no row, all of it is NULL."""
    return Limits(**{name: getattr(row, f"{level}_{name}") for name in LIMIT_NAMES})


def mark_used(connection: Connection, prefix: str, rehashed: str | None) -> None:
    """Note that a credential was verified just now; `rehashed` replaces its argon2 hash."""
    changes: dict[str, Any] = {"last_used_at": func.now()}
    if rehashed is not None:
        changes["secret_hash"] = rehashed
    connection.execute(
        update(api_key_credentials).where(api_key_credentials.c.prefix == prefix).values(changes)
    )


def usable_keys(connection: Connection, key_ids: Collection[UUID]) -> dict[UUID, SetLimits]:
    """Those of the keys that are active, of an active tenant, and have not expired.

    With each comes what is set for it, all of one snapshot. A key whose credentials have all
    expired counts as expired.
    """
    statement = (
        select(api_keys.c.id, tenants.c.epoch, *_LIMITS)
        .select_from(
            api_keys.join(tenants)
            .join(api_key_credentials)
            .outerjoin(tenant_limits)
            .outerjoin(key_limits)
        )
        .where(
            api_keys.c.id == func.any(list(key_ids)),
            api_keys.c.status == Status.ACTIVE.value,
            tenants.c.status == Status.ACTIVE.value,
            # LEAST passes over NULLs: neither date set is "never".
            func.coalesce(
                func.least(api_keys.c.expires_at, api_key_credentials.c.expires_at) > func.now(),
                True,
            ),
        )
    )
    return {
        row.id: SetLimits(epoch=row.epoch, tenant=_limits(row, "tenant"), key=_limits(row, "key"))
        for row in connection.execute(statement)
    }


def changed_tenants(
    connection: Connection, since_seconds: float | None = 60.0
) -> list[tuple[UUID, int]]:
    """Tenants and epochs that changed in the last seconds, on the database's clock; None: all."""
    statement = select(tenants.c.id, tenants.c.epoch)
    if since_seconds is not None:
        window = func.make_interval(0, 0, 0, 0, 0, 0, since_seconds)
        statement = statement.where(tenants.c.changed_at > func.clock_timestamp() - window)
    return [(row.id, row.epoch) for row in connection.execute(statement)]
