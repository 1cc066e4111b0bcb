"""Tables and types of the gateway's schema (SPEC 12).

Written as SQL, since it is PostgreSQL's own statements that a reviewer and a DBA want to read.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TYPES = """
CREATE TYPE gateway.tenant_status AS ENUM ('active', 'disabled');
CREATE TYPE gateway.key_status AS ENUM ('active', 'disabled', 'revoked');
CREATE TYPE gateway.budget_period AS ENUM ('day', 'month', 'total');
"""

TENANTS = """
CREATE TABLE gateway.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    status gateway.tenant_status NOT NULL DEFAULT 'active',
    allow_all_models boolean NOT NULL DEFAULT false,
    allowed_models text[] NOT NULL DEFAULT '{}',
    epoch bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT now()
);
-- The revocation listener asks twice a second what changed in the last minute.
CREATE INDEX tenants_changed_at ON gateway.tenants (changed_at);

CREATE TABLE gateway.tenant_limits (
    tenant_id uuid PRIMARY KEY REFERENCES gateway.tenants ON DELETE CASCADE,
    rpm integer CHECK (rpm >= 0),
    tpm integer CHECK (tpm >= 0),
    concurrent integer CHECK (concurrent >= 0),
    max_body_bytes integer CHECK (max_body_bytes >= 0),
    max_predict integer CHECK (max_predict >= 0),
    budget_day bigint CHECK (budget_day >= 0),
    budget_month bigint CHECK (budget_month >= 0),
    budget_total bigint CHECK (budget_total >= 0)
);
"""

KEYS = """
-- No cascade: a tenant goes only after its keys, so that each cached principal hears of it.
CREATE TABLE gateway.api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES gateway.tenants,
    name text NOT NULL,
    scopes text[] NOT NULL,
    status gateway.key_status NOT NULL DEFAULT 'active',
    allow_all_models boolean,
    allowed_models text[],
    prompt_logging boolean NOT NULL DEFAULT false,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    CHECK (scopes <@ ARRAY['chat', 'embeddings', 'raw'])
);

CREATE TABLE gateway.api_key_credentials (
    prefix text PRIMARY KEY CHECK (prefix ~ '^nz_[0-9A-Za-z]{9}$'),
    key_id uuid NOT NULL REFERENCES gateway.api_keys ON DELETE CASCADE,
    secret_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_key_credentials_key_id ON gateway.api_key_credentials (key_id);

CREATE TABLE gateway.key_limits (
    key_id uuid PRIMARY KEY REFERENCES gateway.api_keys ON DELETE CASCADE,
    rpm integer CHECK (rpm >= 0),
    tpm integer CHECK (tpm >= 0),
    concurrent integer CHECK (concurrent >= 0),
    max_body_bytes integer CHECK (max_body_bytes >= 0),
    max_predict integer CHECK (max_predict >= 0),
    budget_day bigint CHECK (budget_day >= 0),
    budget_month bigint CHECK (budget_month >= 0),
    budget_total bigint CHECK (budget_total >= 0)
);

-- No foreign key: what was revoked stays on record when the key is gone.
CREATE TABLE gateway.revocations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id uuid,
    prefix text,
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(key_id, prefix) = 1)
);
"""

RECORDS = """
-- What a scope has used in the period that starts on that day; 'total' starts on 1970-01-01.
CREATE TABLE gateway.budget_usage (
    scope_kind text NOT NULL CHECK (scope_kind IN ('tenant', 'key')),
    scope_id uuid NOT NULL,
    period gateway.budget_period NOT NULL,
    starts_on date NOT NULL,
    tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (scope_kind, scope_id, period, starts_on)
);

-- No foreign keys: a record outlives the tenant, the key and the backend that it names.
CREATE TABLE gateway.audit_log (
    id uuid NOT NULL,
    client_id text,
    started_at timestamptz NOT NULL,
    tenant_id uuid,
    key_prefix text,
    key_id uuid,
    route text NOT NULL,
    dialect text,
    model text,
    backend text,
    address text,
    status smallint,
    outcome text NOT NULL,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    estimated boolean NOT NULL DEFAULT false,
    bytes_sent bigint NOT NULL DEFAULT 0,
    first_byte_ms integer,
    duration_ms integer,
    user_agent text,
    PRIMARY KEY (started_at, id)
) PARTITION BY RANGE (started_at);
CREATE TABLE gateway.audit_log_default PARTITION OF gateway.audit_log DEFAULT;
CREATE INDEX audit_log_tenant ON gateway.audit_log (tenant_id, started_at);

CREATE TABLE gateway.prompt_log (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES gateway.tenants ON DELETE CASCADE,
    key_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    sealed bytea NOT NULL
);
CREATE INDEX prompt_log_tenant_id ON gateway.prompt_log (tenant_id);
CREATE INDEX prompt_log_expires_at ON gateway.prompt_log (expires_at);

CREATE TABLE gateway.instances (
    id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    host text NOT NULL,
    pid integer NOT NULL
);
"""


def upgrade() -> None:
    for statements in (TYPES, TENANTS, KEYS, RECORDS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE gateway.instances, gateway.prompt_log, gateway.audit_log, gateway.budget_usage,
            gateway.revocations, gateway.key_limits, gateway.api_key_credentials, gateway.api_keys,
            gateway.tenant_limits, gateway.tenants;
        DROP TYPE gateway.budget_period, gateway.key_status, gateway.tenant_status;
        """
    )
