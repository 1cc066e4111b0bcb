"""New keys: made, stored as a hash, and shown once (SPEC 5, 11)."""

import secrets
import shlex
from datetime import datetime

import click
from argon2.exceptions import HashingError

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.admission.credentials import new_key
from neuronetz_twisted.admission.verifier import hash_key
from neuronetz_twisted.cli.address import base_url
from neuronetz_twisted.cli.limits import changes_of
from neuronetz_twisted.cli.options import (
    PREFIX_LENGTH,
    Amount,
    existing,
    expiry,
    json_option,
    limit_options,
    log_prompts_option,
    new_name,
    scopes,
)
from neuronetz_twisted.cli.output import (
    Fault,
    Record,
    moment,
    note,
    scope_words,
    show_json,
    show_one,
)
from neuronetz_twisted.cli.prompts import master_keys_of
from neuronetz_twisted.cli.records import find_tenant
from neuronetz_twisted.cli.session import OperatorDatabase, database, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.stores import operator_queries
from neuronetz_twisted.stores.records import Tenant
from neuronetz_twisted.vocabulary import Scope, Status


def add_key(  # noqa: PLR0913 - a key has that many properties
    operator: OperatorDatabase,
    settings: Settings,
    *,
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires_at: datetime | None = None,
    log_prompts: bool = False,
    limits: Limits | None = None,
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
            limits=limits,
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
@limit_options
@log_prompts_option(default=False)
@json_option
def create_key(  # noqa: PLR0913 - one for each option
    *,
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires: datetime | None,
    log_prompts: bool,
    as_json: bool,
    **amounts: Amount,
) -> None:
    """Make a key and print it, this once. Its limits hold beside those of its tenant."""
    changes = changes_of(amounts, of_key=True)
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
            limits=changes.as_limits() if changes.values else None,
        )
    record = {
        "key": key,
        "prefix": key[:PREFIX_LENGTH],
        "tenant": tenant,
        "name": name,
        "scopes": scope_words(scopes),
        "expires_at": moment(expires),
        "log_prompts": log_prompts,
        **changes.as_limits().as_row(),
    }
    if as_json:
        show_json(record)
    else:
        _show_new_key(record, settings)
    changes.tell(settings, owner, of_key=True)
    _warn(owner)


def _show_new_key(record: Record, settings: Settings) -> None:
    """The key and a call that works, on lines of their own that can be copied."""
    shown = {
        name: value
        for name, value in record.items()
        if name != "key" and not (name in LIMIT_NAMES and value is None)
    }
    show_one(shown, as_json=False)
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
