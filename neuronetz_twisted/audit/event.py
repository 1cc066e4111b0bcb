"""What is recorded of a call, as flat fields of plain values. Pure.

The fields are those of SPEC 9; none can hold a key, a prompt or an answer (SPEC 2, R6).
"""

from neuronetz_twisted.vocabulary import Arrival, Outcome, Principal, Ticket

Event = dict[str, str | int | float | bool | None]

MAX_USER_AGENT = 200


def call_event(ticket: Ticket, outcome: Outcome, duration_s: float) -> Event:
    """The event of an admitted call."""
    call, usage = ticket.call, outcome.usage
    return _arrived(call.arrival, ticket.principal) | {
        "dialect": call.dialect,
        "model": ticket.model.name,
        "backend": outcome.backend,
        "status": outcome.status,
        "outcome": outcome.word,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "estimated": usage.estimated,
        "bytes_sent": outcome.bytes_sent,
        "first_byte_ms": _ms(outcome.first_byte_after),
        "duration_ms": _ms(duration_s),
    }


def arrival_event(
    arrival: Arrival, status: int, outcome: str, duration_s: float, bytes_sent: int = 0
) -> Event:
    """The event of a request that reached no model host: refused, or answered from a list."""
    return _arrived(arrival, arrival.principal) | {
        "status": status,
        "outcome": outcome,
        "bytes_sent": bytes_sent,
        "duration_ms": _ms(duration_s),
    }


def _arrived(arrival: Arrival, principal: Principal | None) -> Event:
    return {
        "id": arrival.id,
        "client_id": arrival.client_id,
        "route": arrival.route,
        "address": arrival.address,
        "user_agent": arrival.user_agent[:MAX_USER_AGENT],
        "tenant": principal.tenant if principal else None,
        "key": principal.key if principal else None,
        "prefix": principal.prefix if principal else None,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 10_000) / 10
