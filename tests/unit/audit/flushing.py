"""What the flusher works with, as tests hold it: spools, rows, a signer and a database."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, maybeDeferred

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.batches import CheckpointKind
from neuronetz_twisted.audit.charges import Charge
from neuronetz_twisted.audit.reader import Damage
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.ledger import LedgerLine

T = TypeVar("T")

WRITER = UUID("11111111-1111-1111-1111-111111111111")
OTHER = UUID("22222222-2222-2222-2222-222222222222")


def finals_of(writer: UUID, count: int, *, after: int = 0) -> list[Final]:
    """A chain of made-up records."""
    made: list[Final] = []
    link = chain.start(writer)
    for seq in range(1, after + count + 1):
        record = b'{"seq":%d}' % seq
        link = chain.link(link, record)
        made.append(Final(writer=writer, seq=seq, chain_hash=link, record=record))
    return made[after:]


@define(eq=False)
class FakeBacklog:
    """A spool in memory. `broken` is raised by reading, `unclosed` by closing.

    `sealing` keeps the seal from being done. `has_ended` is what it says of itself then. Of what
    was written the last `lost` finals cannot be read.
    """

    writer: UUID = WRITER
    written: list[Final] = field(factory=list)
    base: tuple[int, bytes] = (0, b"")
    broken: Exception | None = None
    unclosed: Exception | None = None
    hidden: bool = False
    sealing: Deferred[None] | None = None
    has_ended: bool = True
    sealed: bool = False
    damaged: list[Damage] = field(factory=list)
    readings: int = 0
    flushed_to: int = 0
    left: int = 0
    lost: int = 0
    closed: int = 0

    @property
    def last_seq(self) -> int:
        """The last that was written."""
        return self.written[-1].seq if self.written else self.base[0]

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last."""
        return (self.last_seq, self.written[-1].chain_hash) if self.written else self.base

    def add(self, count: int) -> None:
        """Write so many more."""
        self.written += finals_of(self.writer, count, after=self.last_seq)

    def finals(self, after: int, limit: int) -> list[Final]:
        """Read."""
        self.readings += 1
        if self.broken is not None:
            raise self.broken
        readable = self.written[: len(self.written) - self.lost]
        behind = [final for final in readable if final.seq > after]
        return [] if self.hidden else behind[:limit]

    def flushed(self, seq: int) -> None:
        """Note how far it went."""
        self.flushed_to = seq

    def leave_failed(self) -> None:
        """Count how often it is told."""
        self.left += 1

    async def seal(self) -> None:
        """No more is written."""
        if self.sealing is not None:
            await self.sealing
        self.sealed = True

    def close(self) -> None:
        """Let go."""
        self.closed += 1
        if self.unclosed is not None:
            raise self.unclosed


@define(eq=False)
class FakeConnection:
    """Only what a batch uses of a connection."""

    def begin_nested(self) -> AbstractContextManager[None]:
        """A savepoint that undoes nothing: the rows of these tests are written last of all."""
        return nullcontext()


@define(eq=False)
class FakeRows:
    """Keeps what was written; `poison` is raised where one of those records is in the batch."""

    poison: dict[int, Exception] = field(factory=dict)
    barren: Exception | None = None
    batches: list[list[int]] = field(factory=list)
    tombstones: list[int] = field(factory=list)
    checkpoints: list[Signed] = field(factory=list)

    def write(self, _: Connection, finals: Sequence[Final]) -> None:
        """Take the batch, unless one spoils it."""
        for final in finals:
            if final.seq in self.poison:
                raise self.poison[final.seq]
        self.batches.append([final.seq for final in finals])

    def write_tombstones(self, _: Connection, finals: Sequence[Final]) -> None:
        """Take them."""
        if self.barren is not None:
            raise self.barren
        self.tombstones += [final.seq for final in finals]

    def write_checkpoint(self, _: Connection, signed: Signed) -> None:
        """Take it."""
        self.checkpoints.append(signed)

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """What the checkpoints say."""
        return [(signed.kind, signed.seq) for signed in self.checkpoints]


@define(eq=False)
class FakeSigner:
    """Signs with nothing; `full` is raised by the file."""

    published: list[int] = field(factory=list)
    full: OSError | None = None

    def sign(self, *, kind: CheckpointKind, writer: UUID, seq: int, chain_hash: bytes) -> Signed:
        """A statement without a signature."""
        return Signed(
            kind=kind,
            writer=writer,
            seq=seq,
            chain_hash=chain_hash,
            statement=b"",
            signature=b"",
            signer=b"",
        )

    def publish(self, signed: Signed) -> None:
        """Append."""
        if self.full is not None:
            raise self.full
        self.published.append(signed.seq)


@define(eq=False)
class FakeDatabase:
    """Answers at once; `away` is what it fails with, and while `held` it keeps what is asked.

    `lost` is what it fails with when all is done.
    """

    away: Exception | None = None
    lost: Exception | None = None
    held: bool = False
    asked: int = 0
    kept: list[tuple[Deferred[Any], Callable[[Connection], Any]]] = field(factory=list)

    def run(self, fn: Callable[[Connection], T]) -> Deferred[T]:
        """Call `fn` here."""
        self.asked += 1
        answer: Deferred[Any] = Deferred()
        self.kept.append((answer, fn))
        if not self.held:
            self.answer()
        return answer

    def answer(self) -> None:
        """Answer the oldest call."""
        answer, fn = self.kept.pop(0)

        def work() -> Any:
            if self.away is not None:
                raise self.away
            result = fn(cast("Connection", FakeConnection()))
            if self.lost is not None:
                raise self.lost
            return result

        maybeDeferred(work).chainDeferred(answer)


def no_lines(_: Connection, charges: Collection[Charge]) -> dict[UUID, list[LedgerLine]]:
    """A ledger that has nothing, and is asked only where there is something to ask."""
    if not charges:
        raise AssertionError("asked for nothing")
    return {}


def in_no_thread(work: Callable[[], T], /) -> Deferred[T]:
    """Call it at once."""
    return maybeDeferred(work)
