"""The schema: brought to a revision, up or down (SPEC 12)."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from neuronetz_twisted.cli.options import confirm, json_option, yes_option
from neuronetz_twisted.cli.output import Fault, show_one
from neuronetz_twisted.cli.session import database_faults, embedded_postgres, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores import migrate as migrations
from neuronetz_twisted.stores.revisions import BASE, known_revisions
from neuronetz_twisted.variables import EMBEDDED


@click.command()
@click.option(
    "--to", "revision", default=migrations.HEAD, show_default=True, help="A revision, or base."
)
@yes_option
@json_option
def migrate(*, revision: str, yes: bool, as_json: bool) -> None:
    """Bring the database's schema to a revision, as DATABASE_ADMIN_URL.

    Going back deletes what newer revisions stored.
    """
    revisions = known_revisions()
    target = revisions[-1] if revision == migrations.HEAD else revision
    if target not in revisions:
        raise Fault(f"there is no revision {revision!r}; there are: {', '.join(revisions)}, head")
    settings = loaded().settings
    with database_faults(), _admin_url(settings) as url:
        before = migrations.current(url) or BASE
        if revisions.index(target) < revisions.index(before):
            confirm(f"Go back from {before} to {target} and lose what it stored?", yes=yes)
            migrations.downgrade(url, target)
        else:
            migrations.upgrade(url, target, keep_days=settings.audit_retention_days)
    show_one({"before": before, "now": target}, as_json=as_json)


@contextmanager
def _admin_url(settings: Settings) -> Iterator[str]:
    """The URL of the schema's owner, whose server runs."""
    if settings.database_url == EMBEDDED:
        with embedded_postgres(settings) as urls:
            yield str(urls.database_admin_url)
        return
    yield migrations.owner_url(settings)
