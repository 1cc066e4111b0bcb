"""What an operator changes of limits and budgets, as plain functions of a connection (SPEC 7, 11).

Each change bumps the tenant's epoch by a trigger, so nothing here has to tell a gateway (SPEC 5).
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Column, Connection
from sqlalchemy.dialects.postgresql import insert as upsert

from neuronetz_twisted.stores.tables import key_limits, tenant_limits

Changes = Mapping[str, int | None]
"""Some limits by the names of `Limits`, at least one; None unsets."""


def set_tenant_limits(connection: Connection, tenant_id: UUID, changes: Changes) -> None:
    """Change what is set for a tenant."""
    _set(connection, tenant_limits.c.tenant_id, tenant_id, changes)


def set_key_limits(connection: Connection, key_id: UUID, changes: Changes) -> None:
    """Change what is set for a key."""
    _set(connection, key_limits.c.key_id, key_id, changes)


def _set(connection: Connection, owner: Column[UUID], owner_id: UUID, changes: Changes) -> None:
    statement = upsert(owner.table).values({owner.name: owner_id, **changes})
    connection.execute(statement.on_conflict_do_update(index_elements=[owner], set_=dict(changes)))
