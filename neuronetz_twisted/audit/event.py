"""What is recorded of a call, as flat fields of plain values. Pure.

The fields are those of SPEC 9; none can hold a key, a prompt or an answer (SPEC 2, R6).
"""

from attrs import frozen

from neuronetz_twisted.vocabulary import Outcome, Principal, Ticket

Event = dict[str, str | int | float | bool | None]

MAX_USER_AGENT = 200


@frozen(kw_only=True)
class Arrival:
    """What is known of a request before anything is decided; `received` as in `Call`."""

    id: str
    client_id: str | None
    address: str
    user_agent: str
    route: str
    received: float
    principal: Principal | None = None


def call_event(ticket: Ticket, outcome: Outcome, duration_s: float) -> Event:
    """The event of an admitted call."""
    call = ticket.call
    return {
        "id": call.id,
        "client_id": call.client_id,
        "route": call.route,
        "address": call.address,
        "user_agent": call.user_agent[:MAX_USER_AGENT],
        "dialect": call.dialect,
        "model": ticket.model.name,
        "backend": outcome.backend,
        **_who(ticket.principal),
        "status": outcome.status,
        "outcome": outcome.word,
        "prompt_tokens": outcome.usage.prompt_tokens,
        "completion_tokens": outcome.usage.completion_tokens,
        "estimated": outcome.usage.estimated,
        "bytes_sent": outcome.bytes_sent,
        "first_byte_ms": _ms(outcome.first_byte_after),
        "duration_ms": _ms(duration_s),
    }


def arrival_event(
    arrival: Arrival, status: int, outcome: str, duration_s: float, bytes_sent: int = 0
) -> Event:
    """The event of a request that reached no model host: refused, or answered from a list."""
    return {
        "id": arrival.id,
        "client_id": arrival.client_id,
        "route": arrival.route,
        "address": arrival.address,
        "user_agent": arrival.user_agent[:MAX_USER_AGENT],
        **_who(arrival.principal),
        "status": status,
        "outcome": outcome,
        "bytes_sent": bytes_sent,
        "duration_ms": _ms(duration_s),
    }


def _who(principal: Principal | None) -> Event:
    if principal is None:
        return {"tenant": None, "key": None, "prefix": None}
    return {
        "tenant": str(principal.tenant_id),
        "key": str(principal.key_id),
        "prefix": principal.prefix,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
