"""The schema: brought to a revision, up or down (SPEC 12)."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic.script import ScriptDirectory

from neuronetz_twisted.cli.options import confirm, json_option, yes_option
from neuronetz_twisted.cli.output import Fault, show_one
from neuronetz_twisted.cli.session import checked, database_faults, embedded_postgres, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores import migrate as migrations
from neuronetz_twisted.variables import EMBEDDED

_BASE = "base"
_HEAD = "head"


@click.command()
@click.option("--to", "revision", default=_HEAD, show_default=True, help="A revision, or base.")
@yes_option
@json_option
def migrate(*, revision: str, yes: bool, as_json: bool) -> None:
    """Bring the database's schema to a revision, as DATABASE_ADMIN_URL.

    Going back deletes what newer revisions stored.
    """
    revisions = known_revisions()
    target = revisions[-1] if revision == _HEAD else revision
    if target not in revisions:
        raise Fault(f"there is no revision {revision!r}; there are: {', '.join(revisions)}, head")
    with _admin_url(loaded().settings) as url, database_faults():
        before = migrations.current(url) or _BASE
        if before not in revisions:
            raise Fault(f"the database is at revision {before}, newer than this version knows")
        if revisions.index(target) < revisions.index(before):
            confirm(f"Go back from {before} to {target} and lose what it stored?", yes=yes)
            migrations.downgrade(url, target)
        else:
            migrations.upgrade(url, target)
    show_one({"before": before, "now": target}, as_json=as_json)


def known_revisions() -> list[str]:
    """All revisions, the oldest first, after `base`, which is the empty database."""
    newest_first = ScriptDirectory(str(migrations.scripts())).walk_revisions()
    return [_BASE, *reversed([script.revision for script in newest_first])]


@contextmanager
def _admin_url(settings: Settings) -> Iterator[str]:
    """The URL of the schema's owner. Raises `Fault`."""
    if settings.database_url == EMBEDDED:
        with embedded_postgres(settings) as urls:
            yield str(urls.database_admin_url)
        return
    url = settings.database_admin_url or settings.database_url
    if url == EMBEDDED:
        raise Fault("DATABASE_ADMIN_URL is embedded: and DATABASE_URL is not")
    yield checked(url)
