"""Brings the database's schema to a revision (SPEC 12).

The scripts lie in `migrations/`, beside the package in a checkout and inside it in a wheel.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.pool import NullPool

from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores.engine import database_url, peer_arguments
from neuronetz_twisted.stores.faults import DatabaseFault, first_line, plain_faults
from neuronetz_twisted.stores.revisions import revision_of, scripts
from neuronetz_twisted.stores.tables import audit_retention
from neuronetz_twisted.variables import EMBEDDED

HEAD = "head"

LOCK_TIMEOUT_S = 5.0
"""How long a migration waits for another one, and for whoever uses a table."""


def owner_url(settings: Settings) -> str:
    """The URL of the schema's owner. Raises `DatabaseFault` where only that one is embedded."""
    url = settings.database_admin_url or settings.database_url
    if url == EMBEDDED:
        raise DatabaseFault("DATABASE_ADMIN_URL is embedded: and DATABASE_URL is not")
    return url


def upgrade(admin_url: str, revision: str = HEAD, *, keep_days: int | None = None) -> None:
    """Apply what is missing up to `revision`, in one transaction; a second caller waits.

    Then write down that the database drops no record younger than `keep_days` (SPEC 9), which no
    session of the service can change; None leaves what is there.

    Raises `DatabaseFault`, with nothing changed, where the server cannot be reached, the role may
    not do it, a newer version has migrated the database, or a lock is not to be had in time.
    """
    with _configured(admin_url) as config:
        command.upgrade(config, revision)
        if keep_days is not None:
            _keep(config.attributes["connection"], keep_days)


def downgrade(admin_url: str, revision: str) -> None:
    """Take back what is newer than `revision`; `base` leaves nothing of ours. Raises as above."""
    with _configured(admin_url) as config:
        command.downgrade(config, revision)


def current(admin_url: str) -> str | None:
    """The revision that the database is at, None before the first. Raises as above."""
    with _connected(admin_url) as connection:
        return revision_of(connection)


def _keep(connection: Connection, days: int) -> None:
    # An older revision drops nothing.
    if inspect(connection).has_table(audit_retention.name, schema=audit_retention.schema):
        said = insert(audit_retention).values(keep_days=days)
        connection.execute(
            said.on_conflict_do_update(
                index_elements=["only_one"], set_={"keep_days": said.excluded.keep_days}
            )
        )
        connection.commit()


@contextmanager
def _configured(admin_url: str) -> Iterator[Config]:
    config = Config()
    # ConfigParser reads a % of the path as its own.
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    with _connected(admin_url) as connection:
        revision_of(connection)
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
