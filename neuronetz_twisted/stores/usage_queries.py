"""What was used, from the ledger's sums by day (SPEC 3, 11).

A request counts on the day on which it was admitted, in UTC, and only if it went to a model: what
was refused or answered from a list has used nothing.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from attrs import asdict, frozen
from sqlalchemy import ColumnElement, Connection, FromClause, Text, cast, func, select

from neuronetz_twisted.stores.audit_rows import LARGEST
from neuronetz_twisted.stores.tables import api_keys, tenants, usage_by_day

OWN_USAGE_DAYS = 31
"""How far back a caller sees his own use: today and the days before it, 31 in all."""


class By(Enum):
    """What the sums are made for."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"


@frozen(kw_only=True)
class Use:
    """What was used under one name: a day, a model or a key.

    A day is ISO 8601; a key is `tenant/name`, or its id when it is there no more; a model is empty
    where its record could not be read. `charged` is what went on the ledger, in tokens.
    """

    name: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    charged: int


def usage(
    connection: Connection,
    *,
    by: By,
    since: date,
    tenant_id: UUID | None = None,
    key_id: UUID | None = None,
) -> list[Use]:
    """The sums from a day on, in the order of names; None for everybody's."""
    name = _NAMES[by].label("name")
    source: FromClause = usage_by_day
    if by is By.KEY:
        keys = api_keys.join(tenants, tenants.c.id == api_keys.c.tenant_id)
        source = usage_by_day.outerjoin(keys, api_keys.c.id == usage_by_day.c.key_id)
    statement = (
        select(name, *_SUMS)
        .select_from(source)
        .where(usage_by_day.c.day >= since)
        .group_by(name)
        .order_by(name)
    )
    if tenant_id is not None:
        statement = statement.where(usage_by_day.c.tenant_id == tenant_id)
    if key_id is not None:
        statement = statement.where(usage_by_day.c.key_id == key_id)
    return [Use(**row) for row in connection.execute(statement).mappings()]


def own_usage(
    connection: Connection, *, tenant_id: UUID, key_id: UUID, today: date
) -> dict[str, Any]:
    """What `GET /gateway/usage` says to the holder of one key, as plain values of JSON.

    `today` is in UTC. He sees his own key, and his tenant's sums, which share his budgets; not
    which other keys the tenant has.
    """
    since = today - timedelta(days=OWN_USAGE_DAYS - 1)
    seen: dict[str, Any] = {}
    for whose, key in (("key", key_id), ("tenant", None)):
        for by in (By.DAY, By.MODEL):
            found = usage(connection, by=by, since=since, tenant_id=tenant_id, key_id=key)
            seen[f"{whose}_by_{by.value}"] = found
    return usage_page(since, **seen)


def usage_page(
    since: date,
    *,
    key_by_day: Sequence[Use],
    key_by_model: Sequence[Use],
    tenant_by_day: Sequence[Use],
    tenant_by_model: Sequence[Use],
) -> dict[str, Any]:
    """The answer of `/gateway/usage` with these sums. Pure."""
    return {
        "since": since.isoformat(),
        "key": _section(key_by_day, key_by_model),
        "tenant": _section(tenant_by_day, tenant_by_model),
    }


def named(use: Use, by: By) -> dict[str, Any]:
    """A sum with its name under the word for what it is made for, as all JSON of ours has it."""
    values = asdict(use)
    return {by.value: values.pop("name"), **values}


def _section(by_day: Sequence[Use], by_model: Sequence[Use]) -> dict[str, Any]:
    return {
        "by_day": [named(use, By.DAY) for use in by_day],
        "by_model": [named(use, By.MODEL) for use in by_model],
    }


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    # The sum of bigints is a numeric, which may be larger than any of them.
    return cast(func.least(func.sum(column), LARGEST), column.type)


_SUMS = tuple(
    _sum(usage_by_day.c[name]).label(name)
    for name in ("requests", "prompt_tokens", "completion_tokens", "charged")
)
_NAMES: dict[By, ColumnElement[str]] = {
    By.DAY: func.to_char(usage_by_day.c.day, "YYYY-MM-DD"),
    By.MODEL: usage_by_day.c.model,
    By.KEY: func.coalesce(
        tenants.c.name + "/" + api_keys.c.name, cast(usage_by_day.c.key_id, Text)
    ),
}
