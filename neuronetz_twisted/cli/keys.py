"""Keys: made and shown once, listed by prefix, disabled, revoked (SPEC 5, 11)."""

import secrets
import shlex
from collections.abc import Callable, Collection
from datetime import datetime

import click
from argon2.exceptions import HashingError
from sqlalchemy import Connection

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.admission.credentials import new_key
from neuronetz_twisted.admission.verifier import hash_key
from neuronetz_twisted.cli.address import base_url
from neuronetz_twisted.cli.models import models_in_words
from neuronetz_twisted.cli.options import (
    PREFIX_LENGTH,
    confirm,
    existing,
    expiry,
    json_option,
    key_reference,
    log_prompts_option,
    new_name,
    scopes,
    yes_option,
)
from neuronetz_twisted.cli.output import (
    Columns,
    Fault,
    Record,
    moment,
    note,
    show_all,
    show_json,
    show_one,
)
from neuronetz_twisted.cli.prompts import master_keys_of
from neuronetz_twisted.cli.records import find_key, find_tenant
from neuronetz_twisted.cli.session import OperatorDatabase, database, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.stores import operator_queries, prompt_queries
from neuronetz_twisted.stores.records import Key, Tenant
from neuronetz_twisted.vocabulary import Scope, Status

_COLUMNS: Columns = {
    "prefix": lambda key: ", ".join(key["prefixes"]),
    "tenant": lambda key: key["tenant"],
    "name": lambda key: key["name"],
    "scopes": lambda key: key["scopes"],
    "status": lambda key: key["status"],
    "models": models_in_words,
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
        "scopes": _words(key.scopes),
        "status": key.status.value,
        "allow_all_models": key.allow_all_models,
        "models": key.models,
        "log_prompts": key.prompt_logging,
        "expires_at": moment(key.expires_at),
        "created_at": moment(key.created_at),
        "last_used_at": moment(key.last_used_at),
    }


def add_key(  # noqa: PLR0913 - a key has that many properties
    operator: OperatorDatabase,
    settings: Settings,
    *,
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires_at: datetime | None = None,
    log_prompts: bool = False,
) -> str:
    """Make a key, store its hash, and return the key itself, which exists nowhere else.

    Raises `Fault`, for an unknown tenant, a name in use or too little memory.
    """
    key = new_key(secrets.randbelow)
    # Before the transaction, which should not wait for argon2.
    try:
        secret_hash = hash_key(
            key,
            time_cost=settings.argon2_time_cost,
            memory_cost_kib=settings.argon2_memory_cost_kib,
            parallelism=settings.argon2_parallelism,
        )
    except HashingError as error:
        raise Fault(f"argon2 cannot run with ARGON2_MEMORY_COST_KIB: {error}") from None
    operator.run(
        lambda connection: operator_queries.create_key(
            connection,
            tenant=tenant,
            name=name,
            scopes=scopes,
            prefix=key[:PREFIX_LENGTH],
            secret_hash=secret_hash,
            expires_at=expires_at,
            prompt_logging=log_prompts,
        )
    )
    return key


@click.command()
@click.option("--tenant", callback=existing, required=True, help="The tenant's name.")
@click.option("--name", callback=new_name, required=True, help="A name no key of the tenant has.")
@click.option(
    "--scopes",
    callback=scopes,
    default="chat,embeddings",
    show_default=True,
    help="Some of chat, embeddings, raw.",
)
@click.option(
    "--expires",
    callback=expiry,
    help="30d, 12h, 2027-01-31 (its first second, UTC), or an ISO time.",
)
@log_prompts_option(required=False)
@json_option
def create_key(  # noqa: PLR0913 - one for each option
    *,
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires: datetime | None,
    log_prompts: bool,
    as_json: bool,
) -> None:
    """Make a key and print it, this once."""
    settings = loaded().settings
    if log_prompts:
        master_keys_of(settings)
    with database(settings) as operator:
        owner = operator.run(lambda connection: find_tenant(connection, tenant))
        key = add_key(
            operator,
            settings,
            tenant=tenant,
            name=name,
            scopes=scopes,
            expires_at=expires,
            log_prompts=log_prompts,
        )
    record = {
        "key": key,
        "prefix": key[:PREFIX_LENGTH],
        "tenant": tenant,
        "name": name,
        "scopes": _words(scopes),
        "expires_at": moment(expires),
        "log_prompts": log_prompts,
    }
    if as_json:
        show_json(record)
    else:
        _show_new_key(record, settings)
    _warn(owner)


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
@log_prompts_option(required=True)
@json_option
def set_key(*, reference: str, log_prompts: bool, as_json: bool) -> None:
    """Change what is kept of a key's calls, on every gateway within a second."""
    settings = loaded().settings
    if log_prompts:
        master_keys_of(settings)
    with database(settings) as operator:
        key = operator.run(lambda connection: find_key(connection, reference))
        operator.run(
            lambda connection: prompt_queries.set_logging(connection, key.id, wanted=log_prompts)
        )
        key = operator.run(lambda connection: find_key(connection, key.prefixes[0]))
    show_one(key_record(key), as_json=as_json)


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


def _show_new_key(record: Record, settings: Settings) -> None:
    """The key and a call that works, on lines of their own that can be copied."""
    show_one({name: value for name, value in record.items() if name != "key"}, as_json=False)
    header = shlex.quote(f"Authorization: Bearer {record['key']}")
    click.echo(f"  {record['key']}\n")
    click.echo("This is the only time that the key is shown. Try it:\n")
    click.echo(f"  curl -H {header} {base_url(settings)}/v1/models\n")
    if settings.endpoint is not None:
        note("note: GATEWAY_ENDPOINT is set, so the gateway may listen at another address")


def _warn(owner: Tenant) -> None:
    if not owner.allow_all_models and not owner.models:
        note(
            "warning: this key may use no model yet, since its tenant may use none: "
            f"run {PROGRAM} set-models --tenant {shlex.quote(owner.name)} --allow-all"
        )
    if owner.status is not Status.ACTIVE:
        note(f"warning: the tenant {owner.name!r} is {owner.status.value}, so its keys are refused")


def _words(scopes: Collection[Scope]) -> list[str]:
    return [scope.value for scope in Scope if scope in scopes]
