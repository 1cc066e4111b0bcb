"""Tenants: who there is, and whether they may come in (SPEC 11)."""

import click

from neuronetz_twisted.cli.limits import BUDGETS, CAPS, changes_of, in_words
from neuronetz_twisted.cli.models import models_in_words
from neuronetz_twisted.cli.options import (
    Amount,
    confirm,
    existing,
    json_option,
    limit_options,
    new_name,
    yes_option,
)
from neuronetz_twisted.cli.output import Columns, Record, moment, show_all, show_one
from neuronetz_twisted.cli.records import find_tenant
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.stores import operator_queries
from neuronetz_twisted.stores.records import Tenant
from neuronetz_twisted.vocabulary import Status

_COLUMNS: Columns = {
    "name": lambda tenant: tenant["name"],
    "status": lambda tenant: tenant["status"],
    "models": models_in_words,
    "rpm": lambda tenant: tenant["rpm"],
    "tpm": lambda tenant: tenant["tpm"],
    "concurrent": lambda tenant: tenant["concurrent"],
    "budgets": lambda tenant: in_words(tenant, BUDGETS),
    "caps": lambda tenant: in_words(tenant, CAPS),
    "created": lambda tenant: tenant["created_at"],
}


def tenant_record(tenant: Tenant) -> Record:
    """A tenant as commands print it."""
    return {
        "name": tenant.name,
        "status": tenant.status.value,
        "allow_all_models": tenant.allow_all_models,
        "models": tenant.models,
        **tenant.limits.as_row(),
        "created_at": moment(tenant.created_at),
    }


@click.command()
@click.option("--name", callback=new_name, required=True, help="A name that no tenant has.")
@limit_options
@click.option("--allow-all-models", is_flag=True, help="Every installed model, now and later.")
@json_option
def create_tenant(*, name: str, allow_all_models: bool, as_json: bool, **amounts: Amount) -> None:
    """Add a tenant. Without --allow-all-models it may use nothing until `set-models`.

    Where a limit is not given, the default holds (DEFAULT_RPM, DEFAULT_TPM, DEFAULT_CONCURRENT).
    """
    changes = changes_of(amounts, of_key=False)
    settings = loaded().settings
    with database(settings) as operator:
        operator.run(
            lambda connection: operator_queries.create_tenant(
                connection, name, allow_all_models=allow_all_models, limits=changes.as_limits()
            )
        )
        tenant = operator.run(lambda connection: find_tenant(connection, name))
    changes.tell(settings, tenant, of_key=False)
    show_one(tenant_record(tenant), as_json=as_json)


@click.command()
@json_option
def list_tenants(*, as_json: bool) -> None:
    """Show all tenants."""
    with database(loaded().settings) as operator:
        tenants = operator.run(operator_queries.list_tenants)
    show_all([tenant_record(tenant) for tenant in tenants], _COLUMNS, as_json=as_json)


_tenant_option = click.option(
    "--name", "--tenant", "name", callback=existing, required=True, help="The tenant's name."
)


@click.command()
@_tenant_option
@yes_option
@json_option
def disable_tenant(*, name: str, yes: bool, as_json: bool) -> None:
    """Refuse all keys of a tenant, until `enable-tenant`."""
    confirm(f"Disable tenant {name!r} with all its keys?", yes=yes)
    _set_status(name, Status.DISABLED, as_json=as_json)


@click.command()
@_tenant_option
@json_option
def enable_tenant(*, name: str, as_json: bool) -> None:
    """Let a disabled tenant in again."""
    _set_status(name, Status.ACTIVE, as_json=as_json)


def _set_status(name: str, status: Status, *, as_json: bool) -> None:
    with database(loaded().settings) as operator:
        operator.run(
            lambda connection: operator_queries.set_tenant_status(connection, name, status)
        )
        tenant = operator.run(lambda connection: find_tenant(connection, name))
    show_one(tenant_record(tenant), as_json=as_json)
