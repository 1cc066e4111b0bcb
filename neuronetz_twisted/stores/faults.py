"""What an error of the database means to the person who runs it: one plain sentence.

The gateway's start, its log and the command line use the same words. They hold no statement, no
parameter and no part of a URL, since a password or a hash may be among them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.errors import DatabaseUnavailable

_NO_SCHEMA = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidSchemaName,
)
# The driver gives no code for a session that could not begin. The role comes with the schema.
_NO_ROLE = 'role "gateway_app" does not exist'


class DatabaseFault(Exception):  # noqa: N818 - psycopg and SQLAlchemy have a DatabaseError
    """The database cannot do what it was asked; the text is one line made for the operator."""


class WrongSchema(DatabaseFault, DatabaseUnavailable):
    """The schema is not the one that this version needs: nothing can be read until it is."""


class NotMigrated(WrongSchema):
    """The schema lacks something; a migration beside us mends it."""

    def __init__(self, state: str = "not migrated") -> None:
        super().__init__(f"the database is {state}: run {PROGRAM} migrate")


def first_line(error: BaseException | None) -> str:
    """A driver's words for a log line, without the statement, its parameters or further lines."""
    return " ".join(str(error).split("\n", 1)[0].split())


def lacks_schema(error: BaseException | None) -> bool:
    """Whether a driver's error says that a part of the schema, or the role, is not there."""
    return isinstance(error, _NO_SCHEMA) or first_line(error).endswith(_NO_ROLE)


def unavailable(error: BaseException | None) -> DatabaseUnavailable:
    """What the service makes of a driver's error that another attempt may not have."""
    return NotMigrated() if lacks_schema(error) else DatabaseUnavailable(first_line(error))


@contextmanager
def plain_faults() -> Iterator[None]:
    """Turn what the database or its driver raises in the block into a `DatabaseFault`."""
    try:
        yield
    except DBAPIError as error:
        raise _fault_of(error.orig) from None


def _fault_of(error: BaseException | None) -> DatabaseFault:
    words = first_line(error)
    if lacks_schema(error):
        return NotMigrated()
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return DatabaseFault("a table is in use by another session; nothing was changed")
    if getattr(error, "sqlstate", None) is None:
        return DatabaseFault(f"the database cannot be reached: {words}")
    return DatabaseFault(f"the database refuses: {words}")
