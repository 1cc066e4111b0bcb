"""Finds what was done to the records behind the gateway's back. Pure.

It is fed with the rows of `audit_log` in the order of writer and number, as they come, and with
what was signed (`anchors.py`). Each chain is computed anew: a row must follow from the one before
it, its columns must say what its record says, and at each checkpoint the chain must be where it
was signed to be. Rows behind the last checkpoint are only chained, not signed: a tail that somebody
made anew with all its hashes is not noticed before the next checkpoint (SPEC 9).
"""

from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from attrs import define

from neuronetz_twisted.audit.anchors import Anchors, SignedChain
from neuronetz_twisted.audit.breaks import Break, findings_of
from neuronetz_twisted.audit.chain import link, start
from neuronetz_twisted.audit.findings import Finding, What, counted, first_of_each
from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.storable import is_storable
from neuronetz_twisted.audit.tombstones import DEAD_LETTER, tombstone_of

LEADING = ("writer", "seq", "chain_hash", "record", "id", "outcome")
"""The columns with which every row begins; the others follow in any order."""

_WRITER, _SEQ, _HASH, _RECORD, _ID, _OUTCOME = range(len(LEADING))
# A row that was moved and the place it was moved from are among so many breaks.
_MOST_BREAKS = 64
# So many rows of one number are looked at.
_MOST_CLAIMS = 8

Row = Sequence[Any]


@define
class Tally:
    """What was read: `unsigned` rows are behind the last checkpoint of their chain.

    `foreign` rows are of writers whose signer is not known, so they were counted and not compared.
    """

    records: int = 0
    writers: int = 0
    unsigned: int = 0
    foreign: int = 0
    dead_letters: int = 0


class Columns:
    """Compares the columns of a row with what its record says.

    A tombstone is right where `letters` have its record, or where PostgreSQL would refuse that
    one: any other row was emptied by somebody. Every one is right where `letters` is None.
    """

    def __init__(self, names: Sequence[str], letters: Container[Final] | None) -> None:
        self._names = names
        self._letters = letters
        self._values_of = itemgetter(*names)

    def wrong(self, row: Row) -> list[str]:
        """The columns that say something else; all of them where there is no record."""
        final = Final(row[_WRITER], row[_SEQ], row[_HASH], row[_RECORD])
        values = tuple(row)
        if row[_OUTCOME] == DEAD_LETTER and self._is_dead(final, values):
            return []
        try:
            expected = self._values_of(row_of(final))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
            return list(self._names)
        if expected == values:
            return []
        pairs = zip(self._names, expected, values, strict=True)
        return [name for name, said, value in pairs if said != value]

    def _is_dead(self, final: Final, values: tuple[Any, ...]) -> bool:
        if self._values_of(tombstone_of(final)) != values:
            return False
        return self._letters is None or final in self._letters or not is_storable(final)


def verify(
    rows: Iterable[Row],
    columns: Sequence[str],
    anchors: Anchors,
    tally: Tally,
    letters: Container[Final] = (),
) -> Iterator[Finding]:
    """What is wrong with the rows, and what is missing.

    Rows come by writer and number; `columns` are the names of what they hold, `LEADING` first.
    `anchors` have gathered all that was signed, and `letters` are the records that were refused.
    What was read is added to `tally`.
    """
    compare = Columns(columns, letters)
    missing = dict(anchors.chains)
    foreign = anchors.foreign
    for writer, own in groupby(rows, itemgetter(_WRITER)):
        tally.writers += 1
        signed = missing.pop(writer, None)
        if signed is not None:
            yield from first_of_each(_Chain(writer, signed, compare, tally).check(own))
        elif writer in foreign:
            count = sum(1 for _ in own)
            tally.records += count
            tally.foreign += count
        else:
            yield _unsigned(writer, own, tally)
    for writer in sorted(missing):
        yield from _Chain(writer, missing[writer], compare, tally).check(())


def _unsigned(writer: UUID, rows: Iterable[Row], tally: Tally) -> Finding:
    """What is to be said of a chain for which nothing is signed: its first batch would be."""
    own = iter(rows)
    first = next(own)
    count = 1 + sum(1 for _ in own)
    tally.records += count
    return Finding(
        what="inserted",
        writer=writer,
        seq=first[_SEQ],
        row_id=first[_ID],
        text=f"nothing was ever signed for its writer, who has {count} here",
    )


class _Chain:
    """One writer's rows, as far as they have been read."""

    def __init__(self, writer: UUID, signed: SignedChain, columns: Columns, tally: Tally) -> None:
        self._writer = writer
        self._signed = signed
        self._trimmed = signed.trimmed()
        self._columns = columns
        self._tally = tally
        self._seq = 0
        self._row_id: UUID | None = None
        # None behind a gap: nobody knows what the next row follows.
        self._hash: bytes | None = start(writer)
        self._before: bytes | None = None
        # What the next row may follow instead, where there is doubt about the last one.
        self._doubtful: list[bytes] = []
        self._breaks: list[Break] = []
        self._signed_until = 0
        self._is_sound = True

    def check(self, rows: Iterable[Row]) -> Iterator[Finding]:
        """All that is wrong with the rows, and what is missing behind them."""
        for seq, claims in groupby(rows, itemgetter(_SEQ)):
            row, *rivals = islice(claims, _MOST_CLAIMS)
            self._tally.records += 1 + len(rivals)
            if seq < 1:
                yield self._found("inserted", row, "no record has such a number")
                continue
            if seq != self._seq + 1:
                yield from self._gap(seq)
            doubtful: list[bytes] = []
            if rivals:
                row, *others = yield from self._claims([row, *rivals])
                doubtful = [other[_HASH] for other in others]
            yield from self._step(row, doubtful)
        yield from self._end()

    def _gap(self, seq: int) -> Iterator[Finding]:
        """Rows are missing before `seq`."""
        yield from self._removed(seq - 1)
        self._hash = self._signed.hash_at(seq - 1)
        self._before = None
        self._doubtful = []

    def _removed(self, last: int) -> Iterator[Finding]:
        """What is missing up to `last`, but for what retention has dropped."""
        for first, end in self._signed.kept(self._seq + 1, last):
            self._is_sound = False
            yield Finding(
                what="removed",
                writer=self._writer,
                seq=first,
                text=f"{counted(first, end)} are not here",
            )

    def _claims(self, rows: list[Row]) -> Generator[Finding, None, list[Row]]:
        """Several rows have one number: gives the right one, and others that may be it."""
        point = self._signed.points.get(rows[0][_SEQ])
        fitting = [row for row in rows if self._follows(row) and not self._columns.wrong(row)]
        fitting.sort(key=lambda row: row[_HASH] != point)
        chosen = fitting or rows[:1]
        for row in rows:
            if row is not chosen[0]:
                yield self._found("inserted", row, "another row has the same number")
        return chosen

    def _step(self, row: Row, doubtful: list[bytes]) -> Iterator[Finding]:
        """Go on by one row."""
        if self._is_beyond(row[_SEQ]):
            self._is_sound = False
            yield self._found("inserted", row, "its chain had ended, or it was dropped")
        if self._follows(row):
            yield from self._compare(row)
        elif self._was_inserted_before(row):
            self._is_sound = False
            yield Finding(
                what="inserted",
                writer=self._writer,
                seq=self._seq,
                row_id=self._row_id,
                text="the record behind it follows from the one before it",
            )
        else:
            doubtful = [*doubtful, self._broken(row)]
        self._before, self._hash, self._doubtful = self._hash, row[_HASH], doubtful
        self._seq, self._row_id = row[_SEQ], row[_ID]
        if self._seq in self._signed.points:
            yield from self._at_point(self._signed.points[self._seq])
        if len(self._breaks) >= _MOST_BREAKS:
            yield from self._told()

    def _is_beyond(self, seq: int) -> bool:
        """Whether nothing can be here, or no longer."""
        while self._trimmed and self._trimmed[0][1] < seq:
            del self._trimmed[0]
        dropped = bool(self._trimmed) and self._trimmed[0][0] <= seq
        return dropped or (self._signed.closed is not None and seq > self._signed.closed)

    def _follows(self, row: Row) -> bool:
        if self._hash is None or link(self._hash, row[_RECORD]) == row[_HASH]:
            return True
        return any(link(other, row[_RECORD]) == row[_HASH] for other in self._doubtful)

    def _was_inserted_before(self, row: Row) -> bool:
        """Whether the last row, itself whole, came between this one and the one before it."""
        last_broke = bool(self._breaks) and self._breaks[-1].seq == self._seq
        return (
            not last_broke
            and self._before is not None
            and link(self._before, row[_RECORD]) == row[_HASH]
        )

    def _compare(self, row: Row) -> Iterator[Finding]:
        wrong = self._columns.wrong(row)
        if wrong:
            names = ", ".join(wrong)
            yield self._found("changed", row, f"its record says something else than {names}")
        elif row[_OUTCOME] == DEAD_LETTER:
            self._tally.dead_letters += 1

    def _broken(self, row: Row) -> bytes:
        """Remember a row that does not follow; gives the hash that its record would have."""
        previous = self._hash or b""
        self._is_sound = False
        self._breaks.append(
            Break(
                writer=self._writer,
                seq=row[_SEQ],
                row_id=row[_ID],
                previous=previous,
                chain_hash=row[_HASH],
                record=row[_RECORD],
            )
        )
        return link(previous, row[_RECORD])

    def _at_point(self, signed: bytes) -> Iterator[Finding]:
        """The chain must be where it was signed to be."""
        if signed == self._hash or signed in self._doubtful:
            self._hash, self._doubtful = signed, []
            self._signed_until = self._seq
            self._is_sound = True
        elif self._is_sound:
            self._is_sound = False
            places = counted(self._signed_until + 1, self._seq)
            yield Finding(
                what="changed",
                writer=self._writer,
                seq=self._signed_until + 1,
                text=f"{places} were made anew: they do not lead to what was signed",
            )

    def _told(self) -> Iterator[Finding]:
        breaks, self._breaks = self._breaks, []
        yield from findings_of(breaks)

    def _end(self) -> Iterator[Finding]:
        yield from self._told()
        yield from self._removed(self._signed.reached)
        self._tally.unsigned += max(0, self._seq - self._signed.last_point)

    def _found(self, what: What, row: Row, text: str) -> Finding:
        return Finding(what=what, writer=self._writer, seq=row[_SEQ], row_id=row[_ID], text=text)
