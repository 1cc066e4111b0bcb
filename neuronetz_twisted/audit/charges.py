"""Which admitted calls a batch has, and what they are charged to. Pure.

Redis counts such a call as pending until it is told that the ledger has it (SPEC 7). Refusals,
lists, and minutes of them were never pending: they name no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

import orjson

from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.ledger import Flushed, LedgerLine


class Charge(NamedTuple):
    """Whose calls they are, and the UTC day that they are charged to."""

    tenant: UUID
    key: UUID
    day: date


def admitted_calls(finals: Iterable[Final]) -> dict[Charge, list[str]]:
    """The ids of the admitted calls among these, in their order.

    What is not as we write it is passed over: its pending ends by itself.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for final in finals:
        try:
            event = orjson.loads(final.record)
            place, request_id = (event["tenant"], event["key"], event["day"]), event["id"]
            if type(event["model"]) is type(request_id) is str:
                found.setdefault(place, []).append(request_id)
        except (ValueError, LookupError, TypeError):
            continue
    calls: dict[Charge, list[str]] = {}
    for place, ids in found.items():
        charge = _charge(*place)
        if charge is not None:
            calls.setdefault(charge, []).extend(ids)
    return calls


def flushed(
    calls: Mapping[Charge, Sequence[str]], lines: Mapping[UUID, Sequence[LedgerLine]]
) -> list[Flushed]:
    """What there is to tell of each tenant, with the `lines` of the ledger that are its own."""
    ids: dict[UUID, list[str]] = {}
    for charge, own in calls.items():
        ids.setdefault(charge.tenant, []).extend(own)
    return [Flushed(str(tenant), own, lines.get(tenant, ())) for tenant, own in ids.items()]


def _charge(tenant: object, key: object, day: object) -> Charge | None:
    if not (isinstance(tenant, str) and isinstance(key, str) and isinstance(day, str)):
        return None
    try:
        return Charge(UUID(tenant), UUID(key), date.fromisoformat(day))
    except ValueError:
        return None
