"""What the record, its chain and the ledger are kept in (SPEC 9, 12).

No version before this one wrote to `audit_log`, so its new columns need no value for old rows. There
is no way back for records: below this revision nothing could prove them.
"""

from alembic import context, op
from alembic.util import CommandError
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# `record` is what was hashed, to the byte; the other columns are made of it and can be made again.
AUDIT_LOG = """
ALTER TABLE gateway.audit_log
    ADD COLUMN writer uuid NOT NULL,
    ADD COLUMN seq bigint NOT NULL,
    ADD COLUMN record bytea NOT NULL,
    ADD COLUMN chain_hash bytea NOT NULL,
    ADD COLUMN charged bigint NOT NULL DEFAULT 0,
    ADD COLUMN count integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT audit_log_charged CHECK (charged >= 0),
    ADD CONSTRAINT audit_log_count CHECK (count > 0);
-- The chain of a writer is read in its own order.
CREATE INDEX audit_log_writer ON gateway.audit_log (writer, seq);
"""

CHECKPOINTS = """
CREATE TABLE gateway.audit_checkpoints (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer uuid NOT NULL,
    seq bigint NOT NULL,
    chain_hash bytea NOT NULL,
    kind text NOT NULL CHECK (kind IN ('checkpoint', 'closed', 'trim')),
    statement bytea NOT NULL,
    signature bytea NOT NULL,
    signer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_checkpoints_writer ON gateway.audit_checkpoints (writer, seq);
"""

# No foreign keys: what was used outlives who used it.
USAGE = """
CREATE TABLE gateway.usage_by_day (
    day date NOT NULL,
    tenant_id uuid NOT NULL,
    key_id uuid NOT NULL,
    model text NOT NULL,
    requests bigint NOT NULL DEFAULT 0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    charged bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, tenant_id, key_id, model)
);
CREATE INDEX usage_by_day_tenant ON gateway.usage_by_day (tenant_id, day);
"""

PROMPT_KEYS = """
CREATE TABLE gateway.prompt_keys (
    tenant_id uuid NOT NULL REFERENCES gateway.tenants ON DELETE CASCADE,
    version integer NOT NULL,
    wrapped bytea NOT NULL,
    master_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);
"""

GRANTS = """
GRANT SELECT, INSERT ON gateway.audit_checkpoints TO gateway_app;
GRANT SELECT, INSERT, UPDATE ON gateway.usage_by_day TO gateway_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.prompt_keys TO gateway_app;
-- The ledger says what the records cost: lines are added to, and never taken away.
REVOKE DELETE ON gateway.budget_usage FROM gateway_app;
"""

# What a tombstone may become is checked against its record by whoever verifies; what was charged
# for, and what is chained, never changes.
REPLACE_TOMBSTONE = """
CREATE FUNCTION gateway.replace_tombstone(at timestamptz, row_id uuid, fields jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.audit_log AS kept SET
        client_id = found.client_id,
        key_prefix = found.key_prefix,
        route = found.route,
        dialect = found.dialect,
        model = found.model,
        backend = found.backend,
        address = found.address,
        status = found.status,
        outcome = found.outcome,
        prompt_tokens = found.prompt_tokens,
        completion_tokens = found.completion_tokens,
        estimated = found.estimated,
        bytes_sent = found.bytes_sent,
        first_byte_ms = found.first_byte_ms,
        duration_ms = found.duration_ms,
        user_agent = found.user_agent
    FROM jsonb_populate_record(NULL::gateway.audit_log, fields) AS found
    WHERE kept.started_at = at AND kept.id = row_id AND kept.outcome = 'dead_letter';
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION gateway.replace_tombstone(timestamptz, uuid, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.replace_tombstone(timestamptz, uuid, jsonb) TO gateway_app;
"""


# All but the first may outlive the rows of `audit_log`, which retention drops.
KEPT = ("audit_log", "audit_checkpoints", "usage_by_day", "prompt_keys")


def refuse_to_lose() -> None:
    """Raise `CommandError` where there are rows for which the revision before has no place."""
    if context.get_revision_argument() is None:
        # Nothing is meant to be left.
        return
    for table in KEPT:
        if op.get_bind().scalar(text(f"SELECT EXISTS (SELECT FROM gateway.{table})")):  # noqa: S608 - the names above
            raise CommandError(
                f"gateway.{table} has rows, which revision {down_revision} cannot keep; only a"
                " downgrade to base, which drops everything, goes below 0004"
            )


def upgrade() -> None:
    for statements in (AUDIT_LOG, CHECKPOINTS, USAGE, PROMPT_KEYS, GRANTS, REPLACE_TOMBSTONE):
        op.execute(statements)


def downgrade() -> None:
    refuse_to_lose()
    op.execute(
        """
        GRANT DELETE ON gateway.budget_usage TO gateway_app;
        DROP FUNCTION gateway.replace_tombstone(timestamptz, uuid, jsonb);
        DROP TABLE gateway.prompt_keys, gateway.usage_by_day, gateway.audit_checkpoints;
        DROP INDEX gateway.audit_log_writer;
        ALTER TABLE gateway.audit_log DROP COLUMN writer, DROP COLUMN seq, DROP COLUMN record,
            DROP COLUMN chain_hash, DROP COLUMN charged, DROP COLUMN count;
        """
    )
