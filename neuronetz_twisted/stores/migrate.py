"""Brings the database's schema to a revision, from the command line or at start (SPEC 12, 14).

The scripts lie in `migrations/`, beside the package in a checkout and inside it in a wheel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from neuronetz_twisted.stores.engine import CONNECT_TIMEOUT_S, database_url

_PACKAGE = Path(__file__).parents[1]


def upgrade(admin_url: str, revision: str = "head") -> None:
    """Apply what is missing up to `revision`, in one transaction; a second caller waits.

    Raises `sqlalchemy.exc.OperationalError` where the server cannot be reached and
    `sqlalchemy.exc.ProgrammingError` where the role may not do it.
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
        books = MigrationContext.configure(connection, opts={"version_table_schema": "gateway"})
        return books.get_current_revision()


def scripts() -> Path:
    """The folder of the migrations."""
    carried = _PACKAGE / "migrations"
    return carried if carried.is_dir() else _PACKAGE.parent / "migrations"


@contextmanager
def _configured(admin_url: str) -> Iterator[Config]:
    config = Config()
    # ConfigParser reads a % of the path as its own.
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    with _connected(admin_url) as connection:
        config.attributes["connection"] = connection
        yield config


@contextmanager
def _connected(admin_url: str) -> Iterator[Connection]:
    engine = create_engine(
        database_url(admin_url),
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "neuronetz-gateway migrate",
        },
        poolclass=NullPool,
        use_native_hstore=False,
    )
    with engine.connect() as connection:
        yield connection
