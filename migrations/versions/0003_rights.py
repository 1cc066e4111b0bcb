"""The role that the service runs as, and the little that it may do (SPEC 12)."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Roles belong to the whole cluster: another database's migration may make it at the same moment.
ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_app') THEN
        CREATE ROLE gateway_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;

-- Whoever migrates may run the service too: one URL is enough for a small installation.
DO $$ BEGIN
    IF NOT pg_has_role(current_user, 'gateway_app', 'USAGE') THEN
        EXECUTE format('GRANT gateway_app TO %I', current_user);
    END IF;
END $$;
"""

GRANTS = """
GRANT USAGE ON SCHEMA gateway TO gateway_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.tenants, gateway.tenant_limits, gateway.api_keys,
    gateway.api_key_credentials, gateway.key_limits, gateway.budget_usage, gateway.prompt_log,
    gateway.instances TO gateway_app;
-- Partitions get no right of their own: all that is allowed goes through the parent.
GRANT SELECT, INSERT ON gateway.audit_log, gateway.revocations TO gateway_app;
-- The service looks whether the schema is the one that it was written for.
GRANT SELECT ON gateway.alembic_version TO gateway_app;
"""

# The role stays if it can log in (the embedded servers made it) or means something elsewhere.
DROP_ROLE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_app' AND NOT rolcanlogin) THEN
        DROP ROLE gateway_app;
    END IF;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    RAISE NOTICE 'role gateway_app is used elsewhere and was kept';
END $$;
"""


def upgrade() -> None:
    op.execute(ROLE)
    op.execute(GRANTS)


def downgrade() -> None:
    op.execute(
        """
        REVOKE ALL ON ALL TABLES IN SCHEMA gateway FROM gateway_app;
        REVOKE ALL ON SCHEMA gateway FROM gateway_app;
        """
    )
    op.execute(DROP_ROLE)
