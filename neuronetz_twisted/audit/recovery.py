"""What the segments of a writer that is gone say, taken together. Pure.

They are given one after the other and nothing of them is kept but the calls without completion, so
that a spool may be larger than the memory. Sequence numbers and hashes are taken as they stand in
the files: behind a damaged record the chain goes on as its writer wrote it, and whoever verifies it
finds the gap.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

import orjson
from attrs import frozen

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.entries import Head
from neuronetz_twisted.audit.segments import LINKS, Kind, Link, Scan, lease_of, link_of


@frozen
class Left:
    """A call without completion: its intent as written, and its last reservation in tokens."""

    intent: bytes
    reservation: int


def first_seq_in(scan: Scan) -> int | None:
    """The first sequence number of a segment whose header is damaged; None where it has none."""
    return min((link.seq for link in _links(scan)), default=None)


class Recovery:
    """Reads the begun segments of a writer in their order, each once.

    `first_seqs` are the sequence numbers with which they begin, None where a segment says nothing
    of it. What an earlier one has from a later one's beginning on does not count.
    """

    def __init__(self, writer: UUID, first_seqs: Sequence[int | None]) -> None:
        self._untils = _untils(first_seqs)
        known = [seq for seq in first_seqs if seq is not None]
        self._base = self._head = Head(min(known, default=1) - 1, chain.start(writer))
        self._read = 0
        self._intents: dict[UUID, bytes] = {}
        self._leases: dict[UUID, int] = {}

    @property
    def base(self) -> Head:
        """Where the chain stood before the files."""
        return self._base

    @property
    def head(self) -> Head:
        """Where the chain stands behind what was read."""
        return self._head

    @property
    def first_seqs(self) -> Sequence[int]:
        """Of each segment the first sequence number that counts in it, when all were read."""
        # What is behind the last final begins with the next one.
        ends = [self._head.seq + 1 if until is None else until for until in self._untils]
        return [self._base.seq + 1, *ends[:-1]] if ends else []

    @property
    def left(self) -> Sequence[Left]:
        """The calls without completion, in the order of their admission."""
        return [
            Left(intent, self._leases[request] if request in self._leases else _tokens_in(intent))
            for request, intent in self._intents.items()
        ]

    def read(self, scan: Scan) -> None:
        """Take in the next segment.

        Raises `ValueError` or `KeyError` for records that are none of ours.
        """
        until = self._untils[self._read]
        if scan.header is not None:
            self._head = Head(scan.header.first_seq - 1, scan.header.chain_hash)
            if not self._read:
                self._base = self._head
        self._read += 1
        for link in _links(scan, until):
            self._head = Head(link.seq, link.chain_hash)
        self._follow_calls(scan, until)

    def _follow_calls(self, scan: Scan, until: int | None) -> None:
        for record in scan.records:
            if record.kind is Kind.INTENT:
                self._intents.setdefault(_id_in(record.payload), record.payload)
            elif record.kind is Kind.LEASE:
                request, tokens = lease_of(record.payload)
                self._leases[request] = tokens
        for link in _links(scan, until, (Kind.FINAL,)):
            request = _id_in(link.record)
            self._intents.pop(request, None)
            self._leases.pop(request, None)


def _untils(first_seqs: Sequence[int | None]) -> list[int | None]:
    """For each segment the sequence number with which the later ones begin, if they have any."""
    untils: list[int | None] = []
    later: int | None = None
    for first_seq in reversed(first_seqs):
        untils.append(later)
        later = min((seq for seq in (first_seq, later) if seq is not None), default=None)
    return untils[::-1]


def _links(scan: Scan, until: int | None = None, kinds: Sequence[Kind] = LINKS) -> Iterator[Link]:
    for record in scan.records:
        if record.kind in kinds:
            link = link_of(record.payload)
            if until is None or link.seq < until:
                yield link


def _id_in(event: bytes) -> UUID:
    return UUID(orjson.loads(event)["id"])


def _tokens_in(intent: bytes) -> int:
    return int(orjson.loads(intent)["reservation"])
