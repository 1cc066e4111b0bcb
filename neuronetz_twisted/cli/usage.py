"""Use: what tenants, keys and models have cost, from the ledger (SPEC 11)."""

import re
from datetime import UTC, date, datetime, timedelta

import click
from sqlalchemy import Connection

from neuronetz_twisted.cli.options import existing, json_option, key_reference
from neuronetz_twisted.cli.output import Columns, show_all
from neuronetz_twisted.cli.records import find_key, find_tenant
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.stores.usage_queries import By, Use, named, usage

_DAYS = re.compile(r"([0-9]{1,5})d")


def day_of(text: str, today: date) -> date:
    """A day in UTC: `30d` ago, or a date. Raises ValueError, and OverflowError before year 1."""
    span = _DAYS.fullmatch(text)
    return date.fromisoformat(text) if span is None else today - timedelta(days=int(span[1]))


def _since(_: click.Context, __: click.Parameter, value: str) -> date:
    try:
        return day_of(value.strip(), datetime.now(UTC).date())
    except (ValueError, OverflowError):
        raise click.BadParameter("must be a span such as 30d, or a date") from None


@click.command()
@click.option("--tenant", callback=existing, help="Only this tenant's.")
@click.option(
    "--key", "reference", callback=key_reference, help="Only that of the key with this prefix."
)
@click.option(
    "--since", callback=_since, default="30d", show_default=True, help="A span, or a date (UTC)."
)
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    default=By.DAY.value,
    show_default=True,
    help="What to add up.",
)
@json_option
def show_usage(
    *, tenant: str | None, reference: str | None, since: date, by: str, as_json: bool
) -> None:
    """Show what was used: requests that went to a model, and their tokens."""
    what = By(by)

    def ask(connection: Connection) -> list[Use]:
        tenant_id = None if tenant is None else find_tenant(connection, tenant).id
        key_id = None if reference is None else find_key(connection, reference).id
        return usage(connection, by=what, since=since, tenant_id=tenant_id, key_id=key_id)

    with database(loaded().settings) as operator:
        found = operator.run(ask)
    show_all([named(use, what) for use in found], _columns(what), as_json=as_json)


def _columns(by: By) -> Columns:
    return {
        by.value: lambda use: use[by.value],
        "requests": lambda use: use["requests"],
        "prompt tokens": lambda use: use["prompt_tokens"],
        "completion tokens": lambda use: use["completion_tokens"],
        "charged": lambda use: use["charged"],
    }
