"""What is recorded of a request, as flat fields of plain values. Pure.

The fields are those of SPEC 9; none can hold a key, a prompt or an answer (SPEC 2, R6). Text is
made fit for any store here, where it is captured: one NUL would else hold up all that is behind it.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from neuronetz_twisted.limits import Grant
from neuronetz_twisted.vocabulary import (
    Arrival,
    Call,
    End,
    ModelInfo,
    Outcome,
    Principal,
    Ticket,
)

Event = dict[str, str | int | float | bool | None]

MAX_RECORD = 8192
"""No event is larger than this as bytes: its texts are cut, and all else is short."""

MAX_USER_AGENT = 200
MAX_CLIENT_ID = 128
MAX_ADDRESS = 64
MAX_MODEL = 512
MAX_BACKEND = 128
MAX_ROUTE = 64
MAX_OUTCOME = 128

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHORT = 0x100
_DAY_S = 86_400
_US = 1_000_000


def plain(text: str, limit: int) -> str:
    r"""Give a text of at most `limit` characters that every store takes.

    Controls (C0, C1) and lone surrogates are written out: `\x00`, `\ud800`. PostgreSQL refuses
    the first of them, UTF-8 has none of the last, and a terminal obeys the others.
    """
    text = text[:limit]
    return text if text.isprintable() else _UNFIT.sub(_written_out, text)[:limit]


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < _SHORT else f"\\u{code:04x}"


def day_of(at: int) -> str:
    """The UTC day of a moment in microseconds since 1970, as `2026-11-23`."""
    return _name_of_day(at // (_DAY_S * _US))


@lru_cache(maxsize=4)
def _name_of_day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY_S, UTC).date().isoformat()


def record_of(event: Event) -> bytes:
    """The event as the bytes that are kept, chained and verified."""
    return orjson.dumps(event)


def intent_event(call: Call, principal: Principal, model: ModelInfo, grant: Grant) -> Event:
    """What is known of a call before its first byte goes to a model host.

    Its day is the one that it is charged to, which Redis decides, not our clock.
    """
    return _arrived(call.arrival, principal) | {
        "day": grant.day,
        "dialect": call.dialect,
        "model": plain(model.name, MAX_MODEL),
        "reservation": grant.reservation,
    }


def call_event(
    ticket: Ticket, outcome: Outcome, duration_s: float, *, prompt_log: str | None = None
) -> Event:
    """The event of an admitted call; `prompt_log` is what became of its text, if that is asked.

    It is charged what it used. Where nobody knows what became of it, that is its reservation, as
    if the process had died (SPEC 9).
    """
    usage = outcome.usage
    unknown = outcome.end is End.FAILED
    used = usage.prompt_tokens + usage.completion_tokens
    event: Event = {
        **ticket.intent,
        "backend": None if outcome.backend is None else plain(outcome.backend, MAX_BACKEND),
        "status": outcome.status,
        "outcome": plain(outcome.word, MAX_OUTCOME),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "estimated": usage.estimated or unknown,
        "charged": _reserved(ticket) if unknown else used,
        "count": 1,
        "bytes_sent": outcome.bytes_sent,
        "first_byte_ms": _ms(outcome.first_byte_after),
        "duration_ms": _ms(duration_s),
    }
    if prompt_log is not None:
        event["prompt_log"] = prompt_log
    return event


def charge_of(event: Event) -> int:
    """What a final event charges, in tokens."""
    charged = event["charged"]
    return charged if isinstance(charged, int) else 0


def _reserved(ticket: Ticket) -> int:
    """The last reservation of a call, as its record has it."""
    extended = ticket.slot.tokens
    return ticket.grant.reservation if extended is None else extended


def arrival_event(
    arrival: Arrival, status: int, outcome: str, duration_s: float, bytes_sent: int = 0
) -> Event:
    """The event of a request that reached no model host: refused, or answered from a list."""
    return _arrived(arrival, arrival.principal) | {
        "status": status,
        "outcome": plain(outcome, MAX_OUTCOME),
        "charged": 0,
        "count": 1,
        "bytes_sent": bytes_sent,
        "duration_ms": _ms(duration_s),
    }


def _arrived(arrival: Arrival, principal: Principal | None) -> Event:
    client_id = arrival.client_id
    return {
        "id": arrival.id,
        "at": arrival.at,
        "day": day_of(arrival.at),
        "client_id": None if client_id is None else plain(client_id, MAX_CLIENT_ID),
        "route": plain(arrival.route, MAX_ROUTE),
        "address": plain(arrival.address, MAX_ADDRESS),
        "user_agent": plain(arrival.user_agent, MAX_USER_AGENT),
        "tenant": principal.tenant if principal else None,
        "key": principal.key if principal else None,
        "prefix": principal.prefix if principal else None,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 10_000) / 10
