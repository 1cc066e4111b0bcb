"""One tenant or one key, as an operator names it, or an error that says what exists."""

from sqlalchemy import Connection

from neuronetz_twisted.stores.operator_queries import list_keys, list_tenants
from neuronetz_twisted.stores.records import AmbiguousKey, Key, NoSuchKey, NoSuchTenant, Tenant


def find_tenant(connection: Connection, name: str) -> Tenant:
    """The tenant of that name. Raises NoSuchTenant."""
    tenants = {tenant.name: tenant for tenant in list_tenants(connection)}
    if name not in tenants:
        raise NoSuchTenant(name, sorted(tenants))
    return tenants[name]


def find_key(connection: Connection, reference: str) -> Key:
    """The key with that prefix, or `tenant/name`, or a name that is used once.

    Raises NoSuchKey, AmbiguousKey.
    """
    keys = list_keys(connection)
    found = [key for key in keys if reference in key.prefixes] or [
        key for key in keys if reference in (key.name, f"{key.tenant}/{key.name}")
    ]
    if not found:
        raise NoSuchKey(reference, sorted(prefix for key in keys for prefix in key.prefixes))
    if len(found) > 1:
        raise AmbiguousKey(reference, [key.prefixes[0] for key in found])
    return found[0]
