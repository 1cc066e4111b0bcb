"""Triggers that tell every gateway of a change, whoever made it and by whatever tool (SPEC 5).

`tenants.epoch` grows with each change of a row that a principal is made of, and the new value is
sent on the channel `tenant_changed`. A row in `revocations` revokes its key. The functions run
with their owner's rights, so that a service which may only INSERT a revocation can still revoke.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# BEFORE UPDATE changes the row in hand, so the bump of a tenant's own columns is no second update.
TENANT_FUNCTIONS = """
CREATE FUNCTION gateway.bump_own_epoch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.epoch := OLD.epoch + 1;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION gateway.notify_tenant_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('tenant_changed', OLD.id || ' ' || OLD.epoch + 1);
    ELSE
        PERFORM pg_notify('tenant_changed', NEW.id || ' ' || NEW.epoch);
    END IF;
    RETURN NULL;
END $$;
"""

# OLD is null on INSERT and NEW on DELETE, and a comparison with null picks no row.
MEMBER_FUNCTIONS = """
CREATE FUNCTION gateway.bump_epoch_of_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.tenants SET epoch = epoch + 1, changed_at = clock_timestamp()
        WHERE id IN (OLD.tenant_id, NEW.tenant_id);
    RETURN NULL;
END $$;

CREATE FUNCTION gateway.bump_epoch_of_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.tenants SET epoch = epoch + 1, changed_at = clock_timestamp()
        WHERE id IN (SELECT tenant_id FROM gateway.api_keys WHERE id IN (OLD.key_id, NEW.key_id));
    RETURN NULL;
END $$;
"""

REVOCATION_FUNCTION = """
CREATE FUNCTION gateway.notify_key_revoked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    revoked uuid := coalesce(
        NEW.key_id,
        (SELECT key_id FROM gateway.api_key_credentials WHERE prefix = NEW.prefix)
    );
BEGIN
    UPDATE gateway.api_keys SET status = 'revoked' WHERE id = revoked AND status <> 'revoked';
    IF NOT FOUND AND NOT EXISTS (SELECT FROM gateway.api_keys WHERE id = revoked) THEN
        RAISE foreign_key_violation
            USING MESSAGE = 'no key to revoke: ' || coalesce(NEW.prefix, NEW.key_id::text);
    END IF;
    PERFORM pg_notify('key_revoked', coalesce(NEW.prefix, NEW.key_id::text));
    RETURN NULL;
END $$;
"""

TRIGGERS = """
CREATE TRIGGER bump_epoch BEFORE UPDATE ON gateway.tenants FOR EACH ROW
    WHEN ((OLD.status, OLD.allow_all_models, OLD.allowed_models)
        IS DISTINCT FROM (NEW.status, NEW.allow_all_models, NEW.allowed_models))
    EXECUTE FUNCTION gateway.bump_own_epoch();
CREATE TRIGGER notify_of_new AFTER INSERT OR DELETE ON gateway.tenants FOR EACH ROW
    EXECUTE FUNCTION gateway.notify_tenant_changed();
CREATE TRIGGER notify_of_epoch AFTER UPDATE ON gateway.tenants FOR EACH ROW
    WHEN (OLD.epoch IS DISTINCT FROM NEW.epoch)
    EXECUTE FUNCTION gateway.notify_tenant_changed();

CREATE TRIGGER bump_epoch AFTER INSERT OR UPDATE OR DELETE ON gateway.tenant_limits FOR EACH ROW
    EXECUTE FUNCTION gateway.bump_epoch_of_tenant();
CREATE TRIGGER bump_epoch AFTER INSERT OR UPDATE OR DELETE ON gateway.api_keys FOR EACH ROW
    EXECUTE FUNCTION gateway.bump_epoch_of_tenant();
CREATE TRIGGER bump_epoch AFTER INSERT OR UPDATE OR DELETE ON gateway.key_limits FOR EACH ROW
    EXECUTE FUNCTION gateway.bump_epoch_of_key();

-- The service notes each use of a credential and renews its hash: neither makes a principal stale.
CREATE TRIGGER bump_epoch AFTER INSERT OR DELETE ON gateway.api_key_credentials FOR EACH ROW
    EXECUTE FUNCTION gateway.bump_epoch_of_key();
CREATE TRIGGER bump_epoch_of_change AFTER UPDATE ON gateway.api_key_credentials FOR EACH ROW
    WHEN ((OLD.prefix, OLD.key_id, OLD.expires_at)
        IS DISTINCT FROM (NEW.prefix, NEW.key_id, NEW.expires_at))
    EXECUTE FUNCTION gateway.bump_epoch_of_key();

CREATE TRIGGER notify_key_revoked AFTER INSERT ON gateway.revocations FOR EACH ROW
    EXECUTE FUNCTION gateway.notify_key_revoked();
"""

# A trigger needs no right of whoever fires it; nobody else has a reason to call these.
RIGHTS = """
REVOKE ALL ON FUNCTION gateway.bump_own_epoch(), gateway.notify_tenant_changed(),
    gateway.bump_epoch_of_tenant(), gateway.bump_epoch_of_key(), gateway.notify_key_revoked()
    FROM PUBLIC;
"""


def upgrade() -> None:
    for statements in (
        TENANT_FUNCTIONS,
        MEMBER_FUNCTIONS,
        REVOCATION_FUNCTION,
        TRIGGERS,
        RIGHTS,
    ):
        op.execute(statements)


def downgrade() -> None:
    op.execute(
        """
        DROP FUNCTION gateway.bump_own_epoch(), gateway.notify_tenant_changed(),
            gateway.bump_epoch_of_tenant(), gateway.bump_epoch_of_key(),
            gateway.notify_key_revoked() CASCADE;
        """
    )
