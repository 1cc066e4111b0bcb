"""What is asked of PostgreSQL about the prompt log, as plain functions of a connection (SPEC 9).

Only sealed texts and wrapped keys pass here; whoever seals is given by the caller. Writing and
erasing exclude each other per tenant by an advisory lock, so that no text which was said before an
erasure comes in behind it. What was before an erasure is told by the database's clock alone, or by
the version of the key: gateways, whose clocks may differ from it, only say how old a text is.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from attrs import frozen
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from neuronetz_twisted.audit.prompt_texts import PromptText
from neuronetz_twisted.stores.tables import api_keys, prompt_keys, prompt_log, tenants

# Advisory locks of two numbers are apart from those of one (PostgreSQL 13.3.5).
_LOCK_SPACE = 0x6E7A7074

ERASED = ""
"""In the place of the master key's name: the row is no key but says when keys were destroyed."""


class Sealer(Protocol):
    """The master key, as far as writing needs it."""

    @property
    def id(self) -> str:
        """Which master key it is."""
        ...

    def new_data_key(self, tenant_id: UUID, version: int) -> bytes:
        """A new data key, wrapped."""
        ...

    def seal(
        self, text: bytes, wrapped: bytes, *, tenant_id: UUID, request_id: UUID, version: int
    ) -> bytes:
        """Seal a text under a wrapped data key."""
        ...


@frozen(kw_only=True)
class DataKey:
    """One version of a tenant's data key, wrapped by the master key `master_id`."""

    tenant_id: UUID
    version: int
    wrapped: bytes
    master_id: str


@frozen(kw_only=True)
class SealedText:
    """What is kept of one call; `key` is None where its data key is there no more."""

    id: UUID
    tenant_id: UUID
    tenant: str
    key_id: UUID
    started_at: datetime
    expires_at: datetime
    sealed: bytes


def write_texts(
    connection: Connection,
    texts: Sequence[PromptText],
    sealer: Sealer,
    now: Callable[[], datetime],
) -> int:
    """Seal texts of one tenant and keep them; how many of them were not kept.

    Those are of a tenant who is gone, or were said before the tenant's keys were destroyed. One
    that is kept already, by a transaction whose end was not heard of, counts as kept. `now` is the
    clock by which the texts have their `started_at`.
    """
    tenant_id = texts[0].tenant_id
    connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK_SPACE, _lock_of(tenant_id))))
    if connection.execute(select(tenants.c.id).where(tenants.c.id == tenant_id)).first() is None:
        return len(texts)
    last_erasure = select(func.max(prompt_keys.c.created_at)).where(_erasures(tenant_id))
    erased_at = connection.execute(last_erasure).scalar_one()
    ahead = _ahead_of_database(connection, now)
    kept = [text for text in texts if erased_at is None or text.started_at - ahead > erased_at]
    if kept:
        key = _current_key(connection, tenant_id, sealer)
        rows = [_row(text, key, sealer) for text in kept]
        connection.execute(upsert(prompt_log).on_conflict_do_nothing(), rows)
    return len(texts) - len(kept)


def delete_expired(connection: Connection, limit: int) -> int:
    """Delete at most `limit` texts whose time is over, the oldest first; how many they were."""
    over = (
        select(prompt_log.c.id)
        .where(prompt_log.c.expires_at <= func.now())
        .order_by(prompt_log.c.expires_at)
        .limit(limit)
        # What another gateway deletes at this moment is no reason to wait.
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(prompt_log).where(prompt_log.c.id.in_(over))).rowcount


def usage_since(
    connection: Connection, started: datetime, expiring: datetime
) -> dict[UUID, tuple[int, int]]:
    """How many texts and bytes each tenant has kept since `started`.

    Only those that last beyond `expiring` are looked at, since the index is by that.
    """
    statement = (
        select(
            prompt_log.c.tenant_id,
            func.count().label("texts"),
            func.sum(func.octet_length(prompt_log.c.sealed)).label("bytes"),
        )
        .where(prompt_log.c.expires_at >= expiring, prompt_log.c.started_at >= started)
        .group_by(prompt_log.c.tenant_id)
    )
    return {
        row.tenant_id: (int(row.texts), int(row.bytes)) for row in connection.execute(statement)
    }


def find_text(connection: Connection, request_id: UUID) -> SealedText | None:
    """What is kept of a call."""
    statement = (
        select(prompt_log, tenants.c.name.label("tenant"))
        .select_from(prompt_log.join(tenants))
        .where(prompt_log.c.id == request_id)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else SealedText(**row._mapping)  # noqa: SLF001 - its public name


def find_data_key(connection: Connection, tenant_id: UUID, version: int) -> DataKey | None:
    """A version of a tenant's data key; None where it was destroyed."""
    statement = _data_keys().where(
        prompt_keys.c.tenant_id == tenant_id, prompt_keys.c.version == version
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else DataKey(**row._mapping)  # noqa: SLF001 - its public name


def data_keys(connection: Connection) -> list[DataKey]:
    """Every data key that is not destroyed, held until the transaction ends."""
    statement = _data_keys().order_by(prompt_keys.c.tenant_id, prompt_keys.c.version)
    rows = connection.execute(statement.with_for_update())
    return [DataKey(**row._mapping) for row in rows]  # noqa: SLF001 - its public name


def replace_wrapped(connection: Connection, keys: Collection[DataKey]) -> None:
    """Keep data keys as they are wrapped now."""
    for key in keys:
        connection.execute(
            update(prompt_keys)
            .where(prompt_keys.c.tenant_id == key.tenant_id, prompt_keys.c.version == key.version)
            .values(wrapped=key.wrapped, master_id=key.master_id)
        )


def set_logging(connection: Connection, key_id: UUID, *, wanted: bool) -> None:
    """Say whether what is said in the calls of a key is kept from now on."""
    connection.execute(
        update(api_keys).where(api_keys.c.id == key_id).values(prompt_logging=wanted)
    )


def destroy_data_keys(connection: Connection, tenant_id: UUID) -> int:
    """Destroy the data keys of a tenant, with all that is sealed under them; how many they were.

    What stays in their place is the moment, when nobody writes any more under the keys. What was
    said before it is never kept any more.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK_SPACE, _lock_of(tenant_id))))
    mine = prompt_keys.c.tenant_id == tenant_id
    newest = connection.execute(select(func.max(prompt_keys.c.version)).where(mine)).scalar_one()
    destroyed = delete(prompt_keys).where(mine).returning(prompt_keys.c.master_id)
    count: int = sum(master_id != ERASED for master_id in connection.execute(destroyed).scalars())
    connection.execute(
        insert(prompt_keys).values(
            tenant_id=tenant_id,
            version=(newest or 0) + 1,
            wrapped=b"",
            master_id=ERASED,
            created_at=func.clock_timestamp(),
        )
    )
    return count


def delete_texts(connection: Connection, tenant_id: UUID, limit: int) -> int:
    """Delete at most `limit` texts of a tenant whose keys were destroyed; how many they were."""
    # Behind the byte of form stands the key's version, which sorts as bytes too (SPEC 9).
    version = func.substr(prompt_log.c.sealed, 2, 4)
    erased = select(func.max(prompt_keys.c.version)).where(_erasures(tenant_id)).scalar_subquery()
    some = (
        select(prompt_log.c.id)
        .where(prompt_log.c.tenant_id == tenant_id, version < func.int4send(erased))
        .limit(limit)
    )
    return connection.execute(delete(prompt_log).where(prompt_log.c.id.in_(some))).rowcount


def _erasures(tenant_id: UUID) -> ColumnElement[bool]:
    """The rows that stand in the place of destroyed keys."""
    return and_(prompt_keys.c.tenant_id == tenant_id, prompt_keys.c.master_id == ERASED)


def _ahead_of_database(connection: Connection, now: Callable[[], datetime]) -> timedelta:
    """How far a gateway's clock is ahead of the database's; rather too much than too little.

    The database is asked first, so that the way of its answer makes texts older, never younger.
    """
    then: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now() - then


def _row(text: PromptText, key: DataKey, sealer: Sealer) -> dict[str, object]:
    return {
        "id": text.id,
        "tenant_id": text.tenant_id,
        "key_id": text.key_id,
        "started_at": text.started_at,
        "expires_at": text.expires_at,
        "sealed": sealer.seal(
            text.text,
            key.wrapped,
            tenant_id=text.tenant_id,
            request_id=text.id,
            version=key.version,
        ),
    }


def _current_key(connection: Connection, tenant_id: UUID, sealer: Sealer) -> DataKey:
    """The newest data key that this master key has wrapped, made where there is none.

    One wrapped by another master key is left to those who have that one, so that a change of the
    master key stops nobody.
    """
    mine = (
        _data_keys()
        .where(prompt_keys.c.tenant_id == tenant_id, prompt_keys.c.master_id == sealer.id)
        .order_by(prompt_keys.c.version.desc())
        .limit(1)
    )
    newest = select(func.max(prompt_keys.c.version)).where(prompt_keys.c.tenant_id == tenant_id)
    while True:
        # Asked first: a key that another gateway makes in between is found, or has this version.
        version = (connection.execute(newest).scalar_one() or 0) + 1
        row = connection.execute(mine).one_or_none()
        if row is not None:
            return DataKey(**row._mapping)  # noqa: SLF001 - its public name
        connection.execute(
            upsert(prompt_keys)
            .values(
                tenant_id=tenant_id,
                version=version,
                wrapped=sealer.new_data_key(tenant_id, version),
                master_id=sealer.id,
            )
            .on_conflict_do_nothing()
        )


def _data_keys() -> Select[Any]:
    return select(
        prompt_keys.c.tenant_id,
        prompt_keys.c.version,
        prompt_keys.c.wrapped,
        prompt_keys.c.master_id,
    ).where(prompt_keys.c.master_id != ERASED)


def _lock_of(tenant_id: UUID) -> int:
    """A signed number of 32 bits; tenants that share one only wait for each other."""
    return int.from_bytes(tenant_id.bytes[:4], signed=True)
