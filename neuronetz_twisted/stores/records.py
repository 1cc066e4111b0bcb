"""Tenants and keys as an operator sees them, and what the operator may have got wrong.

Each error's text is one plain sentence that the command line prints as it is (SPEC 11).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from attrs import frozen

from neuronetz_twisted.limits import Limits
from neuronetz_twisted.vocabulary import Scope, Status

# A sentence that lists what exists stays a sentence.
_LISTED = 20


@frozen(kw_only=True)
class Tenant:
    """One row of `list-tenants`."""

    id: UUID
    name: str
    status: Status
    allow_all_models: bool
    models: tuple[str, ...]
    limits: Limits
    epoch: int
    created_at: datetime


@frozen(kw_only=True)
class Key:
    """One row of `list-keys`; `prefixes` are those of its credentials, the newest first.

    `allow_all_models` and `models` of None mean "the tenant's".
    """

    id: UUID
    tenant: str
    name: str
    prefixes: tuple[str, ...]
    scopes: frozenset[Scope]
    status: Status
    allow_all_models: bool | None
    models: tuple[str, ...] | None
    limits: Limits
    prompt_logging: bool
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None


class RecordError(Exception):
    """What was asked for does not fit what is stored; the text says so in one sentence."""


class NameTaken(RecordError):  # noqa: N818 - states what is the case
    """Names are unique: of tenants everywhere, of keys within their tenant."""

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"a {noun} named {name!r} exists already")


class PrefixTaken(RecordError):  # noqa: N818 - states what is the case
    """A new key's random prefix is in use; the caller makes another."""

    def __init__(self) -> None:
        super().__init__("the new key's prefix is in use already")


class NoSuchTenant(RecordError):  # noqa: N818 - states what is the case
    """No tenant has that name; the text lists those that exist."""

    def __init__(self, name: str, existing: Sequence[str]) -> None:
        super().__init__(f"there is no tenant {name!r}; {_listing('there are', existing)}")


class NoSuchKey(RecordError):  # noqa: N818 - states what is the case
    """No key answers to that prefix, name or id; the text lists the prefixes that exist."""

    def __init__(self, reference: str, existing: Sequence[str]) -> None:
        super().__init__(f"there is no key {reference!r}; {_listing('there are', existing)}")


class AmbiguousKey(RecordError):  # noqa: N818 - states what is the case
    """Several tenants have a key of that name; the text lists their prefixes."""

    def __init__(self, name: str, prefixes: Sequence[str]) -> None:
        super().__init__(f"{name!r} names several keys; {_listing('say which of', prefixes)}")


class KeyIsRevoked(RecordError):  # noqa: N818 - states what is the case
    """Revocation is for good: such a key is neither enabled nor disabled again."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"the key {reference!r} is revoked for good; make a new one")


def _listing(lead: str, names: Sequence[str]) -> str:
    if not names:
        return "there are none yet"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{lead}: {', '.join(names[:_LISTED])}{more}"
