"""Rows that do not follow from the row before them, and why. Pure."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from attrs import frozen

from neuronetz_twisted.audit.chain import link
from neuronetz_twisted.audit.findings import Finding, What, counted


@frozen(kw_only=True)
class Break:
    """A row that does not follow from `previous`, the hash before it."""

    writer: UUID
    seq: int
    row_id: UUID
    previous: bytes
    chain_hash: bytes
    record: bytes

    def follows(self, previous: bytes) -> bool:
        """Whether this row was written behind that hash."""
        return link(previous, self.record) == self.chain_hash

    def found(self, what: What, text: str) -> Finding:
        """What is to be said of it."""
        return Finding(what=what, writer=self.writer, seq=self.seq, row_id=self.row_id, text=text)


def findings_of(breaks: Sequence[Break]) -> Iterator[Finding]:
    """What was done to these rows of one chain.

    A row that follows from another one of them, or belongs where another one stands, is whole and
    only out of its place. Any other was changed.
    """
    moved = [each for each in breaks if _is_whole(each, breaks)]
    for each in breaks:
        if each not in moved:
            yield each.found("changed", "it does not follow from the record before it")
        elif each is moved[0]:
            places = counted(each.seq, moved[-1].seq)
            yield each.found(
                "reordered", f"{places} are not in the order in which they were written"
            )


def _is_whole(row: Break, breaks: Sequence[Break]) -> bool:
    return any(
        row.follows(other.previous) or row.follows(other.chain_hash)
        for other in breaks
        if other is not row
    )
