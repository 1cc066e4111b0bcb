"""The file format of the spool. Pure: bytes in, values out.

A segment is a header and frames behind it; what was never written is zeros. Numbers are little
endian.

    header  magic 7, version 1, writer 16, first sequence u64, chain hash before it 32,
            segment number u64, CRC32C u32 of all that, zeros up to 80 bytes
    frame   length of the payload u32, CRC32C u32 of kind and payload, kind u8, payload

    INTENT  the record as JSON: a call was admitted
    LEASE   request id 16, tokens u64: its whole reservation from now on
    FINAL   the record as JSON, sequence u64, chain hash 32: it ends the intent with the same id
    NOTE    the same, of a request that had no intent

Where a later segment begins with a sequence that an earlier one has too, the later one counts: a
file that could not be written or synced ends, and what may be lost is written again behind it.
"""

import re
from collections.abc import Collection
from enum import IntEnum
from struct import Struct
from typing import NamedTuple
from uuid import UUID

from attrs import frozen
from crc32c import crc32c

from neuronetz_twisted.audit.event import MAX_RECORD

MAGIC = b"NZSPOOL"
VERSION = 1
HEADER_BYTES = 80
_HEADER = Struct("<7sB16sQ32sQ")
_CRC = Struct("<I")
_FRAME = Struct("<II")
_LEASE = Struct("<16sQ")
_LINK = Struct("<Q32s")

FRAME_BYTES = _FRAME.size + 1
LINK_BYTES = _LINK.size
LEASE_FRAME_BYTES = FRAME_BYTES + _LEASE.size
MAX_FRAME = FRAME_BYTES + MAX_RECORD + LINK_BYTES

# What a frame can begin with: a length of 1 to 2^14, any CRC, a kind. JSON holds no NUL, so the
# inside of a record is never taken for one.
_BEGINNING = re.compile(
    rb"(?=(?:[^\x00][\x00-\x3f]|\x00[\x01-\x3f])\x00\x00.{4}[\x01-\x04])", re.DOTALL
)


class Kind(IntEnum):
    """What a frame holds."""

    INTENT = 1
    LEASE = 2
    FINAL = 3
    NOTE = 4


LINKS = (Kind.FINAL, Kind.NOTE)
"""What is in the chain."""

# By number, since the hash of an enumeration's member is Python's own and slow.
_KINDS = {kind.value: kind for kind in Kind}
# How long the payload of each may be.
_LENGTHS: dict[int, range] = {
    Kind.INTENT.value: range(1, MAX_RECORD + 1),
    Kind.LEASE.value: range(_LEASE.size, _LEASE.size + 1),
    Kind.FINAL.value: range(LINK_BYTES, LINK_BYTES + MAX_RECORD + 1),
    Kind.NOTE.value: range(LINK_BYTES, LINK_BYTES + MAX_RECORD + 1),
}
_NONE = range(0)
_KIND_BYTES = tuple(bytes([number]) for number in range(1 + max(_KINDS)))


class NotASegment(Exception):  # noqa: N818 - states what was read
    """The file is of another format, or of a version that this program does not know."""


@frozen
class Header:
    """What a segment says of itself: whose it is, and where in the chain it begins.

    `first_seq` is the sequence number of the first final that will stand in it, `chain_hash` the
    hash before that.
    """

    writer: UUID
    first_seq: int
    chain_hash: bytes
    number: int


# Read by the thousand while calls go on: a tuple is made in a third of the time.
class Record(NamedTuple):
    """One frame that is whole; `offset` and `end` are in bytes from the file's beginning."""

    kind: Kind
    payload: bytes
    offset: int
    end: int


class Link(NamedTuple):
    """The payload of a `FINAL` or `NOTE`."""

    record: bytes
    seq: int
    chain_hash: bytes


@frozen
class Span:
    """Bytes from `start` up to `end` that are no valid record, with valid ones behind them."""

    start: int
    end: int


@frozen(kw_only=True)
class Scan:
    """What a segment holds.

    `header` is None where it is damaged or was never written. `end` is where the last valid record
    ends. `torn_at` is set where what follows is neither a record nor zeros: a write that was cut.
    `damaged` are the spans with valid records behind them, which nobody may cut.
    """

    header: Header | None
    records: tuple[Record, ...]
    end: int
    torn_at: int | None
    damaged: tuple[Span, ...]


def header(value: Header) -> bytes:
    """The first bytes of a segment."""
    head = _HEADER.pack(
        MAGIC, VERSION, value.writer.bytes, value.first_seq, value.chain_hash, value.number
    )
    return (head + _CRC.pack(crc32c(head))).ljust(HEADER_BYTES, b"\0")


def frame(kind: Kind, payload: bytes) -> bytes:
    """One frame, whole."""
    body = _KIND_BYTES[kind] + payload
    return _FRAME.pack(len(payload), crc32c(body)) + body


def lease(request_id: UUID, tokens: int) -> bytes:
    """The payload of a `LEASE`: the whole reservation of a request from now on, in tokens."""
    return _LEASE.pack(request_id.bytes, tokens)


def lease_of(payload: bytes) -> tuple[UUID, int]:
    """The request and the tokens of a `LEASE`."""
    request, tokens = _LEASE.unpack(payload)
    return UUID(bytes=request), tokens


def link(record: bytes, seq: int, chain_hash: bytes) -> bytes:
    """The payload of a `FINAL` or `NOTE`."""
    return record + _LINK.pack(seq, chain_hash)


def link_of(payload: bytes) -> Link:
    """The record, sequence number and hash of a `FINAL` or `NOTE`."""
    seq, chain_hash = _LINK.unpack_from(payload, len(payload) - LINK_BYTES)
    return Link(payload[:-LINK_BYTES], seq, chain_hash)


def header_of(data: bytes) -> Header | None:
    """The header at the beginning of `data`, None where it is damaged or was never written.

    Raises `NotASegment` for a header that is whole and not of this format.
    """
    if len(data) < HEADER_BYTES:
        return None
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if crc32c(data[: _HEADER.size]) != crc:
        return None
    magic, version, writer, first_seq, chain_hash, number = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise NotASegment(f"format {magic!r} version {version}, this program reads {VERSION}")
    return Header(UUID(bytes=writer), first_seq, chain_hash, number)


def scan(data: bytes) -> Scan:
    """Read a whole segment. Raises `NotASegment`."""
    return _scanned(header_of(data), data, HEADER_BYTES, 0, tuple(Kind))


def scan_links(data: bytes, offset: int) -> Scan:
    """Read the links in a part of a segment that begins with a frame at `offset` bytes.

    Other records are checked, and left out.
    """
    return _scanned(None, data, 0, offset, LINKS)


def _scanned(
    head: Header | None, data: bytes, start: int, offset: int, kinds: Collection[int]
) -> Scan:
    records: list[Record] = []
    damaged: list[Span] = []
    # Nothing begins in the zeros at the end, though the last record may end in some of them.
    used = len(data.rstrip(b"\0"))
    end = start
    while True:
        at, content = end, _content_at(data, end)
        if not content:
            at, content = _content_behind(data, end, used)
            if not content:
                break
            damaged.append(Span(offset + end, offset + at))
        end = at + _FRAME.size + len(content)
        if content[0] in kinds:
            records.append(Record(_KINDS[content[0]], content[1:], offset + at, offset + end))
    return Scan(
        header=head,
        records=tuple(records),
        end=offset + end,
        torn_at=offset + end if used > end else None,
        damaged=tuple(damaged),
    )


def _content_behind(data: bytes, start: int, used: int) -> tuple[int, bytes]:
    """Where the next frame begins if none stands at `start`, and its kind and payload."""
    for beginning in _BEGINNING.finditer(data, start, used):
        content = _content_at(data, beginning.start())
        if content:
            return beginning.start(), content
    return used, b""


def _content_at(data: bytes, at: int) -> bytes:
    """Kind and payload of the frame that begins here; empty where none does."""
    body = at + _FRAME.size
    if body >= len(data):
        return b""
    length, crc = _FRAME.unpack_from(data, at)
    if length not in _LENGTHS.get(data[body], _NONE):
        return b""
    content = data[body : body + 1 + length]
    return content if len(content) == 1 + length and crc32c(content) == crc else b""
