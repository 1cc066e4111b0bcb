"""Whether the ledger says what its records cost (SPEC 9, 12).

Both are written in one transaction, so at any moment they say the same, as far as all records are
there: what retention has dropped cannot be counted again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text

from neuronetz_twisted.audit.findings import MOST_FINDINGS, Finding
from neuronetz_twisted.audit.signing import Statement
from neuronetz_twisted.stores.audit_rows import CHARGED, LARGEST
from neuronetz_twisted.stores.partitions import LEAST_DAYS
from neuronetz_twisted.stores.tables import audit_checkpoints

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A call counts on the day on which it began, in UTC, which is that of its record (SPEC 9).
_DIFFERENT = text(
    f"""
    WITH used AS (
        SELECT (started_at AT TIME ZONE 'UTC')::date AS day, tenant_id, key_id,
            sum(charged) AS charged
        FROM gateway.audit_log
        WHERE tenant_id IS NOT NULL AND key_id IS NOT NULL
            AND started_at >= CAST(:since AS date)::timestamp AT TIME ZONE 'UTC'
        GROUP BY 1, 2, 3
    ),
    recorded AS (
        SELECT kind AS scope_kind, scope.id AS scope_id, period, starts_on,
            least(sum(charged), {LARGEST}) AS charged
        FROM used,{CHARGED}
        WHERE period <> 'total' OR CAST(:whole AS boolean)
        GROUP BY 1, 2, 3, 4
    ),
    ledger AS (
        SELECT * FROM gateway.budget_usage
        WHERE CASE period WHEN 'total' THEN CAST(:whole AS boolean)
            ELSE starts_on >= CAST(:since AS date) END
    )
    SELECT scope_kind, scope_id, period, starts_on::text,
        coalesce(tokens, 0) AS tokens, coalesce(charged, 0) AS charged
    FROM ledger FULL JOIN recorded USING (scope_kind, scope_id, period, starts_on)
    WHERE coalesce(tokens, 0) <> coalesce(charged, 0)
    ORDER BY scope_kind DESC, scope_id, period, starts_on
    """  # noqa: S608 - the values are the constants above
)


def differences(connection: Connection) -> Iterator[Finding]:
    """Each line of the ledger that says something else than the records, the first ones of them.

    Only of months of which nothing can have been dropped: those that were not old at the last trim.
    """
    since = _complete_since(connection)
    # An early line would be forged, and is one of a period that has no end.
    parameters = {"since": since or date.min, "whole": since is None}
    found = connection.execute(_DIFFERENT, parameters).all()
    yield from map(_finding_of, found[:MOST_FINDINGS])
    if len(found) > MOST_FINDINGS:
        more = len(found) - MOST_FINDINGS
        yield Finding(what="changed", text=f"the ledger has {more} such lines more")


def _complete_since(connection: Connection) -> date | None:
    """The first day since which all records are there; None where none was ever dropped."""
    trims = select(audit_checkpoints.c.statement).where(audit_checkpoints.c.kind == "trim")
    last = max(_moments(connection.execute(trims).scalars()), default=None)
    return None if last is None else (last - timedelta(days=LEAST_DAYS)).date().replace(day=1)


def _moments(statements: Iterable[bytes]) -> Iterator[datetime]:
    """When they were signed; one that is forged is a finding elsewhere."""
    for statement in statements:
        try:
            yield _EPOCH + timedelta(microseconds=Statement.decoded(statement).at)
        except (ValueError, OverflowError):
            continue


def _finding_of(line: Sequence[Any]) -> Finding:
    kind, scope, period, starts_on, tokens, charged = line
    since = "in all" if period == "total" else f"for the {period} of {starts_on}"
    return Finding(
        what="changed",
        text=f"the ledger has {tokens} tokens of {kind} {scope} {since}, and its records {charged}",
    )
