"""What the ledger has, as the limiter is told it (SPEC 7)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from uuid import UUID

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from neuronetz_twisted.audit.charges import Charge
from neuronetz_twisted.ledger import LedgerLine
from neuronetz_twisted.stores.audit_rows import CHARGED
from neuronetz_twisted.stores.postgres import DatabaseThreads

_LINES = f"""
    SELECT DISTINCT account.tenant_id, scope_kind, scope_id, period, starts_on::text, tokens
    FROM (
        SELECT tenant_id, kind AS scope_kind, scope.id AS scope_id, period, starts_on
        FROM charge,{CHARGED}
    ) AS account
    JOIN gateway.budget_usage USING (scope_kind, scope_id, period, starts_on)
"""  # noqa: S608 - what is put in is the constant above

_OF_CHARGES = f"""
    WITH charge AS (
        SELECT * FROM unnest(%(tenants)s::uuid[], %(keys)s::uuid[], %(days)s::date[])
            AS charge (tenant_id, key_id, day)
    )
    {_LINES}
"""  # noqa: S608 - as above

# Redis has a clock of its own, and near midnight another day.
_OF_TENANT = f"""
    WITH charge AS (
        SELECT %(tenant)s::uuid AS tenant_id, api_keys.id AS key_id,
            coalesce(%(today)s::date, (now() AT TIME ZONE 'UTC')::date) + shift AS day
        FROM generate_series(-1, 1) AS shift
            LEFT JOIN gateway.api_keys ON api_keys.tenant_id = %(tenant)s::uuid
    )
    {_LINES}
"""  # noqa: S608 - as above


def lines_of_charges(
    connection: Connection, charges: Collection[Charge]
) -> Mapping[UUID, Sequence[LedgerLine]]:
    """By tenant, what stands on each account that these are charged to; nothing on some, perhaps.

    In the transaction that charges, it is what stands behind it.
    """
    parameters = {
        "tenants": _array(charge.tenant for charge in charges),
        "keys": _array(charge.key for charge in charges),
        "days": _array(charge.day for charge in charges),
    }
    lines: dict[UUID, list[LedgerLine]] = {}
    for tenant, *line in connection.exec_driver_sql(_OF_CHARGES, parameters):
        lines.setdefault(tenant, []).append(_line(*line))
    return lines


def lines_of(
    connection: Connection, tenant_id: UUID, today: date | None = None
) -> list[LedgerLine]:
    """What stands for a tenant and all its keys: around today, in these months, and in all.

    Today is that of PostgreSQL's clock unless another is given: the gateway's may be wrong.
    """
    parameters = {"tenant": tenant_id, "today": today}
    return [_line(*line) for _, *line in connection.exec_driver_sql(_OF_TENANT, parameters)]


@frozen
class PostgresLedger:
    """The ledger, for a limiter that has a tenant which Redis does not know."""

    database: DatabaseThreads

    def __call__(self, tenant: str) -> Deferred[Sequence[LedgerLine]]:
        """`lines_of` of this tenant, whose id is text. May fail with `DatabaseUnavailable`."""
        return self.database.run(partial(lines_of, tenant_id=UUID(tenant)))


def _array(values: Iterable[object]) -> str:
    """An array as PostgreSQL writes it."""
    return f"{{{','.join(map(str, values))}}}"


def _line(kind: str, scope_id: UUID, period: str, starts_on: str, tokens: int) -> LedgerLine:
    scope = "t" if kind == "tenant" else f"k:{scope_id}"
    return LedgerLine(scope, period, starts_on, tokens)
