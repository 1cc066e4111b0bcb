"""Which revisions of the schema there are, and which one a database is at (SPEC 12).

The service asks this at its start. It does so without Alembic, which it needs for nothing else and
which would take a tenth of its memory; `migrate.py` has what changes a schema.
"""

import re
from functools import cache
from pathlib import Path

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from neuronetz_twisted.stores.faults import NotMigrated, WrongSchema

BASE = "base"

_PACKAGE = Path(__file__).parents[1]
_LINK = re.compile(r'^(revision|down_revision)\b[^=\n]*= (?:"(\w+)"|None)$', re.MULTILINE)
_BOOKS = text(
    "SELECT 1 FROM pg_catalog.pg_tables"
    " WHERE schemaname = 'gateway' AND tablename = 'alembic_version'"
)
_ENTRY = text("SELECT version_num FROM gateway.alembic_version")


def scripts() -> Path:
    """Where the migrations lie: inside the package in a wheel, beside it in a checkout."""
    carried = _PACKAGE / "migrations"
    return carried if carried.is_dir() else _PACKAGE.parent / "migrations"


@cache
def known_revisions() -> tuple[str, ...]:
    """All revisions, the oldest first, after `base`, which is the empty database."""
    after: dict[str, str] = {}
    for script in (scripts() / "versions").glob("*.py"):
        found = dict(_found(script.read_text(encoding="utf-8")))
        after[found["down_revision"]] = found["revision"]
    chain = [BASE]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    return tuple(chain)


def _found(script: str) -> list[tuple[str, str]]:
    return [(match[1], match[2] or BASE) for match in _LINK.finditer(script)]


def revision_of(connection: Connection) -> str | None:
    """The revision that a database is at, None before the first.

    Raises `WrongSchema` where a newer version has migrated it.
    """
    if connection.execute(_BOOKS).first() is None:
        return None
    found: str | None = connection.execute(_ENTRY).scalar()
    if found is not None and found not in known_revisions():
        raise WrongSchema(f"the database is at revision {found}, newer than this version knows")
    return found


def require_head(connection: Connection) -> None:
    """Make sure, as the service's role, that the schema is the one that this version needs.

    Raises `NotMigrated` where a migration is missing, `WrongSchema` where a newer version made one.
    """
    try:
        found = revision_of(connection)
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            # The right to look comes with the newest revision.
            raise NotMigrated from None
        raise
    if found is None:
        raise NotMigrated
    if found != (needed := known_revisions()[-1]):
        raise NotMigrated(f"at {found}, this version needs {needed}")
