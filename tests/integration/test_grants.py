"""What the roles may do and what they may not, tried as those roles (SPEC 12)."""

from uuid import uuid4

import psycopg
from twisted.trial.unittest import SynchronousTestCase

from tests.servers import admin_connection, new_database, service_connection
from tests.tenants import PREFIX, ROWS


class Grants(SynchronousTestCase):
    """What role gateway_app may do, tried as that role."""

    def setUp(self) -> None:
        """A database with rows, and a session of the service."""
        urls = new_database(self)
        admin_connection(self, urls.admin_url).execute(ROWS)
        self.service = service_connection(self, urls.url)

    def test_session_runs_as_gateway_app(self) -> None:
        """The arguments of every session of ours take the role."""
        self.assertEqual(
            self.service.execute("SELECT current_user, current_schema()").fetchone(),
            ("gateway_app", "gateway"),
        )

    def test_audit_log_takes_rows_and_keeps_them(self) -> None:
        """A record can be added and read, also far from any partition, and nothing else."""
        self.service.execute(
            "INSERT INTO gateway.audit_log"
            " (id, started_at, route, outcome, writer, seq, record, chain_hash)"
            " VALUES (gen_random_uuid(), '2099-01-01', '/api/chat', 'ok', gen_random_uuid(), 1,"
            " '', '')"
        )
        count = self.service.execute("SELECT count(*) FROM gateway.audit_log").fetchone()
        self.assertEqual(count, (1,))

    def test_forbidden(self) -> None:
        """Records and revocations are not changed, and nothing is created, dropped or called."""
        for statement in (
            "UPDATE gateway.audit_log SET outcome = 'ok'",
            "DELETE FROM gateway.audit_log",
            "TRUNCATE gateway.audit_log",
            "UPDATE gateway.audit_log_default SET outcome = 'ok'",
            "DELETE FROM gateway.audit_log_default",
            "TRUNCATE gateway.audit_log_default",
            "ALTER TABLE gateway.audit_log DETACH PARTITION gateway.audit_log_default",
            "DROP TABLE gateway.audit_log_default",
            "UPDATE gateway.audit_checkpoints SET seq = 1",
            "DELETE FROM gateway.audit_checkpoints",
            "TRUNCATE gateway.audit_checkpoints",
            "DROP TABLE gateway.audit_checkpoints",
            "DELETE FROM gateway.usage_by_day",
            "TRUNCATE gateway.usage_by_day",
            "DELETE FROM gateway.budget_usage",
            "TRUNCATE gateway.budget_usage",
            "INSERT INTO gateway.audit_retention (keep_days) VALUES (30)",
            "UPDATE gateway.audit_retention SET keep_days = 30",
            "DELETE FROM gateway.audit_retention",
            "UPDATE gateway.revocations SET reason = 'x'",
            "DELETE FROM gateway.revocations",
            "TRUNCATE gateway.tenants CASCADE",
            "CREATE TABLE gateway.mine (id int)",
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION gateway.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER TABLE gateway.tenants DISABLE TRIGGER ALL",
            "DROP TRIGGER notify_key_revoked ON gateway.revocations",
            "UPDATE gateway.alembic_version SET version_num = '0001'",
            "DELETE FROM gateway.alembic_version",
            "SELECT gateway.notify_key_revoked()",
        ):
            with (
                self.subTest(statement=statement),
                self.assertRaises(psycopg.errors.InsufficientPrivilege),
            ):
                self.service.execute(statement)

    def test_forbidden_on_each_month(self) -> None:
        """A month of the record is read and filled through its parent, and in no other way."""
        months = self.service.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'gateway.audit_log'::regclass"
        ).fetchall()
        self.assertEqual(len(months), 4)
        for (month,) in months:
            for statement in (
                "UPDATE {} SET outcome = 'ok'",
                "DELETE FROM {}",
                "TRUNCATE {}",
                "SELECT FROM {}",
                "INSERT INTO {} SELECT * FROM gateway.audit_log",
                "DROP TABLE {}",
                "ALTER TABLE {} ADD COLUMN mine int",
                "ALTER TABLE gateway.audit_log DETACH PARTITION {}",
                "CREATE INDEX ON {} (outcome)",
            ):
                text = statement.format(month)
                with (
                    self.subTest(statement=text),
                    self.assertRaises(psycopg.errors.InsufficientPrivilege),
                ):
                    self.service.execute(text)

    def test_functions_lend_no_names(self) -> None:
        """A function that runs as the owner uses no name or operator that a session has put up."""
        self.service.execute("SET search_path = pg_temp, public")
        self.service.execute("CREATE TEMP TABLE pg_inherits (inhparent oid, inhrelid oid)")
        self.service.execute("CREATE TEMP TABLE audit_log (id int)")
        self.service.execute("SELECT gateway.ensure_audit_partitions(3)")
        paths = self.service.execute(
            "SELECT proname, proconfig FROM pg_proc WHERE prosecdef"
            " AND pronamespace = 'gateway'::regnamespace"
        ).fetchall()
        self.assertGreater(len(paths), 5)
        for name, options in paths:
            self.assertEqual(options[0], "search_path=pg_catalog, pg_temp", name)

    def test_revision(self) -> None:
        """The service may read which revision the schema is at."""
        rows = self.service.execute("SELECT count(*) FROM gateway.alembic_version").fetchone()
        self.assertEqual(rows, (1,))

    def test_working_tables(self) -> None:
        """What the service and the command line keep may be read, added, changed and deleted."""
        for table in (
            *("tenants", "tenant_limits", "api_keys", "api_key_credentials", "key_limits"),
            *("prompt_log", "prompt_keys", "instances"),
        ):
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                with self.subTest(table=table, right=right):
                    self.assertEqual(
                        self.service.execute(
                            "SELECT has_table_privilege('gateway_app', %s, %s)",
                            (f"gateway.{table}", right),
                        ).fetchone(),
                        (True,),
                    )


class Console(SynchronousTestCase):
    """Another service that may do one thing only."""

    def test_insert_right_alone_revokes(self) -> None:
        """Who may only INSERT a revocation revokes a key that it cannot even read."""
        urls = new_database(self)
        admin = admin_connection(self, urls.admin_url)
        admin.execute(ROWS)
        role = f"console_{uuid4().hex}"
        admin.execute(f"CREATE ROLE {role}")
        self.addCleanup(admin.execute, f"DROP OWNED BY {role}; DROP ROLE {role}")
        admin.execute(
            f"GRANT USAGE ON SCHEMA gateway TO {role};GRANT INSERT ON gateway.revocations TO {role}"
        )
        with admin.transaction():
            admin.execute(f"SET LOCAL ROLE {role}")
            # A schema in front of ours must not lend its operators to the trigger.
            admin.execute("SET LOCAL search_path = pg_temp, public")
            admin.execute(f"INSERT INTO gateway.revocations (prefix) VALUES ('{PREFIX}')")
        status = admin.execute("SELECT status::text FROM gateway.api_keys").fetchall()
        self.assertEqual(status, [("revoked",)])
