"""One batch: what it writes, what it signs, and how it finds the record that spoils it."""

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

import orjson
import psycopg
from attrs import evolve
from sqlalchemy.exc import DBAPIError, StatementError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.batches import CHECKPOINT_RECORDS, Batch, BatchWriter, Order
from neuronetz_twisted.audit.charges import Charge
from neuronetz_twisted.audit.dead_letters import DeadLetters, read_letters
from neuronetz_twisted.ledger import Flushed, LedgerLine
from tests.unit.audit.flushing import FakeBacklog, FakeConnection, FakeRows, FakeSigner

if TYPE_CHECKING:
    from sqlalchemy import Connection


TENANT = UUID(int=1)
KEY = UUID(int=2)
DAY = "2031-05-15"


def refused(kind: type[psycopg.Error]) -> DBAPIError:
    """A refusal of PostgreSQL as SQLAlchemy raises it."""
    return DBAPIError("INSERT", {}, kind("canary"))


class Batches(SynchronousTestCase):
    """Ten finals in a spool."""

    def setUp(self) -> None:
        """A writer whose rows are kept in a list."""
        self.backlog = FakeBacklog()
        self.backlog.add(10)
        self.rows = FakeRows()
        self.asked: list[list[Charge]] = []
        home = Path(self.mktemp())
        home.mkdir()
        self.directory = home / "dead-letter"
        self.batches = BatchWriter(
            rows=self.rows,
            lines=self.lines,
            signer=FakeSigner(),
            letters=DeadLetters(self.directory),
        )

    def lines(self, _: "Connection", charges: Collection[Charge]) -> dict[UUID, list[LedgerLine]]:
        """One line for each tenant that is asked for, whose tokens are the rows so far."""
        self.asked.append(list(charges))
        rows = sum(map(len, self.rows.batches)) + len(self.rows.tombstones)
        return {charge.tenant: [LedgerLine("t", "day", DAY, rows)] for charge in charges}

    def write(
        self,
        *,
        after: int = 0,
        limit: int = 500,
        unsigned: int = 0,
        overdue: bool = False,
        closing: bool = False,
    ) -> Batch:
        """Do one order."""
        order = Order(
            after=after,
            chain_hash=b"before",
            limit=limit,
            unsigned=unsigned,
            overdue=overdue,
            closing=closing,
            head=self.backlog.head,
        )
        finals = self.backlog.finals(after, limit)
        connection = cast("Connection", FakeConnection())
        return self.batches.write(self.backlog.writer, order, finals, connection)

    def dead(self) -> list[int]:
        """The numbers of the dead letters."""
        return [letter.final.seq for letter in read_letters(self.directory)]

    def test_whole_batch(self) -> None:
        """What is ordered is written at once, and the batch says how far that went."""
        batch = self.write(after=2, limit=5)
        self.assertEqual(self.rows.batches, [[3, 4, 5, 6, 7]])
        self.assertEqual((batch.seq, batch.records, batch.dead), (7, 5, 0))
        self.assertEqual(batch.chain_hash, self.backlog.written[6].chain_hash)
        self.assertIsNone(batch.signed)
        self.assertFalse(batch.closed)

    def test_nothing_to_do(self) -> None:
        """Without finals nothing is written, and the place stays where it was."""
        batch = self.write(after=10)
        self.assertEqual((batch.seq, batch.chain_hash, batch.records), (10, b"before", 0))
        self.assertEqual(self.rows.batches, [])
        self.assertEqual(self.rows.checkpoints, [])

    def test_first_batch_is_signed(self) -> None:
        """A writer's first rows are under a checkpoint with them; those behind need none yet."""
        batch = self.write(limit=3)
        self.assertEqual(self.rows.kinds, [("checkpoint", 3)])
        self.assertEqual(self.rows.checkpoints, [batch.signed])
        self.assertEqual(self.rows.checkpoints[0].chain_hash, self.backlog.written[2].chain_hash)
        self.assertIsNone(self.write(after=3, limit=3).signed)

    def test_first_batch_of_dead_letters(self) -> None:
        """Tombstones are rows too: a writer that has no other is signed as well."""
        self.rows.poison = {1: refused(psycopg.DataError)}
        self.write(limit=1)
        self.assertEqual((self.rows.batches, self.rows.tombstones), ([], [1]))
        self.assertEqual(self.rows.kinds, [("checkpoint", 1)])

    def test_checkpoint_after_so_many(self) -> None:
        """The record that fills the measure is under the checkpoint, not one sooner."""
        self.assertIsNone(self.write(after=1, unsigned=CHECKPOINT_RECORDS - 10).signed)
        batch = self.write(after=1, unsigned=CHECKPOINT_RECORDS - 9)
        self.assertEqual(self.rows.kinds, [("checkpoint", 10)])
        self.assertEqual(self.rows.checkpoints, [batch.signed])
        self.assertEqual(self.rows.checkpoints[0].chain_hash, batch.chain_hash)

    def test_overdue_checkpoint(self) -> None:
        """One whose time has come is written also where no record is."""
        self.write(after=10, overdue=True)
        self.assertEqual(self.rows.kinds, [("checkpoint", 10)])
        self.assertEqual(self.rows.checkpoints[0].chain_hash, b"before")

    def test_closing(self) -> None:
        """The last batch closes the chain; one that is full is not known to be the last."""
        self.assertFalse(self.write(after=5, limit=5, closing=True).closed)
        self.assertEqual(self.rows.kinds, [])
        self.assertTrue(self.write(after=5, limit=6, closing=True).closed)
        self.assertEqual(self.rows.kinds, [("closed", 10)])

    def test_closing_with_the_first_batch(self) -> None:
        """A chain that is over with its first batch has one statement, which closes it."""
        self.assertTrue(self.write(limit=11, closing=True).closed)
        self.assertEqual(self.rows.kinds, [("closed", 10)])

    def test_closing_what_lost_its_end(self) -> None:
        """The chain is closed where its writer was, so that whoever verifies it misses the rest."""
        self.backlog.lost = 2
        batch = self.write(after=5, closing=True)
        self.assertEqual(self.rows.batches, [[6, 7, 8]])
        self.assertEqual((batch.seq, batch.records, batch.closed), (10, 3, True))
        assert batch.signed is not None
        self.assertEqual(batch.signed.seq, 10)
        self.assertEqual(batch.signed.chain_hash, self.backlog.written[9].chain_hash)

    def test_closing_what_lost_everything(self) -> None:
        """Also where not one record can be read."""
        self.backlog.lost = 10
        self.assertTrue(self.write(closing=True).closed)
        self.assertEqual(self.rows.kinds, [("closed", 10)])

    def test_closing_what_was_never_used(self) -> None:
        """A chain without a record needs no statement."""
        self.backlog.written.clear()
        batch = self.write(closing=True)
        self.assertTrue(batch.closed)
        self.assertIsNone(batch.signed)

    def test_when_a_transaction_is_needed(self) -> None:
        """For records and for statements, and for nothing else."""
        never = Order(
            after=0,
            chain_hash=b"",
            limit=5,
            unsigned=0,
            overdue=False,
            closing=True,
            head=(0, b""),
        )
        used = evolve(never, after=3, head=(3, b"three"))
        self.assertFalse(never.needs_transaction([]))
        self.assertTrue(never.needs_transaction(self.backlog.written))
        self.assertTrue(used.needs_transaction([]))
        self.assertFalse(evolve(used, closing=False).needs_transaction([]))

    def test_every_refusal_of_a_value(self) -> None:
        """A value that is refused, by whomsoever, is the record's own fault."""
        faults: list[Exception] = [
            refused(psycopg.DataError),
            refused(psycopg.errors.NumericValueOutOfRange),
            refused(psycopg.errors.CheckViolation),
            refused(psycopg.errors.ProgramLimitExceeded),
            StatementError("text", "INSERT", {}, ValueError("canary")),
            UnicodeEncodeError("utf-8", "canary", 0, 1, "surrogates not allowed"),
            KeyError("canary"),
            TypeError("canary"),
            OverflowError("canary"),
            AttributeError("canary"),
        ]
        for seq, fault in enumerate(faults, 1):
            self.rows.poison = {seq: fault}
            self.write()
        self.assertEqual(self.dead(), list(range(1, 11)))
        self.assertEqual(self.rows.tombstones, list(range(1, 11)))
        reasons = [letter.reason for letter in read_letters(self.directory)]
        self.assertEqual(reasons[1], "NumericValueOutOfRange")
        self.assertEqual(reasons[4], "ValueError")
        self.assertNotIn("canary", "".join(reasons))

    def test_no_refusal_of_a_value(self) -> None:
        """A state of the server, of rights or of the schema condemns no record."""
        for kind in (
            psycopg.OperationalError,
            psycopg.errors.DiskFull,
            psycopg.errors.ReadOnlySqlTransaction,
            psycopg.errors.TooManyConnections,
            psycopg.errors.AdminShutdown,
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.QueryCanceled,
        ):
            self.rows.poison = {5: refused(kind)}
            raised = self.assertRaises(DBAPIError, self.write)
            self.assertIsInstance(raised.orig, kind)
        self.assertEqual(self.dead(), [])
        self.assertEqual(self.rows.tombstones, [])

    def test_guilty_ones_are_found(self) -> None:
        """Exactly the guilty are dead letters, wherever they stand; the others are rows, once."""
        for guilty in ([1], [10], [4, 5], [1, 3, 10], list(range(1, 11))):
            self.rows.batches, self.rows.tombstones = [], []
            self.rows.poison = {seq: refused(psycopg.DataError) for seq in guilty}
            batch = self.write()
            rows = sorted(seq for written in self.rows.batches for seq in written)
            self.assertEqual(rows, [seq for seq in range(1, 11) if seq not in guilty])
            self.assertEqual(self.rows.tombstones, guilty)
            self.assertEqual((batch.seq, batch.records, batch.dead), (10, 10, len(guilty)))

    def call(self, seq: int) -> None:
        """Have the record with this number be one of an admitted call."""
        whose = {"tenant": str(TENANT), "key": str(KEY), "day": DAY, "model": "m"}
        record = orjson.dumps({"id": f"call-{seq}", **whose})
        self.backlog.written[seq - 1] = self.backlog.written[seq - 1]._replace(record=record)

    def test_nothing_to_tell(self) -> None:
        """Records of no call tell nothing, and the ledger is not read for them."""
        self.assertEqual(self.write().flushed, ())
        self.assertEqual(self.asked, [])

    def test_what_is_told(self) -> None:
        """Calls are told of with what the ledger has behind all rows, tombstones among them."""
        self.call(2)
        self.call(4)
        self.rows.poison = {4: refused(psycopg.DataError)}
        batch = self.write()
        line = LedgerLine("t", "day", DAY, 10)
        self.assertEqual(batch.flushed, [Flushed(str(TENANT), ["call-2", "call-4"], [line])])
        self.assertEqual(self.asked, [[Charge(TENANT, KEY, date.fromisoformat(DAY))]])

    def test_the_letter_is_first(self) -> None:
        """When its tombstone is written the letter is on the disk."""
        self.rows.poison = {5: refused(psycopg.DataError)}
        self.rows.barren = refused(psycopg.OperationalError)
        self.assertRaises(DBAPIError, self.write)
        self.assertEqual(self.dead(), [5])
