"""How a migration runs: one transaction under one lock, its books in our own schema (SPEC 12).

Reached in two ways: from `neuronetz_twisted.stores.migrate`, which hands a connection over, and
from the `alembic` command, which finds the database in DATABASE_ADMIN_URL.
"""

import os

from alembic import context
from alembic.util import CommandError
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

SCHEMA = "gateway"
VERSION_TABLE = "alembic_version"
# Any constant does, as long as it never changes: it keeps two migrations of one database apart.
LOCK = 0x6E65_7572_6F6E_6574


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection, version_table_schema=SCHEMA, version_table=VERSION_TABLE
    )
    with context.begin_transaction():
        wait_for_others(connection)
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        context.run_migrations()
        if not context.get_context().get_current_heads():
            # The books cannot be closed by the migration that is still being entered in them.
            connection.execute(text(f"DROP TABLE IF EXISTS {SCHEMA}.{VERSION_TABLE}"))
            connection.execute(text(f"DROP SCHEMA {SCHEMA}"))


def wait_for_others(connection: Connection) -> None:
    """Take the lock, within the session's `lock_timeout`."""
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise CommandError("another migration of this database is running") from None
        raise


def run() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        migrate(given)
        return
    engine = create_engine(os.environ["DATABASE_ADMIN_URL"])
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()


run()
