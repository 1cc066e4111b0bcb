"""One batch of records into PostgreSQL: rows, ledger and checkpoint in one transaction (SPEC 9).

It runs in a thread of the database's. Nothing here remembers how far a spool has been flushed: a
batch that is written twice adds nothing the second time, so whoever is not sure that it was
committed writes it again. What the ledger has is read behind the rows and not known from writing
them, so that it is the same whether a batch was there before or not.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

import psycopg
from attrs import frozen
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, StatementError

from neuronetz_twisted.audit.charges import Charge, admitted_calls, flushed
from neuronetz_twisted.audit.dead_letters import DeadLetters, Letter
from neuronetz_twisted.audit.reader import Damage
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.ledger import Flushed, LedgerLine

CHECKPOINT_RECORDS = 1000

CheckpointKind = Literal["checkpoint", "closed"]

REFUSALS = (
    StatementError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
)
"""What writing a record may raise for what is in it: `is_of_values` says whether it was for that.

Building a row raises it over a record that is not as we write them, and the driver over a value
that it cannot send.
"""

# Classes of SQLSTATE that speak of values: data exception, integrity constraint violation and
# program limit exceeded. Every other one speaks of the server, of rights or of the schema.
_OF_VALUES = ("22", "23", "54")


class Backlog(Protocol):
    """A spool, as far as flushing knows it."""

    @property
    def writer(self) -> UUID:
        """Whose chain it holds."""
        ...

    @property
    def base(self) -> tuple[int, bytes]:
        """Sequence number and chain hash before the first final that the files may hold."""
        ...

    @property
    def head(self) -> tuple[int, bytes]:
        """Sequence number and chain hash of the last final that was written, readable or not."""
        ...

    @property
    def last_seq(self) -> int:
        """The sequence number of the last final that can be flushed."""
        ...

    @property
    def damaged(self) -> Sequence[Damage]:
        """What cannot be read any more, as far as the files were read."""
        ...

    def finals(self, after: int, limit: int) -> list[Final]:
        """Finals behind the sequence number `after`, in order.

        Called in a thread, one call at a time. Raises `OSError`.
        """
        ...

    def flushed(self, seq: int) -> None:
        """All finals up to `seq` are in PostgreSQL."""
        ...

    def close(self) -> None:
        """Release the lock; what is left goes to who adopts it. Called in a thread."""
        ...


class Rows(Protocol):
    """What is written to PostgreSQL (`stores/audit_rows.py`), inside the caller's transaction."""

    def write(self, connection: Connection, finals: Sequence[Final]) -> Any:
        """Rows, and for exactly those that are new the ledger."""
        ...

    def write_tombstones(self, connection: Connection, finals: Sequence[Final]) -> Any:
        """Rows of outcome `dead_letter`, which charge too."""
        ...

    def write_checkpoint(self, connection: Connection, signed: Signed) -> None:
        """A signed statement."""
        ...


LinesOfCharges = Callable[[Connection, Collection[Charge]], Mapping[UUID, Sequence[LedgerLine]]]
"""Reads what stands on the accounts of these charges, by tenant (`stores/ledger_lines.py`)."""


class Signer(Protocol):
    """Who signs where a chain stands (`audit/signing.py`)."""

    def sign(self, *, kind: CheckpointKind, writer: UUID, seq: int, chain_hash: bytes) -> Signed:
        """A signed statement. Called in a thread."""
        ...

    def publish(self, signed: Signed) -> None:
        """Append a statement to the checkpoint file, now that it is committed.

        Called in a thread. Raises `OSError` where that fails.
        """
        ...


@frozen(kw_only=True)
class Order:
    """What one transaction is asked to do.

    At most `limit` finals behind the sequence number `after`, whose chain hash is `chain_hash`.
    `unsigned` finals up to there are under no checkpoint, and `overdue` says that its time has
    come. `closing`: nothing more is written to the spool, so its end is the end of the chain, and
    that is the number and the hash of `head`: what is missing before it was lost.
    """

    after: int
    chain_hash: bytes
    limit: int
    unsigned: int
    overdue: bool
    closing: bool
    head: tuple[int, bytes]

    def checkpoint(self, finals: Sequence[Final]) -> CheckpointKind | None:
        """The checkpoint that is due with these finals."""
        if not self.reaches(finals)[0]:
            return None
        if self.ends(finals):
            return "closed"
        # A writer is signed with its first rows: verify takes one without a statement for forged.
        due = not self.after or self.overdue or self.unsigned + len(finals) >= CHECKPOINT_RECORDS
        return "checkpoint" if due else None

    def needs_transaction(self, finals: Sequence[Final]) -> bool:
        """Whether anything is to be written."""
        return bool(finals) or self.checkpoint(finals) is not None

    def done(
        self,
        finals: Sequence[Final],
        *,
        dead: int = 0,
        signed: Signed | None = None,
        flushed: Sequence[Flushed] = (),
    ) -> "Batch":
        """What is done when the order is carried out with these finals."""
        seq, chain_hash = self.reaches(finals)
        return Batch(
            seq=seq,
            chain_hash=chain_hash,
            records=len(finals),
            dead=dead,
            signed=signed,
            closed=self.ends(finals),
            flushed=flushed,
        )

    def reaches(self, finals: Sequence[Final]) -> tuple[int, bytes]:
        """Number and hash of the last link then."""
        if self.ends(finals):
            return self.head
        if not finals:
            return self.after, self.chain_hash
        return finals[-1].seq, finals[-1].chain_hash

    def ends(self, finals: Sequence[Final]) -> bool:
        """Whether nothing that can be read is left behind these finals, for good."""
        return self.closing and len(finals) < self.limit


@frozen(kw_only=True)
class Batch:
    """What one transaction did: it has reached `seq`, whose chain hash is `chain_hash`.

    `dead` of the `records` are tombstones. `signed` is the checkpoint that was written with it,
    `flushed` the admitted calls in it and what the ledger has with them.
    """

    seq: int
    chain_hash: bytes
    records: int
    dead: int
    signed: Signed | None
    closed: bool
    flushed: Sequence[Flushed] = ()


@frozen(kw_only=True)
class BatchWriter:
    """Writes batches, and finds the record that spoils one."""

    rows: Rows
    lines: LinesOfCharges
    signer: Signer
    letters: DeadLetters

    def write(
        self, writer: UUID, order: Order, finals: Sequence[Final], connection: Connection
    ) -> Batch:
        """Carry out the order with these finals of its writer, in the connection's transaction.

        A record that PostgreSQL refuses for its values goes to the dead letters and leaves a
        tombstone. Every other refusal passes through and undoes the batch.
        """
        dead = self._sift(connection, finals) if finals else []
        if dead:
            self.letters.keep(dead)
            self.rows.write_tombstones(connection, [letter.final for letter in dead])
        kind, signed = order.checkpoint(finals), None
        if kind is not None:
            seq, chain_hash = order.reaches(finals)
            signed = self.signer.sign(kind=kind, writer=writer, seq=seq, chain_hash=chain_hash)
            self.rows.write_checkpoint(connection, signed)
        told = self._flushed(connection, finals)
        return order.done(finals, dead=len(dead), signed=signed, flushed=told)

    def _flushed(self, connection: Connection, finals: Sequence[Final]) -> Sequence[Flushed]:
        calls = admitted_calls(finals)
        return flushed(calls, self.lines(connection, calls)) if calls else ()

    def _sift(self, connection: Connection, finals: Sequence[Final]) -> list[Letter]:
        """Write all that can be written; gives those that cannot."""
        try:
            with connection.begin_nested():
                self.rows.write(connection, finals)
        except REFUSALS as error:
            if not is_of_values(error):
                raise
            if len(finals) == 1:
                return [Letter(final=finals[0], reason=_name_of(error))]
        else:
            return []
        half = len(finals) // 2
        return self._sift(connection, finals[:half]) + self._sift(connection, finals[half:])


def is_of_values(error: Exception) -> bool:
    """Whether it is the record that is refused, and not everything at the moment."""
    if not isinstance(error, DBAPIError):
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error.orig, psycopg.DataError)
    return str(state).startswith(_OF_VALUES)


def _name_of(error: Exception) -> str:
    """The type of what was raised: its text may quote the record."""
    cause = error.orig if isinstance(error, StatementError) else error
    return type(cause).__name__
