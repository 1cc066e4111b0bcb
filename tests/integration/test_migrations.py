"""The schema as the migrations leave it: what it grants, what it tells, how it goes away again."""

import os
import subprocess
import sys
from typing import Any

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores import migrate, tables
from neuronetz_twisted.stores.faults import DatabaseFault
from tests.servers import admin_connection, new_database, private_servers, service_connection
from tests.tenants import ROWS, TENANT

# The advisory lock of `migrations/env.py`, which may never change.
LOCK = 0x6E65_7572_6F6E_6574

DATA_KEY = f"""
INSERT INTO gateway.prompt_keys (tenant_id, version, wrapped, master_id)
VALUES ('{TENANT}', 1, '', '')
"""
RECORD = """
INSERT INTO gateway.audit_log (id, started_at, route, outcome, writer, seq, record, chain_hash)
VALUES (gen_random_uuid(), now(), '', 'ok', gen_random_uuid(), 1, '', '')
"""

UPGRADE = """
import os
from neuronetz_twisted.stores.migrate import upgrade
upgrade(os.environ["U"])
"""


def objects(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """All that a migration could leave behind in this database, beside roles."""
    return connection.execute(
        """
        WITH ours AS (SELECT to_regnamespace('gateway') AS id)
        SELECT 'relation', relname FROM pg_class, ours WHERE relnamespace = ours.id
        UNION ALL SELECT 'type', typname FROM pg_type, ours WHERE typnamespace = ours.id
        UNION ALL SELECT 'function', proname FROM pg_proc, ours WHERE pronamespace = ours.id
        UNION ALL SELECT 'schema', 'gateway' FROM ours WHERE id IS NOT NULL
        ORDER BY 1, 2
        """
    ).fetchall()


class UpAndDown(SynchronousTestCase):
    """Every revision goes both ways."""

    def setUp(self) -> None:
        """An empty database."""
        self.url = new_database(self, migrated=False).admin_url
        self.connection = admin_connection(self, self.url)

    def test_up_down_up(self) -> None:
        """Going down leaves nothing at all, and going up again leaves what the first time did."""
        migrate.upgrade(self.url)
        first = objects(self.connection)
        self.assertEqual(migrate.current(self.url), "0005")
        migrate.downgrade(self.url, "base")
        self.assertEqual(objects(self.connection), [])
        self.assertIsNone(migrate.current(self.url))
        migrate.upgrade(self.url)
        self.assertEqual(objects(self.connection), first)

    def test_step_by_step(self) -> None:
        """Each revision can be entered from below and from above."""
        seen = []
        for revision in ("0001", "0002", "0003", "0004", "0005"):
            migrate.upgrade(self.url, revision)
            seen.append(objects(self.connection))
        for expected in reversed(seen[:-1]):
            migrate.downgrade(self.url, "-1")
            self.assertEqual(objects(self.connection), expected)

    def test_rows_do_not_keep_it(self) -> None:
        """A database that is in use goes down too."""
        migrate.upgrade(self.url)
        self.connection.execute(ROWS)
        migrate.downgrade(self.url, "base")
        self.assertEqual(objects(self.connection), [])

    def test_records_are_not_lost(self) -> None:
        """A way down that has no place for records is not taken, unless it is to leave nothing."""
        for statement in (DATA_KEY, RECORD):
            migrate.upgrade(self.url)
            self.connection.execute(ROWS)
            self.connection.execute(statement)
            for revision in ("0003", "0001", "-2"):
                with self.assertRaises(DatabaseFault) as caught:
                    migrate.downgrade(self.url, revision)
                self.assertIn("has rows, which revision 0003 cannot keep", str(caught.exception))
                self.assertNotIn("\n", str(caught.exception))
                self.assertEqual(migrate.current(self.url), "0005")
            migrate.downgrade(self.url, "0004")
            with self.assertRaises(DatabaseFault):
                migrate.downgrade(self.url, "-1")
            migrate.upgrade(self.url)
            migrate.downgrade(self.url, "base")
            self.assertEqual(objects(self.connection), [])

    def test_role_that_can_log_in_stays(self) -> None:
        """The embedded servers' own login role survives a downgrade."""
        migrate.upgrade(self.url)
        migrate.downgrade(self.url, "base")
        role = self.connection.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'gateway_app'"
        ).fetchall()
        self.assertEqual(role, [(True,)])

    def test_two_at_once(self) -> None:
        """Gateways that start together with `--migrate` wait for each other."""
        processes = [
            subprocess.Popen([sys.executable, "-c", UPGRADE], env={**os.environ, "U": self.url})
            for _ in range(3)
        ]
        self.assertEqual([process.wait(30) for process in processes], [0, 0, 0])
        self.assertEqual(migrate.current(self.url), "0005")

    def test_other_schemas_are_left_alone(self) -> None:
        """Another service's schema is not touched, up or down (SPEC 12)."""
        self.connection.execute("CREATE SCHEMA console; CREATE TABLE console.notes (id int)")
        migrate.upgrade(self.url)
        migrate.downgrade(self.url, "base")
        self.connection.execute("SELECT id FROM console.notes")


class Refusals(SynchronousTestCase):
    """What keeps a migration from being made is one plain line, and nothing is changed."""

    def setUp(self) -> None:
        """An empty database, and little patience."""
        self.url = new_database(self, migrated=False).admin_url
        self.connection = admin_connection(self, self.url)
        self.patch(migrate, "LOCK_TIMEOUT_S", 0.2)

    def refusal(self, url: str) -> str:
        """The line."""
        with self.assertRaises(DatabaseFault) as caught:
            migrate.upgrade(url)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_another_migration(self) -> None:
        """One that does not end is not waited for without end."""
        self.connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        self.assertEqual(self.refusal(self.url), "another migration of this database is running")
        self.assertEqual(objects(self.connection), [])
        self.connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
        migrate.upgrade(self.url)

    def test_table_in_use(self) -> None:
        """Nor is a session that holds a table."""
        migrate.upgrade(self.url, "0001")
        with self.connection.transaction():
            self.connection.execute("LOCK TABLE gateway.tenants")
            self.assertIn("a table is in use", self.refusal(self.url))
        self.assertEqual(migrate.current(self.url), "0001")

    def test_newer_database(self) -> None:
        """A revision that this version does not know is left alone."""
        migrate.upgrade(self.url)
        self.connection.execute("UPDATE gateway.alembic_version SET version_num = '9999'")
        self.assertEqual(
            self.refusal(self.url),
            "the database is at revision 9999, newer than this version knows",
        )
        with self.assertRaisesRegex(DatabaseFault, "9999"):
            migrate.downgrade(self.url, "base")

    def test_role_that_may_not(self) -> None:
        """The server's own words say what is missing."""
        url = new_database(self, migrated=False).url
        self.assertIn("the database refuses: permission denied", self.refusal(url))

    def test_server_that_is_away(self) -> None:
        """Nobody listens, and no password is told."""
        nowhere = make_url(self.url).update_query_dict({"host": "/nowhere"})
        line = self.refusal(nowhere.render_as_string(hide_password=False))
        self.assertIn("the database cannot be reached: ", line)
        self.assertNotIn(str(nowhere.password), line)


class OwnRole(SynchronousTestCase):
    """A server without our role, and an administrator who is no superuser."""

    def test_role_comes_and_goes(self) -> None:
        """The first database makes the role, the second shares it, the last one takes it along."""
        admin_url = private_servers(self).urls.database_admin_url
        assert admin_url is not None
        migrate.downgrade(admin_url, "base")
        superuser = admin_connection(self, admin_url)
        superuser.execute("DROP ROLE gateway_app")
        superuser.execute("CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'made up'")
        urls = []
        for name in ("one", "two"):
            superuser.execute(f"CREATE DATABASE {name} OWNER dba")
            address = make_url(admin_url).set(username="dba", password="made up", database=name)
            urls.append(address.render_as_string(hide_password=False))
            migrate.upgrade(urls[-1])
        service = service_connection(self, urls[0])
        self.assertEqual(
            service.execute("SELECT current_user, session_user").fetchone(), ("gateway_app", "dba")
        )
        service.close()
        role = "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'gateway_app'"
        migrate.downgrade(urls[0], "base")
        self.assertEqual(superuser.execute(role).fetchall(), [(False,)])
        migrate.downgrade(urls[1], "base")
        self.assertEqual(superuser.execute(role).fetchall(), [])


class Tables(SynchronousTestCase):
    """`stores.tables` against a migrated database."""

    def test_they_are_the_database_s(self) -> None:
        """Every table, column, type, default and key that queries know is the migrated one."""
        engine = create_engine(new_database(self).admin_url, poolclass=NullPool)
        ours = {table.name for table in tables.metadata.tables.values()}
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_type": True,
                    "compare_server_default": True,
                    "include_schemas": True,
                    "include_name": lambda name, kind, _: kind != "schema" or name == "gateway",
                    "include_object": lambda _, name, kind, reflected, __: (
                        kind != "index"
                        and not (
                            kind == "table"
                            and reflected
                            and (name in BOOKS or name.startswith(PARTITION))
                        )
                    ),
                    "version_table_schema": "gateway",
                },
            )
            self.assertEqual(compare_metadata(context, tables.metadata), [])
            found = set(connection.execute(text(ALL_TABLES)).scalars())
        self.assertEqual(found - BOOKS, ours)

    def test_enums(self) -> None:
        """The labels of the enums are those of the database."""
        connection = admin_connection(self, new_database(self).admin_url)
        for enum in (tables.tenant_status, tables.key_status, tables.budget_period):
            with self.subTest(enum=enum.name):
                labels = connection.execute(
                    "SELECT unnest(enum_range(NULL::gateway." + str(enum.name) + "))::text"
                ).fetchall()
                self.assertEqual([label for (label,) in labels], enum.enums)


# What is no table of the product: Alembic's own, and the partitions behind their parent.
BOOKS = {"alembic_version"}
PARTITION = "audit_log_"
ALL_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'gateway'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
