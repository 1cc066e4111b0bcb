"""One call in the spool, from its intent to its completion."""

from typing import Protocol
from uuid import UUID

from attrs import define, field

from neuronetz_twisted.audit.directory import Segment
from neuronetz_twisted.audit.event import MAX_RECORD
from neuronetz_twisted.audit.segments import (
    FRAME_BYTES,
    LEASE_FRAME_BYTES,
    LINK_BYTES,
    Kind,
    lease,
)
from neuronetz_twisted.audit.tape import Tape

# What a completion may be longer than its intent: backend, outcome and figures.
_GROWTH = 1024


class Keeper(Protocol):
    """The spool, as a slot knows it."""

    def extend(self, slot: "Slot", tokens: int) -> None:
        """Write the reservation of a slot."""
        ...

    def complete(self, slot: "Slot", record: bytes) -> None:
        """Write the end of a slot."""
        ...


@define(eq=False)
class Slot:
    """An `AuditSlot`: its intent is written, and there is room for its completion.

    `segment` has the last copy of the intent, until the completion is as durable as it shall be.
    """

    _keeper: Keeper
    request_id: str
    intent: bytes
    reserve: int = field(init=False)
    tokens: int | None = field(default=None, init=False)
    segment: Segment | None = field(default=None, init=False)
    is_complete: bool = field(default=False, init=False)

    @reserve.default
    def _bytes_to_come(self) -> int:
        """The intent once more in a later segment, with its reservation, and the completion."""
        size = len(self.intent)
        completion = min(size + _GROWTH, MAX_RECORD)
        return 2 * FRAME_BYTES + LEASE_FRAME_BYTES + LINK_BYTES + size + completion

    def extend(self, tokens: int) -> None:
        """Note the whole reservation of the call from now on, in tokens.

        Raises `AuditUnavailable` where that cannot be written; the reservation is then as it was.
        """
        self._keeper.extend(self, tokens)

    def complete(self, record: bytes) -> None:
        """Append the final record: it is kept whatever the disk does. Only the first one counts.

        Raises `ValueError` over 8192 bytes.
        """
        self._keeper.complete(self, record)


def carry(segment: Segment, tape: Tape) -> None:
    """Write the open intents of a segment once more, as far as they can be, so that it may go."""
    for slot in [pin for pin in segment.pins if isinstance(pin, Slot)]:
        if not slot.is_complete and not _carried(slot, tape):
            break


def _carried(slot: Slot, tape: Tape) -> bool:
    # The intent takes its pin along, so its reservation must be there first.
    if slot.tokens is not None:
        payload = lease(UUID(slot.request_id), slot.tokens)
        if not tape.append(Kind.LEASE, payload):
            return False
    return tape.append(Kind.INTENT, slot.intent, slot)
