"""Keys that are there: listed by prefix, changed, disabled, revoked (SPEC 5, 11)."""

from collections.abc import Callable

import click
from sqlalchemy import Connection

from neuronetz_twisted.cli.limits import (
    BUDGETS,
    CAPS,
    RATES,
    LimitChanges,
    changes_of,
    in_words,
)
from neuronetz_twisted.cli.models import models_in_words
from neuronetz_twisted.cli.options import (
    Amount,
    confirm,
    existing,
    json_option,
    key_reference,
    limit_options,
    log_prompts_option,
    yes_option,
)
from neuronetz_twisted.cli.output import (
    Columns,
    Record,
    moment,
    scope_words,
    show_all,
    show_one,
)
from neuronetz_twisted.cli.prompts import master_keys_of
from neuronetz_twisted.cli.records import find_key, find_tenant
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.stores import limit_queries, operator_queries, prompt_queries
from neuronetz_twisted.stores.records import Key, Tenant
from neuronetz_twisted.vocabulary import Status

_COLUMNS: Columns = {
    "prefix": lambda key: ", ".join(key["prefixes"]),
    "tenant": lambda key: key["tenant"],
    "name": lambda key: key["name"],
    "scopes": lambda key: key["scopes"],
    "status": lambda key: key["status"],
    "models": models_in_words,
    "limits": lambda key: in_words(key, {**RATES, **BUDGETS, **CAPS}),
    "expires": lambda key: key["expires_at"],
    "last used": lambda key: key["last_used_at"],
}


def key_record(key: Key) -> Record:
    """A key as commands print it; there is nothing secret in it."""
    return {
        "prefix": key.prefixes[0] if key.prefixes else None,
        "prefixes": key.prefixes,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": scope_words(key.scopes),
        "status": key.status.value,
        "allow_all_models": key.allow_all_models,
        "models": key.models,
        **key.limits.as_row(),
        "log_prompts": key.prompt_logging,
        "expires_at": moment(key.expires_at),
        "created_at": moment(key.created_at),
        "last_used_at": moment(key.last_used_at),
    }


@click.command()
@click.option("--tenant", callback=existing, help="Only this tenant's.")
@json_option
def list_keys(*, tenant: str | None, as_json: bool) -> None:
    """Show keys by their prefixes."""
    with database(loaded().settings) as operator:
        keys = operator.run(lambda connection: operator_queries.list_keys(connection, tenant))
    show_all([key_record(key) for key in keys], _COLUMNS, as_json=as_json)


_prefix_option = click.option(
    "--prefix",
    "reference",
    callback=key_reference,
    required=True,
    help="The key's first 12 characters, or TENANT/NAME.",
)


@click.command()
@_prefix_option
@limit_options
@log_prompts_option(default=None)
@json_option
def set_key(*, reference: str, log_prompts: bool | None, as_json: bool, **amounts: Amount) -> None:
    """Change a key's limits, or what is kept of its calls, on every gateway within a second."""
    changes = changes_of(amounts, of_key=True)
    if not changes.values and log_prompts is None:
        raise click.UsageError("say what: a limit, --log-prompts or --no-log-prompts")
    settings = loaded().settings
    if log_prompts:
        master_keys_of(settings)
    with database(settings) as operator:
        owner, key = operator.run(_setting(reference, changes, log_prompts=log_prompts))
    changes.tell(settings, owner, of_key=True)
    show_one(key_record(key), as_json=as_json)


def _setting(
    reference: str, changes: LimitChanges, *, log_prompts: bool | None
) -> Callable[[Connection], tuple[Tenant, Key]]:
    def change(connection: Connection) -> tuple[Tenant, Key]:
        key = find_key(connection, reference)
        if log_prompts is not None:
            prompt_queries.set_logging(connection, key.id, wanted=log_prompts)
        if changes.values:
            limit_queries.set_key_limits(connection, key.id, changes.values)
        owner = find_tenant(connection, key.tenant)
        return owner, find_key(connection, key.prefixes[0])

    return change


@click.command()
@_prefix_option
@yes_option
@json_option
def revoke_key(*, reference: str, yes: bool, as_json: bool) -> None:
    """End a key for good, on every gateway within a second."""
    _change("Revoke", reference, operator_queries.revoke, yes=yes, as_json=as_json)


@click.command()
@_prefix_option
@yes_option
@json_option
def disable_key(*, reference: str, yes: bool, as_json: bool) -> None:
    """Refuse a key, until `enable-key`."""
    _change("Disable", reference, _disable, yes=yes, as_json=as_json)


@click.command()
@_prefix_option
@json_option
def enable_key(*, reference: str, as_json: bool) -> None:
    """Accept a disabled key again."""
    _change("Enable", reference, _enable, yes=True, as_json=as_json)


def _change(
    verb: str,
    reference: str,
    change: Callable[[Connection, str], None],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    with database(loaded().settings) as operator:
        key = operator.run(lambda connection: find_key(connection, reference))
        prefix = key.prefixes[0]
        confirm(f"{verb} key {prefix} ({key.name!r} of tenant {key.tenant!r})?", yes=yes)
        operator.run(lambda connection: change(connection, prefix))
        key = operator.run(lambda connection: find_key(connection, prefix))
    show_one(key_record(key), as_json=as_json)


def _disable(connection: Connection, reference: str) -> None:
    operator_queries.set_key_status(connection, reference, Status.DISABLED)


def _enable(connection: Connection, reference: str) -> None:
    operator_queries.set_key_status(connection, reference, Status.ACTIVE)
