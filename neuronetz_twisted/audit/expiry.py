"""Whether the records of an old month are what was written, before they are signed away. Pure.

What retention signs is no longer looked at by `audit verify`, so nothing is signed because the
table says so: the owner of the database can give any row an old date. Each row must say what its
record says, each record must follow from the one before it, and its own time must be old (SPEC 9).
Who forges a record breaks every link behind it, up to one that a known key has signed.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from attrs import define, frozen

from neuronetz_twisted.audit.anchors import authentic
from neuronetz_twisted.audit.chain import link, start
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.audit.verify import Columns, Row

_HASH_BYTES = 32
_STRAY = "does not follow from the one before it"


class NotAsWritten(Exception):  # noqa: N818 - it says what was found
    """A row is not what was written, or not old: its month stays, and nothing of it is signed."""

    def __init__(self, writer: UUID, seq: int, why: str) -> None:
        super().__init__(f"record {seq} of writer {writer} {why}")


@frozen(kw_only=True)
class Trim:
    """What may be signed away of a writer's records: `first` to `last`, whose hash is given."""

    writer: UUID
    first: int
    last: int
    last_hash: bytes


@define(kw_only=True)
class Span:
    """The records `first` to `last` of one writer, without a gap; `last_hash` is that of the last.

    A writer may have several in one month: records are numbered when they end and filed under the
    month in which they began. `record` and `chain_hash` are those of the first. All that is signed
    comes from one reading: the owner can change rows between two.
    """

    writer: UUID
    first: int
    last: int
    last_hash: bytes
    record: bytes
    chain_hash: bytes

    @classmethod
    def beginning(cls, writer: UUID, seq: int, chain_hash: bytes, record: bytes) -> "Span":
        """A span of one record."""
        return cls(
            writer=writer,
            first=seq,
            last=seq,
            last_hash=chain_hash,
            record=record,
            chain_hash=chain_hash,
        )

    def takes(self, writer: UUID, seq: int, chain_hash: bytes, record: bytes) -> bool:
        """Go on by this record, if it is the next one. Raises `NotAsWritten` if it only says so."""
        if writer != self.writer or seq > self.last + 1:
            return False
        if seq == self.last:
            raise NotAsWritten(writer, seq, "is there twice")
        if not _follows(self.last_hash, record, chain_hash):
            raise NotAsWritten(writer, seq, _STRAY)
        self.last, self.last_hash = seq, chain_hash
        return True

    def part(self, rows: Iterable[Row], last: int) -> Iterator[Row]:
        """Those of the rows that are of this span, up to `last`."""
        return (row for row in rows if row[0] == self.writer and self.first <= row[1] <= last)

    def trim(self, proof: Signed, previous: bytes | None) -> Trim:
        """All of it, up to which or further the statement `proof` goes.

        `previous` is the hash of the record before the first. It may be missing, which `audit
        verify` finds for ever. Raises `NotAsWritten`.
        """
        previous = start(self.writer) if self.first == 1 else previous
        if previous is not None and not _follows(previous, self.record, self.chain_hash):
            raise NotAsWritten(self.writer, self.first, _STRAY)
        if proof.seq <= self.last and (proof.seq, proof.chain_hash) != (self.last, self.last_hash):
            raise NotAsWritten(self.writer, proof.seq, "is not the one that was signed")
        return Trim(writer=self.writer, first=self.first, last=self.last, last_hash=self.last_hash)


@frozen
class Period:
    """From `starts` on, before `ends`: when all records of the month must have begun."""

    starts: datetime
    ends: datetime


def spans_of(rows: Iterable[Row], columns: Sequence[str], period: Period) -> list[Span]:
    """What rows hold that come by writer and number, `columns` being their names.

    Raises `NotAsWritten` for the first that is not as it was written, or did not begin in `period`.
    """
    compare = Columns(columns, letters=None)
    begun = columns.index("started_at")
    spans: list[Span] = []
    for row in rows:
        writer, seq = row[:2]
        if wrong := compare.wrong(row):
            raise NotAsWritten(writer, seq, f"says something else than its {', '.join(wrong)}")
        if not period.starts <= row[begun] < period.ends:
            raise NotAsWritten(
                writer, seq, f"is of {row[begun].isoformat()}: too young, or of another month"
            )
        if not (spans and spans[-1].takes(*row[:4])):
            spans.append(Span.beginning(*row[:4]))
    return spans


def proof_of(
    writer: UUID, statements: Iterable[Signed], trusted: Collection[bytes]
) -> Signed | None:
    """The first statement on a writer that a trusted key has signed; None where there is none."""
    return next(_proofs(writer, statements, trusted), None)


def _proofs(
    writer: UUID, statements: Iterable[Signed], trusted: Collection[bytes]
) -> Iterator[Signed]:
    for signed in statements:
        statement = authentic(signed) if signed.signer in trusted else None
        if statement is not None and statement.kind != "trim" and statement.writer == writer:
            yield signed


def _follows(previous: bytes, record: bytes, chain_hash: bytes) -> bool:
    # Of another length it could take away the beginning of the record that was hashed.
    return len(previous) == _HASH_BYTES and link(previous, record) == chain_hash
