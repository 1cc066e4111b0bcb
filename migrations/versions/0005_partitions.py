"""The months of `audit_log`: made ahead, dropped when they are old, by these functions only (SPEC 9).

The service may call those without a date, which take today's from the server. The others have the
work in them and belong to the owner alone: no role of the service can say what day it is, nor for
how long records are kept: `migrate` writes that down (`stores/migrate.py`). Bounds are text at some
point, so no function depends on how a session writes time.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# One row, or none before somebody has said it.
KEEPING = """
CREATE TABLE gateway.audit_retention (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    keep_days integer NOT NULL CHECK (keep_days >= 30)
);
GRANT SELECT ON gateway.audit_retention TO gateway_app;
"""

# The lock on the default partition is taken before its rows are looked at: ATTACH would take it
# too, after more rows could have come. Who writes to a month that is there does not wait for it.
MAKE = """
CREATE FUNCTION gateway.make_audit_partition(month date) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
    name text := 'audit_log_' || to_char(month, 'YYYY_MM');
    starts timestamptz := month::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = 'gateway.audit_log'::regclass
            AND inhrelid = to_regclass('gateway.' || name)
    ) THEN
        RETURN NULL;
    END IF;
    LOCK TABLE gateway.audit_log_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'CREATE TABLE gateway.%I (LIKE gateway.audit_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        name
    );
    EXECUTE format(
        'WITH moved AS (DELETE FROM gateway.audit_log_default'
        ' WHERE started_at >= %L AND started_at < %L RETURNING *)'
        ' INSERT INTO gateway.%I SELECT * FROM moved',
        starts, ends, name
    );
    EXECUTE format(
        'ALTER TABLE gateway.audit_log ATTACH PARTITION gateway.%I FOR VALUES FROM (%L) TO (%L)',
        name, starts, ends
    );
    RETURN name;
END $$;
"""

# A past month comes into being for rows of the default partition only, so that they can be dropped
# when they are old: a few at a time, each at the cost of a table, and none for a time before the
# gateway's own. Rows of a day to come wait there until it has. A month that cannot be made keeps no
# other from being made; the server's log says why.
ENSURE = """
CREATE FUNCTION gateway.ensure_audit_partitions_on(today date, months_ahead integer)
RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
    this_month date := date_trunc('month', today::timestamp);
    wanted date;
    made text;
    past integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'months_ahead must be from 0 to 24';
    END IF;
    PERFORM pg_advisory_xact_lock(x'6e65757061727473'::bigint);
    FOR wanted IN
        SELECT (this_month + make_interval(months => ahead))::date
            FROM generate_series(0, months_ahead) AS ahead
        UNION
        SELECT date_trunc('month', started_at AT TIME ZONE 'UTC')::date
            FROM gateway.audit_log_default
            WHERE started_at >= timestamptz '2000-01-01 00:00Z'
                AND started_at < this_month::timestamp AT TIME ZONE 'UTC'
        ORDER BY 1
    LOOP
        CONTINUE WHEN wanted < this_month AND past = 3;
        BEGIN
            made := gateway.make_audit_partition(wanted);
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE;
            WHEN OTHERS THEN
                RAISE WARNING 'the month % of audit_log cannot be made: %', wanted, SQLERRM;
                CONTINUE;
        END;
        CONTINUE WHEN made IS NULL;
        past := past + (wanted < this_month)::integer;
        RETURN NEXT made;
    END LOOP;
END $$;

CREATE FUNCTION gateway.ensure_audit_partitions(months_ahead integer) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
    SELECT gateway.ensure_audit_partitions_on((now() AT TIME ZONE 'UTC')::date, months_ahead);
$$;
"""

# A month goes as a whole, so its youngest record must be old enough: by the dates that the writers
# gave them, and by when the server was told. A writer whose clock is wrong files new records under
# a past month; they are old where a checkpoint that covers them is, or the last one of a writer that
# is no more. A trim says nothing of when the records came.
HOLD = """
CREATE FUNCTION gateway.audit_partition_came_before(oldest timestamptz, name text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
    found boolean;
BEGIN
    EXECUTE format(
        'SELECT NOT EXISTS ('
        ' SELECT FROM (SELECT writer, max(seq) AS last FROM gateway.%I GROUP BY writer) AS kept'
        ' WHERE EXISTS (SELECT FROM gateway.audit_checkpoints AS signed'
        '   WHERE signed.writer = kept.writer AND kind <> ''trim'' AND created_at > $1)'
        ' AND NOT EXISTS (SELECT FROM gateway.audit_checkpoints AS signed'
        '   WHERE signed.writer = kept.writer AND kind <> ''trim'' AND created_at <= $1'
        '   AND signed.seq >= kept.last))',
        name
    ) INTO found USING oldest;
    RETURN found;
END $$;

CREATE FUNCTION gateway.hold_audit_partition_on(today date, name text, keep_days integer)
RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
    ends timestamptz := (
        SELECT substring(pg_get_expr(relpartbound, oid) FROM $re$ TO \\('([^']+)'\\)$re$)
        FROM pg_class JOIN pg_inherits ON inhrelid = oid
        WHERE inhparent = 'gateway.audit_log'::regclass AND relname = name
    );
    kept interval := make_interval(days => greatest(
        hold_audit_partition_on.keep_days, 30,
        (SELECT told.keep_days FROM gateway.audit_retention AS told)
    ));
    oldest timestamptz := (today::timestamp - kept) AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(x'6e65757061727473'::bigint);
    IF ends IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s is no month of audit_log', name);
    END IF;
    IF ends > oldest OR NOT gateway.audit_partition_came_before(oldest, name) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE gateway.%I IN ACCESS EXCLUSIVE MODE', name);
    -- More may have come until then.
    RETURN gateway.audit_partition_came_before(oldest, name);
END $$;

CREATE FUNCTION gateway.hold_audit_partition(name text, keep_days integer) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
    SELECT gateway.hold_audit_partition_on((now() AT TIME ZONE 'UTC')::date, name, keep_days);
$$;
"""

DROP = """
CREATE FUNCTION gateway.drop_audit_partition_on(today date, name text, keep_days integer)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
BEGIN
    IF NOT gateway.hold_audit_partition_on(today, name, keep_days) THEN
        RAISE object_not_in_prerequisite_state
            USING MESSAGE = format('%s holds records that must be kept', name);
    END IF;
    EXECUTE format('DROP TABLE gateway.%I', name);
END $$;

CREATE FUNCTION gateway.drop_audit_partition(name text, keep_days integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
    SELECT gateway.drop_audit_partition_on((now() AT TIME ZONE 'UTC')::date, name, keep_days);
$$;
"""

RIGHTS = """
REVOKE ALL ON FUNCTION gateway.make_audit_partition(date),
    gateway.ensure_audit_partitions_on(date, integer), gateway.ensure_audit_partitions(integer),
    gateway.audit_partition_came_before(timestamptz, text),
    gateway.hold_audit_partition_on(date, text, integer),
    gateway.hold_audit_partition(text, integer),
    gateway.drop_audit_partition_on(date, text, integer),
    gateway.drop_audit_partition(text, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.ensure_audit_partitions(integer),
    gateway.hold_audit_partition(text, integer),
    gateway.drop_audit_partition(text, integer)
    TO gateway_app;
"""

# The records stay: they go back to where they would have been without months.
MERGE = """
DO $$
DECLARE
    month regclass;
BEGIN
    FOR month IN
        SELECT inhrelid FROM pg_inherits
        WHERE inhparent = 'gateway.audit_log'::regclass
            AND inhrelid <> 'gateway.audit_log_default'::regclass
    LOOP
        EXECUTE format('ALTER TABLE gateway.audit_log DETACH PARTITION %s', month);
        EXECUTE format('INSERT INTO gateway.audit_log SELECT * FROM %s', month);
        EXECUTE format('DROP TABLE %s', month);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    for statements in (KEEPING, MAKE, ENSURE, HOLD, DROP, RIGHTS):
        op.execute(statements)
    op.execute("SELECT gateway.ensure_audit_partitions(2)")


def downgrade() -> None:
    op.execute(
        """
        DROP FUNCTION gateway.drop_audit_partition(text, integer),
            gateway.drop_audit_partition_on(date, text, integer),
            gateway.hold_audit_partition(text, integer),
            gateway.hold_audit_partition_on(date, text, integer),
            gateway.audit_partition_came_before(timestamptz, text),
            gateway.ensure_audit_partitions(integer),
            gateway.ensure_audit_partitions_on(date, integer),
            gateway.make_audit_partition(date);
        DROP TABLE gateway.audit_retention;
        """
    )
    op.execute(MERGE)
