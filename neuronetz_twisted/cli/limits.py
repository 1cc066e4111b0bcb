"""Limits and budgets: what is set for a tenant or for one of its keys (SPEC 7, 11)."""

from collections.abc import Callable, Mapping

import click
from attrs import frozen
from sqlalchemy import Connection

from neuronetz_twisted.cli.options import (
    INHERIT,
    Amount,
    budget_options,
    existing,
    json_option,
    key_reference,
    limit_options,
)
from neuronetz_twisted.cli.output import Record, note, show_one
from neuronetz_twisted.cli.records import find_key, find_tenant
from neuronetz_twisted.cli.session import database, loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.stores.limit_queries import set_key_limits, set_tenant_limits
from neuronetz_twisted.stores.records import Tenant

RATES = {"rpm": "rpm", "tpm": "tpm", "concurrent": "concurrent"}
CAPS = {"body": "max_body_bytes", "predict": "max_predict"}
BUDGETS = {"day": "budget_day", "month": "budget_month", "total": "budget_total"}


@frozen
class LimitChanges:
    """What options change: limits by name, None where one is not set any more."""

    values: Mapping[str, int | None]

    def as_limits(self) -> Limits:
        """The limits of a tenant or a key that is new."""
        return Limits(**self.values)

    def tell(self, settings: Settings, owner: Tenant, *, of_key: bool) -> None:
        """Say what else there is to know of these values; `owner` is the tenant as it is now."""
        ceilings = {
            "max_body_bytes": ("MAX_REQUEST_BODY_BYTES", settings.max_request_body_bytes),
            "max_predict": ("MAX_NUM_PREDICT", settings.max_num_predict),
        }
        for name, (variable, ceiling) in ceilings.items():
            if (self.values.get(name) or 0) > ceiling:
                note(f"note: {variable} is {ceiling}, and no key or tenant can have more")
        alone = [
            name
            for name in RATES
            if of_key and self.values.get(name) is not None and getattr(owner.limits, name) is None
        ]
        if alone:
            note(
                f"note: the tenant {owner.name!r} has no {', '.join(alone)} of its own: its keys "
                "without one share the default, and what this key takes counts there too"
            )


def changes_of(amounts: Mapping[str, Amount], *, of_key: bool) -> LimitChanges:
    """What options mean. Raises `click.UsageError` for a tenant that is to inherit."""
    given = {name: value for name, value in amounts.items() if value is not None}
    if not of_key and INHERIT in given.values():
        raise click.UsageError("only a key can inherit")
    values = {name: value if isinstance(value, int) else None for name, value in given.items()}
    return LimitChanges(values)


def in_words(record: Record, names: Mapping[str, str]) -> str | None:
    """Those of a tenant's or key's limits that are set, in one cell of a table."""
    words = [f"{word} {record[name]}" for word, name in names.items() if record[name] is not None]
    return ", ".join(words) or None


_tenant_option = click.option("--tenant", callback=existing, help="For all keys of this tenant.")
_key_option = click.option(
    "--key", "reference", callback=key_reference, help="For the key of this prefix instead."
)


@click.command()
@_tenant_option
@_key_option
@limit_options
@json_option
def set_limits(
    *, tenant: str | None, reference: str | None, as_json: bool, **amounts: Amount
) -> None:
    """Set limits of a tenant or a key, on every gateway within a second.

    Both levels hold. "none" unsets a value, and so does "inherit" for a key: then the tenant's
    holds alone, or the default where that has none either.
    """
    _set(tenant, reference, amounts, as_json=as_json)


@click.command()
@_tenant_option
@_key_option
@budget_options
@json_option
def set_budget(
    *, tenant: str | None, reference: str | None, as_json: bool, **amounts: Amount
) -> None:
    """Set how many tokens a tenant or a key may use, on every gateway within a second.

    Both levels hold. "none" unsets a budget, and so does "inherit" for a key: then the tenant's
    holds alone. A budget that nobody has set is unlimited.
    """
    _set(tenant, reference, amounts, as_json=as_json)


def _set(
    tenant: str | None, reference: str | None, amounts: Mapping[str, Amount], *, as_json: bool
) -> None:
    if (tenant is None) == (reference is None):
        raise click.UsageError("say whose: either --tenant or --key")
    changes = changes_of(amounts, of_key=tenant is None)
    if not changes.values:
        raise click.UsageError("say what: at least one limit")
    settings = loaded().settings
    change = _key_change(str(reference), changes) if tenant is None else _change(tenant, changes)
    with database(settings) as operator:
        owner, record = operator.run(change)
    changes.tell(settings, owner, of_key=tenant is None)
    show_one(record, as_json=as_json)


def _change(name: str, changes: LimitChanges) -> Callable[[Connection], tuple[Tenant, Record]]:
    def change(connection: Connection) -> tuple[Tenant, Record]:
        set_tenant_limits(connection, find_tenant(connection, name).id, changes.values)
        tenant = find_tenant(connection, name)
        return tenant, {"tenant": tenant.name, **tenant.limits.as_row()}

    return change


def _key_change(
    reference: str, changes: LimitChanges
) -> Callable[[Connection], tuple[Tenant, Record]]:
    def change(connection: Connection) -> tuple[Tenant, Record]:
        key = find_key(connection, reference)
        set_key_limits(connection, key.id, changes.values)
        owner = find_tenant(connection, key.tenant)
        key = find_key(connection, key.prefixes[0])
        named = {"prefix": key.prefixes[0], "tenant": key.tenant, "name": key.name}
        return owner, {**named, **key.limits.as_row()}

    return change
