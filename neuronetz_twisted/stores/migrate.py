"""Brings the database's schema to a revision, and knows whether it is at the right one (SPEC 12).

The scripts lie in `migrations/`, beside the package in a checkout and inside it in a wheel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores.engine import database_url, peer_arguments
from neuronetz_twisted.stores.faults import (
    DatabaseFault,
    NotMigrated,
    WrongSchema,
    first_line,
    plain_faults,
)
from neuronetz_twisted.variables import EMBEDDED

BASE = "base"
HEAD = "head"

LOCK_TIMEOUT_S = 5.0
"""How long a migration waits for another one, and for whoever uses a table."""

_PACKAGE = Path(__file__).parents[1]


def owner_url(settings: Settings) -> str:
    """The URL of the schema's owner. Raises `DatabaseFault` where only that one is embedded."""
    url = settings.database_admin_url or settings.database_url
    if url == EMBEDDED:
        raise DatabaseFault("DATABASE_ADMIN_URL is embedded: and DATABASE_URL is not")
    return url


def upgrade(admin_url: str, revision: str = HEAD) -> None:
    """Apply what is missing up to `revision`, in one transaction; a second caller waits.

    Raises `DatabaseFault`, with nothing changed, where the server cannot be reached, the role may
    not do it, a newer version has migrated the database, or a lock is not to be had in time.
    """
    with _configured(admin_url) as config:
        command.upgrade(config, revision)


def downgrade(admin_url: str, revision: str) -> None:
    """Take back what is newer than `revision`; `base` leaves nothing of ours. Raises as above."""
    with _configured(admin_url) as config:
        command.downgrade(config, revision)


def current(admin_url: str) -> str | None:
    """The revision that the database is at, None before the first. Raises as above."""
    with _connected(admin_url) as connection:
        return _revision(connection)


def require_head(connection: Connection) -> None:
    """Make sure, as the service's role, that the schema is the one that this version needs.

    Raises `NotMigrated` where a migration is missing, `WrongSchema` where a newer version made one.
    """
    try:
        found = _revision(connection)
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            # The right to look comes with the newest revision.
            raise NotMigrated from None
        raise
    if found is None:
        raise NotMigrated
    if found != (needed := known_revisions()[-1]):
        raise NotMigrated(f"at {found}, this version needs {needed}")


@cache
def known_revisions() -> tuple[str, ...]:
    """All revisions, the oldest first, after `base`, which is the empty database."""
    newest_first = ScriptDirectory(str(_scripts())).walk_revisions()
    return (BASE, *reversed([script.revision for script in newest_first]))


def _scripts() -> Path:
    carried = _PACKAGE / "migrations"
    return carried if carried.is_dir() else _PACKAGE.parent / "migrations"


def _revision(connection: Connection) -> str | None:
    books = MigrationContext.configure(connection, opts={"version_table_schema": "gateway"})
    found = books.get_current_revision()
    if found is not None and found not in known_revisions():
        raise WrongSchema(f"the database is at revision {found}, newer than this version knows")
    return found


@contextmanager
def _configured(admin_url: str) -> Iterator[Config]:
    config = Config()
    # ConfigParser reads a % of the path as its own.
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    with _connected(admin_url) as connection:
        _revision(connection)
        # What Alembic finds begun it leaves to others to commit.
        connection.rollback()
        config.attributes["connection"] = connection
        try:
            yield config
        except CommandError as error:
            raise DatabaseFault(first_line(error)) from None


@contextmanager
def _connected(admin_url: str) -> Iterator[Connection]:
    engine = create_engine(
        database_url(admin_url),
        connect_args=peer_arguments("neuronetz-gateway migrate"),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    with plain_faults(), engine.connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = {round(LOCK_TIMEOUT_S * 1000)}")
        connection.commit()
        yield connection
