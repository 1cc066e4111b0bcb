"""What passes between the parts of a spool, as values."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from attrs import frozen

from neuronetz_twisted.audit.directory import Segment
from neuronetz_twisted.audit.segments import Kind


class Pin(Protocol):
    """An intent without completion: it holds the segment that has its last copy.

    `reserve` is the room that is set aside for what is still to come of it, in bytes.
    """

    segment: Segment | None
    reserve: int


def unpin(pin: Pin) -> None:
    """Let go of the segment that a pin holds."""
    segment, pin.segment = pin.segment, None
    if segment is not None:
        segment.pins.discard(pin)


class Head(NamedTuple):
    """Where a chain stands."""

    seq: int
    chain_hash: bytes


class Entry(NamedTuple):
    """What is appended: for a `FINAL` or `NOTE` the record, else the payload of the frame.

    `pin` is the intent that it is a copy of, or the end of.
    """

    kind: Kind
    content: bytes
    pin: Pin | None


@frozen
class Extent:
    """What may be read of a segment: up to `end`, which moves where it `is_current`."""

    number: int
    path: Path
    first_seq: int
    end: int
    is_current: bool = False


@frozen
class Batch:
    """What is being synced: segments with how far they were written, and what is in that part."""

    segments: Sequence[tuple[Segment, int]]
    entries: list[Entry]
    head: Head

    @property
    def fds(self) -> list[int]:
        """The files, oldest first."""
        return [segment.file for segment, _ in self.segments]
