"""What was signed of each chain, gathered from the database and from the file. Pure.

A statement counts only where a trusted key has signed it. One that is in the file must be in the
database too: the gateway appends it there when it is committed. The other way round it may be
missing, since the gateway can die in between. Every statement names the one before it, so one that
is in neither place shows as well.

Of each statement two digests stay in memory, some 250 bytes in all; there is one for a thousand
records, or for a minute of a process. One of the two goes where retention has dropped the records.
"""

from collections.abc import Collection, Iterable, Iterator
from uuid import UUID

from attrs import define, field

from neuronetz_twisted.audit.append_only import Damaged
from neuronetz_twisted.audit.findings import MOST_FINDINGS, Finding, first_of_each
from neuronetz_twisted.audit.signing import Signed, Statement, has_signed


@define
class SignedChain:
    """What was signed of one writer's chain.

    `points` are numbers of records with the hash of the chain there; behind `closed` there is
    nothing. `trims` are what retention has dropped: first and last number, hash of the last.
    """

    points: dict[int, bytes] = field(factory=dict)
    trims: dict[int, tuple[int, bytes]] = field(factory=dict)
    closed: int | None = None
    last_point: int = 0
    """The number of the last record up to which the chain is signed."""

    @property
    def reached(self) -> int:
        """The number of the last record that is certain to have been written."""
        return max(self.last_point, max(self.trims, default=0))

    def add(self, statement: Statement) -> None:
        """Note what a trusted key has signed; of what was dropped only the end matters still."""
        if statement.kind == "trim":
            self.trims[statement.seq] = (statement.first, statement.chain_hash)
            dropped = range(statement.first, statement.seq + 1)
            for seq in [seq for seq in self.points if seq in dropped]:
                del self.points[seq]
            return
        self.points[statement.seq] = statement.chain_hash
        self.last_point = max(self.last_point, statement.seq)
        if statement.kind == "closed":
            self.closed = statement.seq

    def trimmed(self) -> list[tuple[int, int]]:
        """First and last number of each part that retention has dropped, in order."""
        return [(self.trims[last][0], last) for last in sorted(self.trims)]

    def kept(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of `first` to `last` that retention has not dropped."""
        for begin, end in self.trimmed():
            if end < first or begin > last:
                continue
            if begin > first:
                yield first, begin - 1
            first = end + 1
        if first <= last:
            yield first, last

    def hash_at(self, seq: int) -> bytes | None:
        """The hash of the chain behind record `seq`, where it was signed."""
        return self.trims[seq][1] if seq in self.trims else self.points.get(seq)


@define
class Anchors:
    """The signed chains of all writers; `trusted` are the public keys whose statements count.

    `foreign` are writers for whom only a key has signed that nobody here knows.
    """

    _trusted: Collection[bytes]
    chains: dict[UUID, SignedChain] = field(factory=dict, init=False)
    statements: int = field(default=0, init=False)
    _digests: set[bytes] = field(factory=set, init=False)
    _missing: dict[bytes, tuple[UUID, int]] = field(factory=dict, init=False)
    _strangers: dict[bytes, int] = field(factory=dict, init=False)
    _foreign: set[UUID] = field(factory=set, init=False)

    @property
    def foreign(self) -> set[UUID]:
        """Writers of whom nothing can be said until their signer is known."""
        return self._foreign.difference(self.chains)

    def gather(
        self, stored: Iterable[Signed], published: Iterable[Signed | Damaged]
    ) -> Iterator[Finding]:
        """Take in the statements of the database and then those of the file.

        `published` must have been read before `stored`: a statement is there first. Of each writer
        the first findings are told.
        """
        yield from first_of_each(self._gather(stored, published))
        yield from self._unknown_signers()

    def _gather(
        self, stored: Iterable[Signed], published: Iterable[Signed | Damaged]
    ) -> Iterator[Finding]:
        for signed in stored:
            if not self._take(signed):
                yield _found(signed, "the database's checkpoint here has no signature that holds")
        for number, item in enumerate(published, start=1):
            yield from self._publish(number, item)
        for writer, seq in self._missing.values():
            yield Finding(
                what="checkpoint",
                text="a checkpoint that was signed before the one here is missing",
                writer=writer,
                seq=seq,
            )

    def _publish(self, number: int, item: Signed | Damaged) -> Iterator[Finding]:
        if isinstance(item, Damaged):
            yield Finding(
                what="checkpoint", text=f"line {item.line} of the checkpoint file is damaged"
            )
        elif item.digest not in self._digests:
            if not self._take(item):
                text = f"line {number} of the checkpoint file has no signature that holds"
                yield _found(item, text)
            elif item.signer in self._trusted:
                yield _found(item, "the checkpoint here was removed from the database")

    def _take(self, signed: Signed) -> bool:
        """Note what was said; False where its signer has not said it, so that it is forged."""
        statement = authentic(signed)
        if statement is None:
            return False
        digest = signed.digest
        self._digests.add(digest)
        self._missing.pop(digest, None)
        if signed.signer not in self._trusted:
            self._strangers[signed.signer] = self._strangers.get(signed.signer, 0) + 1
            self._foreign.add(statement.writer)
            return True
        self.statements += 1
        if statement.previous and statement.previous not in self._digests:
            self._missing[statement.previous] = (statement.writer, statement.seq)
        self.chains.setdefault(statement.writer, SignedChain()).add(statement)
        return True

    def _unknown_signers(self) -> Iterator[Finding]:
        """One finding for each key: most likely another gateway's, which has a key of its own."""
        for signer, count in list(self._strangers.items())[:MOST_FINDINGS]:
            yield Finding(
                what="checkpoint",
                text=f"{count} checkpoints were signed by {signer.hex()}, which is not known "
                "here, and prove nothing: pass --signer if it is yours",
            )
        more = len(self._strangers) - MOST_FINDINGS
        if more > 0:
            yield Finding(what="checkpoint", text=f"{more} more signers are not known here")


def authentic(signed: Signed) -> Statement | None:
    """What was said, if its signer has said it and the columns beside it say the same."""
    try:
        statement = Statement.decoded(signed.statement)
    except ValueError:
        return None
    said = (statement.kind, statement.writer, statement.seq, statement.chain_hash)
    authentic = said == (signed.kind, signed.writer, signed.seq, signed.chain_hash)
    return statement if authentic and has_signed(signed) else None


def _found(place: Signed, text: str) -> Finding:
    return Finding(what="checkpoint", text=text, writer=place.writer, seq=place.seq)
