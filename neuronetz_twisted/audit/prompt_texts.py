"""What the prompt log takes of a call, and how much of it a tenant may keep. Pure (SPEC 9)."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from attrs import define, field, frozen

from neuronetz_twisted.vocabulary import Outcome, Ticket

MAX_REQUEST_BYTES = 64 * 1024
"""What is kept of one request, in bytes of its JSON text."""

_SAID_BY_CLIENT = ("system", "prompt", "suffix", "input", "messages")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class PromptText:
    """What was said in one call, on its way into the prompt log (SPEC 9). `text` is JSON."""

    id: UUID
    tenant_id: UUID
    key_id: UUID
    started_at: datetime
    expires_at: datetime
    text: bytes = field(repr=False)


def text_of_call(ticket: Ticket, outcome: Outcome, retention: timedelta) -> PromptText:
    """What client and model have said, to be kept for `retention` from the call's arrival.

    The request is a JSON text of its own, since one that is cut is JSON no more.
    """
    call, principal = ticket.call, ticket.principal
    body = call.request.body
    said = {name: body[name] for name in _SAID_BY_CLIENT if name in body}
    if "messages" in said:
        said["messages"] = [_without_images(message) for message in said["messages"]]
    request = orjson.dumps(said)
    answer = outcome.answer
    text = {
        "request": request[:MAX_REQUEST_BYTES].decode("utf-8", "ignore"),
        "request_cut": len(request) > MAX_REQUEST_BYTES,
        "answer": None if answer is None else orjson.Fragment(answer),
    }
    started_at = _EPOCH + timedelta(microseconds=call.arrival.at)
    return PromptText(
        id=UUID(call.id),
        tenant_id=principal.tenant_id,
        key_id=principal.key_id,
        started_at=started_at,
        expires_at=started_at + retention,
        text=orjson.dumps(text),
    )


def _without_images(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message's text: of one image alone there would be no room for any."""
    return {name: value for name, value in message.items() if name != "images"}


@define
class DailyQuota:
    """How many texts and bytes each tenant may keep per day (UTC).

    A gateway counts what it takes itself, and learns now and then what all of them have kept; in
    between, several may keep a little more than the quota.
    """

    max_texts: int
    max_bytes: int
    _day: datetime = field(default=_EPOCH, init=False)
    _texts: Counter[UUID] = field(factory=Counter, init=False)
    _bytes: Counter[UUID] = field(factory=Counter, init=False)

    def take(self, tenant_id: UUID, size: int, day: datetime) -> bool:
        """Count a text of `size` bytes; False where it is too much for this day."""
        self._turn_to(day)
        if self._texts[tenant_id] >= self.max_texts or self._bytes[tenant_id] > (
            self.max_bytes - size
        ):
            return False
        self._texts[tenant_id] += 1
        self._bytes[tenant_id] += size
        return True

    def seen(self, usage: Mapping[UUID, tuple[int, int]], day: datetime) -> None:
        """Take note of the texts and bytes that all gateways have kept on this day."""
        self._turn_to(day)
        for tenant_id, (texts, size) in usage.items():
            self._texts[tenant_id] = max(self._texts[tenant_id], texts)
            self._bytes[tenant_id] = max(self._bytes[tenant_id], size)

    def _turn_to(self, day: datetime) -> None:
        if day != self._day:
            self._day = day
            self._texts.clear()
            self._bytes.clear()


def day_at(seconds: float) -> datetime:
    """The first moment of a UTC day; `seconds` since 1970 is one of it."""
    return _EPOCH + timedelta(days=seconds // 86_400)
