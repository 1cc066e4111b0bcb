"""Models: what is installed, and who may use which (SPEC 6, 11)."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import click
from sqlalchemy import Connection

from neuronetz_twisted.cli.backends import installed
from neuronetz_twisted.cli.options import INHERIT, existing, json_option, key_reference, model_names
from neuronetz_twisted.cli.output import Columns, Record, note, show_all, show_one
from neuronetz_twisted.cli.records import find_key, find_tenant
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.model_names import canonical_name
from neuronetz_twisted.stores import operator_queries
from neuronetz_twisted.stores.operator_queries import ModelChanges
from neuronetz_twisted.stores.records import Tenant
from neuronetz_twisted.vocabulary import Status

_COLUMNS: Columns = {
    "name": lambda model: model["name"],
    "parameters": lambda model: model["details"].get("parameter_size"),
    "quantization": lambda model: model["details"].get("quantization_level"),
    "bytes": lambda model: model["size"],
    "modified": lambda model: model["modified_at"],
    "backends": lambda model: model["backends"],
}


def models_in_words(record: Record) -> str:
    """What a tenant or a key may use, in a word or two."""
    allow_all, models = record["allow_all_models"], record["models"]
    if allow_all:
        return "all"
    names = "tenant's list" if models is None else ", ".join(models) or "none"
    if allow_all is None:
        return "tenant's" if models is None else f"{names}; all if the tenant may"
    return names


@click.command()
@click.option("--tenant", callback=existing, help="Whose models to set.")
@click.option("--key", "reference", callback=key_reference, help="Prefix of a key instead.")
@click.option("--models", callback=model_names, help="Exactly these (a,b), or none, or inherit.")
@click.option(
    "--allow-all/--no-allow-all", default=None, help="Every installed model, or the list."
)
@click.option("--inherit", is_flag=True, help="A key: what its tenant may use.")
@json_option
def set_models(  # noqa: PLR0913 - one for each option
    *,
    tenant: str | None,
    reference: str | None,
    models: tuple[str, ...] | Literal["inherit"] | None,
    allow_all: bool | None,
    inherit: bool,
    as_json: bool,
) -> None:
    """Set which models a tenant or a key may use.

    A new key may use what its tenant may; a new tenant nothing. --models ends "all".
    """
    if (tenant is None) == (reference is None):
        raise click.UsageError("say whose: either --tenant or --key")
    if [models is not None, allow_all is not None, inherit].count(True) != 1:
        raise click.UsageError(
            "say what: one of --models, --allow-all, --no-allow-all and --inherit"
        )
    changes = _changes(models=models, allow_all=allow_all)
    if tenant is not None and None in changes.values():
        raise click.UsageError("only a key can inherit")
    with database(loaded().settings) as operator:
        if tenant is not None:
            record = operator.run(_tenant_change(tenant, changes))
        else:
            record = operator.run(_key_change(str(reference), changes))
    show_one(record, as_json=as_json)


@click.command()
@click.option("--tenant", callback=existing, help="Only those that this tenant may use.")
@json_option
def list_models(*, tenant: str | None, as_json: bool) -> None:
    """Show the models that the gateway would find at its model hosts."""
    settings = loaded().settings
    owner = None
    if tenant is not None:
        with database(settings) as operator:
            owner = operator.run(lambda connection: find_tenant(connection, tenant))
    found = installed(settings)
    names = set(found)
    if owner is not None and not owner.allow_all_models:
        names &= _names_of(owner)
    show_all(
        [_model_record(name, found[name]) for name in sorted(names)],
        _COLUMNS,
        as_json=as_json,
    )
    if owner is not None:
        _tell_of(owner, set(found))


def _changes(
    *, models: tuple[str, ...] | Literal["inherit"] | None, allow_all: bool | None
) -> ModelChanges:
    """What the one option that was given changes; neither `models` nor `allow_all`: inherit."""
    if allow_all is not None:
        return {"allow_all_models": allow_all}
    if models is None or models == INHERIT:
        return {"allow_all_models": None, "models": None}
    # Left at "all", the list would be without effect.
    return {"allow_all_models": False, "models": models}


def _tenant_change(name: str, changes: ModelChanges) -> Callable[[Connection], Record]:
    def change(connection: Connection) -> Record:
        operator_queries.set_tenant_models(connection, name, **changes)
        tenant = find_tenant(connection, name)
        return {
            "tenant": tenant.name,
            "allow_all_models": tenant.allow_all_models,
            "models": tenant.models,
        }

    return change


def _key_change(reference: str, changes: ModelChanges) -> Callable[[Connection], Record]:
    def change(connection: Connection) -> Record:
        prefix = find_key(connection, reference).prefixes[0]
        operator_queries.set_key_models(connection, prefix, **changes)
        key = find_key(connection, prefix)
        return {
            "prefix": prefix,
            "tenant": key.tenant,
            "name": key.name,
            "allow_all_models": key.allow_all_models,
            "models": key.models,
        }

    return change


def _model_record(name: str, listing: Mapping[str, Any]) -> Record:
    return {
        "name": name,
        "size": listing.get("size"),
        "digest": listing.get("digest"),
        "modified_at": listing.get("modified_at"),
        "details": listing.get("details", {}),
        "backends": listing["backends"],
    }


def _tell_of(owner: Tenant, installed: set[str]) -> None:
    if owner.status is not Status.ACTIVE:
        note(f"note: the tenant {owner.name!r} is {owner.status.value}, so its keys are refused")
    missing = sorted(_names_of(owner) - installed)
    if missing and not owner.allow_all_models:
        note(f"note: allowed, but not installed: {', '.join(missing)}")


def _names_of(tenant: Tenant) -> set[str]:
    return {name for name in map(canonical_name, tenant.models) if name is not None}
