"""What an operator does with tenants and keys, as plain functions of a connection (SPEC 11).

The command line runs them in a transaction of its own. All values are bound parameters. Changes
bump `tenants.epoch` by the database's triggers (SPEC 5), so nothing here has to tell a gateway.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import Connection, Row, Table, Text, cast, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.stores.records import (
    AmbiguousKey,
    Key,
    KeyIsRevoked,
    NameTaken,
    NoSuchKey,
    NoSuchTenant,
    PrefixTaken,
    Tenant,
)
from neuronetz_twisted.stores.tables import (
    api_key_credentials,
    api_keys,
    key_limits,
    revocations,
    tenant_limits,
    tenants,
)
from neuronetz_twisted.vocabulary import Scope, Status


class ModelChanges(TypedDict, total=False):
    """What `set_*_models` changes: a field left out stays, None on a key means "the tenant's"."""

    allow_all_models: bool | None
    models: Collection[str] | None


def create_tenant(
    connection: Connection,
    name: str,
    *,
    allow_all_models: bool = False,
    models: Collection[str] = (),
    limits: Limits | None = None,
) -> UUID:
    """Add a tenant and return its id. Raises NameTaken."""
    row = {"name": name, "allow_all_models": allow_all_models, "allowed_models": sorted(models)}
    tenant_id: UUID | None = _insert_unless_taken(connection, tenants, ["name"], **row)
    if tenant_id is None:
        raise NameTaken("tenant", name)
    if limits is not None:
        connection.execute(insert(tenant_limits).values(tenant_id=tenant_id, **limits.as_row()))
    return tenant_id


def list_tenants(connection: Connection) -> list[Tenant]:
    """All tenants with their own limits, by name."""
    statement = (
        select(tenants, *(tenant_limits.c[name] for name in LIMIT_NAMES))
        .select_from(tenants.outerjoin(tenant_limits))
        .order_by(tenants.c.name)
    )
    return [
        Tenant(
            id=row.id,
            name=row.name,
            status=Status(row.status),
            allow_all_models=row.allow_all_models,
            models=tuple(row.allowed_models),
            limits=_limits(row),
            epoch=row.epoch,
            created_at=row.created_at,
        )
        for row in connection.execute(statement)
    ]


def set_tenant_status(connection: Connection, name: str, status: Status) -> None:
    """Disable or enable a tenant with all its keys. Raises NoSuchTenant."""
    _change_tenant(connection, name, {"status": status.value})


def set_tenant_models(connection: Connection, name: str, **changes: Unpack[ModelChanges]) -> None:
    """Change what a tenant may use (SPEC 6). Raises NoSuchTenant."""
    _change_tenant(connection, name, _model_columns(changes))


def create_key(  # noqa: PLR0913 - a key has that many properties
    connection: Connection,
    *,
    tenant: str,
    name: str,
    scopes: Collection[Scope],
    prefix: str,
    secret_hash: str,
    allow_all_models: bool | None = None,
    models: Collection[str] | None = None,
    limits: Limits | None = None,
    expires_at: datetime | None = None,
    prompt_logging: bool = False,
) -> UUID:
    """Add a key with its first credential and return the key's id.

    `secret_hash` is the argon2id hash of the whole key. Raises NoSuchTenant, NameTaken, and
    PrefixTaken, for which the caller makes another key.
    """
    key_id: UUID | None = _insert_unless_taken(
        connection,
        api_keys,
        ["tenant_id", "name"],
        tenant_id=_tenant_id(connection, tenant),
        name=name,
        scopes=sorted(scope.value for scope in scopes),
        allow_all_models=allow_all_models,
        allowed_models=None if models is None else sorted(models),
        expires_at=expires_at,
        prompt_logging=prompt_logging,
    )
    if key_id is None:
        raise NameTaken("key", name)
    credential = {"prefix": prefix, "key_id": key_id, "secret_hash": secret_hash}
    if _insert_unless_taken(connection, api_key_credentials, ["prefix"], **credential) is None:
        raise PrefixTaken
    if limits is not None:
        connection.execute(insert(key_limits).values(key_id=key_id, **limits.as_row()))
    return key_id


def list_keys(connection: Connection, tenant: str | None = None) -> list[Key]:
    """The keys of one tenant or of all, by tenant and name. Raises NoSuchTenant."""
    mine = api_key_credentials.c.key_id == api_keys.c.id
    newest_first = aggregate_order_by(
        api_key_credentials.c.prefix, api_key_credentials.c.created_at.desc()
    )
    statement = (
        select(
            api_keys,
            tenants.c.name.label("tenant"),
            select(func.array_agg(newest_first)).where(mine).scalar_subquery().label("prefixes"),
            select(func.max(api_key_credentials.c.last_used_at))
            .where(mine)
            .scalar_subquery()
            .label("last_used_at"),
            *(key_limits.c[name] for name in LIMIT_NAMES),
        )
        .select_from(api_keys.join(tenants).outerjoin(key_limits))
        .order_by(tenants.c.name, api_keys.c.name)
    )
    if tenant is not None:
        statement = statement.where(tenants.c.id == _tenant_id(connection, tenant))
    return [_key(row) for row in connection.execute(statement)]


def set_key_status(connection: Connection, reference: str, status: Status) -> None:
    """Disable or enable a key, named as for `revoke`. Raises NoSuchKey, AmbiguousKey, KeyIsRevoked.

    Revoking goes through `revoke`, which leaves a record.
    """
    statement = (
        update(api_keys)
        .where(
            api_keys.c.id == _key_id(connection, reference),
            api_keys.c.status != Status.REVOKED.value,
        )
        .values(status=status.value)
    )
    if connection.execute(statement).rowcount == 0:
        raise KeyIsRevoked(reference)


def set_key_models(connection: Connection, reference: str, **changes: Unpack[ModelChanges]) -> None:
    """Change what a key may use (SPEC 6), named as for `revoke`. Raises NoSuchKey, AmbiguousKey."""
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == _key_id(connection, reference))
        .values(_model_columns(changes))
    )


def revoke(connection: Connection, reference: str, reason: str = "") -> None:
    """Revoke a key for good, by a row in `revocations` (SPEC 5).

    `reference` is a prefix, an id, `tenant/name`, or a name that only one tenant uses. Raises
    NoSuchKey and AmbiguousKey.
    """
    connection.execute(
        insert(revocations).values(key_id=_key_id(connection, reference), reason=reason)
    )


def _insert_unless_taken(
    connection: Connection, table: Table, unique: Collection[str], **values: Any
) -> Any:
    """Insert a row and return its primary key; None where these columns' values are in use."""
    statement = (
        upsert(table)
        .values(values)
        .on_conflict_do_nothing(index_elements=unique)
        .returning(*table.primary_key)
    )
    return connection.execute(statement).scalar_one_or_none()


def _key_id(connection: Connection, reference: str) -> UUID:
    by_prefix = select(api_key_credentials.c.key_id).where(
        api_key_credentials.c.prefix == reference
    )
    found: UUID | None = connection.execute(by_prefix).scalar_one_or_none()
    if found is not None:
        return found
    statement = (
        select(api_keys.c.id, func.min(api_key_credentials.c.prefix).label("prefix"))
        .select_from(api_keys.join(tenants).outerjoin(api_key_credentials))
        .where(
            or_(
                cast(api_keys.c.id, Text) == reference,
                api_keys.c.name == reference,
                tenants.c.name + "/" + api_keys.c.name == reference,
            )
        )
        .group_by(api_keys.c.id)
    )
    rows = connection.execute(statement).all()
    if not rows:
        every = select(api_key_credentials.c.prefix).order_by(api_key_credentials.c.prefix)
        raise NoSuchKey(reference, list(connection.execute(every).scalars()))
    if len(rows) > 1:
        raise AmbiguousKey(reference, [row.prefix for row in rows])
    only: UUID = rows[0].id
    return only


def _tenant_id(connection: Connection, name: str) -> UUID:
    statement = select(tenants.c.id).where(tenants.c.name == name)
    tenant_id: UUID | None = connection.execute(statement).scalar_one_or_none()
    if tenant_id is None:
        every = select(tenants.c.name).order_by(tenants.c.name)
        raise NoSuchTenant(name, list(connection.execute(every).scalars()))
    return tenant_id


def _change_tenant(connection: Connection, name: str, changes: Mapping[str, Any]) -> None:
    tenant_id = _tenant_id(connection, name)
    connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(changes))


def _model_columns(changes: ModelChanges) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if "allow_all_models" in changes:
        columns["allow_all_models"] = changes["allow_all_models"]
    if "models" in changes:
        models = changes["models"]
        columns["allowed_models"] = None if models is None else sorted(models)
    return columns


def _limits(row: Row[Any]) -> Limits:
    return Limits(**{name: row._mapping[name] for name in LIMIT_NAMES})  # noqa: SLF001


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        prefixes=tuple(row.prefixes or ()),
        scopes=frozenset(map(Scope, row.scopes)),
        status=Status(row.status),
        allow_all_models=row.allow_all_models,
        models=None if row.allowed_models is None else tuple(row.allowed_models),
        limits=_limits(row),
        prompt_logging=row.prompt_logging,
        expires_at=row.expires_at,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
