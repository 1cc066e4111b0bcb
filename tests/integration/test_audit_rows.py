"""Records and ledger in one transaction, on a real PostgreSQL as role gateway_app."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from random import Random
from typing import Any
from uuid import UUID

import orjson
import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import DBAPIError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import Event, plain, record_of
from neuronetz_twisted.audit.lanes import MAX_BATCH
from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.audit.tombstones import tombstone_of
from neuronetz_twisted.stores import audit_rows
from neuronetz_twisted.stores.audit_rows import TOTAL_STARTS_ON, Account, Ledger
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.tables import (
    audit_checkpoints,
    audit_log,
    budget_usage,
    usage_by_day,
)
from neuronetz_twisted.stores.usage_queries import By, usage
from tests.audit_trail import record_bytes
from tests.figures import within
from tests.servers import new_database

WRITER = UUID("aaaaaaaa-0000-4000-8000-000000000001")
TENANTS = [UUID(int=number) for number in range(1, 4)]
KEYS = [UUID(int=number) for number in range(100, 106)]
AT = int(datetime(2031, 5, 15, 12, tzinfo=UTC).timestamp()) * 1_000_000
DAY = date(2031, 5, 15)


def final(seq: int, **changes: Any) -> Final:
    """The record of a call that cost 30 tokens, of the first key."""
    whose = {"tenant": str(TENANTS[0]), "key": str(KEYS[0]), "prefix": "nz_aaaaaaaaa"}
    when = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=AT + seq)
    record = record_bytes(UUID(int=seq), when, **whose | changes)
    return Final(WRITER, seq, b"%032d" % seq, record)


def mixed(numbers: Iterable[int]) -> list[Final]:
    """Records of several tenants, keys, models and days."""
    return [
        final(
            number,
            tenant=str(TENANTS[number % 3]),
            key=str(KEYS[number % 6]),
            model=f"m{number % 4}",
            day=f"2031-05-{1 + number % 9:02}",
            charged=number,
        )
        for number in numbers
    ]


def accounts(tenant: UUID, key: UUID, day: date) -> list[Account]:
    """What a record of these is charged to."""
    return [
        Account(kind, scope_id, period, starts_on)
        for kind, scope_id in (("tenant", tenant), ("key", key))
        for period, starts_on in (
            ("day", day),
            ("month", day.replace(day=1)),
            ("total", TOTAL_STARTS_ON),
        )
    ]


TEXTS = st.text(max_size=20).map(lambda text: plain(text, 20))
COUNTS = st.integers(0, 2**63 - 1)
TIMES = st.none() | st.integers(0, 2**31 * 10 - 10).map(lambda tenths: tenths / 10)
EVENTS = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str),
        "at": st.integers(1 - 10**16, 10**16 - 1),
        "day": st.dates().map(date.isoformat),
        "route": TEXTS,
        "outcome": TEXTS,
    },
    optional={
        **dict.fromkeys(("tenant", "key"), st.none() | st.uuids().map(str)),
        **dict.fromkeys(
            ("client_id", "prefix", "dialect", "model", "backend", "address", "user_agent"),
            st.none() | TEXTS,
        ),
        **dict.fromkeys(
            ("prompt_tokens", "completion_tokens", "bytes_sent", "charged"), st.none() | COUNTS
        ),
        **dict.fromkeys(("first_byte_ms", "duration_ms"), TIMES),
        "status": st.none() | st.integers(100, 599),
        "estimated": st.none() | st.booleans(),
        "count": st.none() | st.integers(1, 2**31 - 1),
        "prompt_log": TEXTS,
    },
)
"""Events as they can be, of any process's clock."""


class RowsCase(SynchronousTestCase):
    """A database of each test's own."""

    def setUp(self) -> None:
        """Sessions of the service, as many as there are threads."""
        self.engine = service_engine(new_database(self).url, application_name="test", pool_size=4)
        self.addCleanup(self.engine.dispose)

    def write(
        self,
        finals: Sequence[Final],
        writing: Callable[[Connection, Sequence[Final]], Ledger] = audit_rows.write,
    ) -> Ledger:
        """One transaction."""
        with self.engine.begin() as connection:
            return writing(connection, finals)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All of a table, in the order of its key."""
        with self.engine.connect() as connection:
            found = connection.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    def sums(self) -> tuple[int, int, int, int]:
        """What rows, accounts of tenants and of keys, and days say was charged."""
        totals = budget_usage.c.period == "total"
        with self.engine.connect() as connection:
            charged = connection.execute(select(func.sum(audit_log.c.charged))).scalar_one()
            by_kind = dict(
                connection.execute(
                    select(budget_usage.c.scope_kind, func.sum(budget_usage.c.tokens))
                    .where(totals)
                    .group_by(budget_usage.c.scope_kind)
                )
                .tuples()
                .all()
            )
            days = connection.execute(select(func.sum(usage_by_day.c.charged))).scalar_one()
        return int(charged), int(by_kind["tenant"]), int(by_kind["key"]), int(days)


class Writing(RowsCase):
    """Batches as the flusher writes them."""

    def test_row(self) -> None:
        """A row has every column as its record says, to the microsecond, and the exact bytes."""
        written = final(1)
        self.assertEqual(self.write([written]).new, 1)
        (row,) = self.rows(audit_log)
        self.assertEqual(row, row_of(written))
        self.assertEqual(row["record"], written.record)

    def test_every_account_is_charged(self) -> None:
        """Tenant and key, each for day, month and in all; the ledger's totals come back."""
        self.write([final(1)])
        ledger = self.write([final(2, charged=5), final(3, charged=7)])
        expected = dict.fromkeys(accounts(TENANTS[0], KEYS[0], DAY), 42)
        self.assertEqual(ledger, Ledger(new=2, tokens=expected))
        stored = {
            Account(*list(row.values())[:-1]): row["tokens"] for row in self.rows(budget_usage)
        }
        self.assertEqual(stored, expected)

    def test_day_is_the_record_s(self) -> None:
        """What arrived before midnight and was admitted behind it is charged to the new day."""
        self.write([final(1, day="2031-06-01")])
        starts = {(row["period"], row["starts_on"]) for row in self.rows(budget_usage)}
        first = date(2031, 6, 1)
        self.assertEqual(starts, {("day", first), ("month", first), ("total", TOTAL_STARTS_ON)})

    def test_usage_by_day(self) -> None:
        """Requests and tokens are added up by day, key and model."""
        self.write([final(1), final(2), final(3, model="b", prompt_tokens=1)])
        (one, other) = self.rows(usage_by_day)
        self.assertEqual(
            one,
            {
                "day": DAY,
                "tenant_id": TENANTS[0],
                "key_id": KEYS[0],
                "model": "b",
                "requests": 1,
                "prompt_tokens": 1,
                "completion_tokens": 20,
                "charged": 30,
            },
        )
        self.assertEqual((other["requests"], other["charged"]), (2, 60))

    def test_what_costs_nothing(self) -> None:
        """A refusal or a list is a row and nothing else; a call that cost nothing is a request."""
        refusal = final(1, tenant=None, key=None, prefix=None, model=None, charged=0)
        listed = final(3, model=None, charged=0)
        self.assertEqual(self.write([refusal, listed]), Ledger(new=2, tokens={}))
        self.assertEqual(self.rows(usage_by_day), [])
        self.assertEqual(self.write([final(2, charged=0)]), Ledger(new=1, tokens={}))
        self.assertEqual([row["requests"] for row in self.rows(usage_by_day)], [1])
        self.assertEqual(self.rows(budget_usage), [])

    def test_again(self) -> None:
        """What is there is left alone and charges nothing, in a batch with new ones and alone."""
        self.write([final(1), final(2)])
        ledger = self.write([final(1, charged=1000), final(2), final(3)])
        self.assertEqual(ledger.new, 1)
        self.assertEqual(set(ledger.tokens.values()), {90})
        self.assertEqual(self.write([final(3)]), Ledger(new=0, tokens={}))
        self.assertEqual(self.sums(), (90, 90, 90, 90))

    def test_twice_in_one_batch(self) -> None:
        """A record that stands in a batch twice is one row and one charge."""
        self.assertEqual(self.write([final(1), final(1)]).new, 1)
        self.assertEqual(self.sums(), (30, 30, 30, 30))

    def test_nothing(self) -> None:
        """A batch of nothing is no error."""
        self.assertEqual(self.write([]), Ledger(new=0, tokens={}))

    def test_absurd_counts(self) -> None:
        """Sums end at the largest number there is, and records go on."""
        for first in (1, 3):
            pair = (first, first + 1)
            self.write([final(seq, charged=2**63 - 1, prompt_tokens=2**63 - 1) for seq in pair])
        self.assertEqual(self.write([final(5)]).new, 1)
        self.assertEqual({row["tokens"] for row in self.rows(budget_usage)}, {2**63 - 1})
        self.write([final(6, model="b")])
        with self.engine.connect() as connection:
            (used,) = usage(connection, by=By.DAY, since=DAY)
        self.assertEqual((used.requests, used.prompt_tokens), (6, 2**63 - 1))

    def test_rollback(self) -> None:
        """Rows and ledger come together or not at all."""
        connection = self.engine.connect()
        audit_rows.write(connection, [final(1)])
        connection.close()
        for table in (audit_log, budget_usage, usage_by_day):
            self.assertEqual(self.rows(table), [])

    def test_what_the_database_refuses(self) -> None:
        """A value that fits no column is told as one of the data's, and the batch is not kept."""
        for changes in ({"user_agent": "\0"}, {"status": 70_000}, {"charged": -1}, {"count": 0}):
            with self.subTest(changes=changes), self.assertRaises(DBAPIError) as caught:
                self.write([final(1), final(2, **changes)])
            self.assertIsInstance(caught.exception.orig, psycopg.DataError | psycopg.IntegrityError)
        self.assertEqual(self.rows(audit_log), [])

    def test_what_is_no_record(self) -> None:
        """Bytes that no row can be made of are refused as values, each by itself."""
        texts = (b"", b"{", b"{}", b"[]", b"7", b"null", b"\xff", b"[" * 8000, b'{"a":1},{"a":2}')
        for record in (*texts, final(1, at=10**16).record, final(1, id="x").record):
            with self.subTest(record=record), self.assertRaises(DBAPIError) as caught:
                self.write([final(2), Final(WRITER, 1, b"", record)])
            state = getattr(caught.exception.orig, "sqlstate", "")
            self.assertIn(state[:2], ("22", "23", "54"))
        self.assertEqual(self.rows(audit_log), [])

    def test_one_writer(self) -> None:
        """Records of two writers are no batch: each row would need its own."""
        other = final(2)._replace(writer=UUID(int=7))
        self.assertRaises(ValueError, self.write, [final(1), other])

    @settings(deadline=None)
    @given(st.lists(EVENTS, min_size=1, max_size=5, unique_by=itemgetter("id")))
    def test_columns(self, events: list[Event]) -> None:
        """Whatever a record says, PostgreSQL makes of it the very row that `verify` expects."""
        finals = [Final(WRITER, seq, b"h", record_of(each)) for seq, each in enumerate(events)]
        with self.engine.connect() as connection:
            audit_rows.write(connection, finals)
            found = connection.execute(select(audit_log).order_by(audit_log.c.seq)).mappings()
            self.assertEqual([dict(row) for row in found], [row_of(each) for each in finals])

    def test_many_accounts(self) -> None:
        """Each account of a batch is charged what its own records cost, and so is each day."""
        expected: Counter[Account] = Counter()
        days: Counter[tuple[Any, ...]] = Counter()
        for each in (finals := mixed(range(1, 200))):
            event = orjson.loads(each.record)
            tenant, key = UUID(event["tenant"]), UUID(event["key"])
            day = date.fromisoformat(event["day"])
            expected.update(dict.fromkeys(accounts(tenant, key, day), event["charged"]))
            days[day, tenant, key, event["model"]] += event["charged"]
        self.assertEqual(self.write(finals), Ledger(new=199, tokens=expected))
        used = {tuple(row.values())[:4]: row["charged"] for row in self.rows(usage_by_day)}
        self.assertEqual(used, days)


class Together(RowsCase):
    """Several flushers at once."""

    def test_overlapping_batches(self) -> None:
        """However batches overlap and are ordered, nothing is doubled and nobody fails."""
        records = mixed(range(1, 401))
        faults: list[BaseException] = []

        def flush(seed: int) -> None:
            chance = Random(seed)
            try:
                for _ in range(8):
                    self.write(chance.sample(records, 150))
                self.write(chance.sample(records, len(records)))
            except BaseException as fault:  # noqa: BLE001 - told by the test's own thread
                faults.append(fault)

        threads = [threading.Thread(target=flush, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(faults, [])
        self.assertEqual(len(self.rows(audit_log)), 400)
        self.assertEqual(self.sums(), (sum(range(401)),) * 4)
        self.assertEqual(sum(row["requests"] for row in self.rows(usage_by_day)), 400)

    def test_waits_for_the_other(self) -> None:
        """A batch that overlaps one not yet committed waits, and then knows what is new."""
        first = self.engine.connect()
        self.addCleanup(first.close)
        audit_rows.write(first, mixed(range(1, 10)))
        ledgers: list[Ledger] = []
        second = threading.Thread(target=lambda: ledgers.append(self.write(mixed(range(5, 15)))))
        second.start()
        second.join(0.1)
        self.assertEqual(ledgers, [])
        first.commit()
        second.join(10)
        self.assertEqual([ledger.new for ledger in ledgers], [5])
        self.assertEqual(self.sums(), (sum(range(15)),) * 4)


class Tombstones(RowsCase):
    """Records that the database refuses."""

    def test_charges_and_keeps_the_record(self) -> None:
        """Text is gone, the exact record and its link are there, and it costs what it costs."""
        bad = final(1, user_agent="\0", model="\0")
        ledger = self.write([bad], audit_rows.write_tombstones)
        self.assertEqual(ledger.tokens, dict.fromkeys(accounts(TENANTS[0], KEYS[0], DAY), 30))
        (row,) = self.rows(audit_log)
        self.assertEqual(row, tombstone_of(bad))
        self.assertEqual((row["outcome"], row["record"]), ("dead_letter", bad.record))
        self.assertEqual(self.sums(), (30, 30, 30, 30))
        self.assertEqual(self.rows(usage_by_day)[0]["model"], "")
        self.assertEqual(self.write([bad], audit_rows.write_tombstones).new, 0)

    def test_takes_anything(self) -> None:
        """There is a row for every record, whatever is in it."""
        worst = [
            Final(WRITER, 1, b"", b"\xff"),
            Final(WRITER, 2, b"", b"[]"),
            final(3, id=7, tenant="x", at=-5),
            final(4, at=2**62, charged=2**64 - 1, count=2**40, day="yesterday"),
            final(5, charged=-4, count=0, status="\0", route=None, estimated="yes"),
        ]
        ledger = self.write(worst, audit_rows.write_tombstones)
        self.assertEqual(ledger.new, 5)
        self.assertEqual(len({row["id"] for row in self.rows(audit_log)}), 5)

    def test_is_replaced_once(self) -> None:
        """Once its record can be read the row says all that it says, and its cost stays."""
        mended = final(1)
        self.write([mended], audit_rows.write_tombstones)
        for expected in (True, False):
            with self.engine.begin() as connection:
                self.assertIs(audit_rows.replace_tombstone(connection, mended), expected)
        self.assertEqual(self.rows(audit_log), [row_of(mended)])
        self.assertEqual(self.sums(), (30, 30, 30, 30))

    def test_replaces_tombstones_only(self) -> None:
        """No other row can be changed this way, nor one that is not there."""
        self.write([final(1)])
        for other in (final(1, outcome="cut"), final(2)):
            with self.engine.begin() as connection:
                self.assertFalse(audit_rows.replace_tombstone(connection, other))
        self.assertEqual(self.rows(audit_log), [row_of(final(1))])

    def test_still_refused(self) -> None:
        """A record that is still refused leaves its tombstone."""
        bad = final(1, user_agent="\0")
        self.write([bad], audit_rows.write_tombstones)
        with self.assertRaises(DBAPIError) as caught, self.engine.begin() as connection:
            audit_rows.replace_tombstone(connection, bad)
        self.assertIsInstance(caught.exception.orig, psycopg.DataError)
        self.assertEqual(self.rows(audit_log), [tombstone_of(bad)])


class Checkpoints(RowsCase):
    """Signed statements."""

    def test_written(self) -> None:
        """A statement comes back with its signature."""
        signed = Signed(
            kind="closed",
            writer=WRITER,
            seq=7,
            chain_hash=b"h",
            statement=b"{}",
            signature=b"s",
            signer=b"p",
        )
        with self.engine.begin() as connection:
            audit_rows.write_checkpoint(connection, signed)
        (row,) = self.rows(audit_checkpoints)
        del row["id"], row["created_at"]
        self.assertEqual(
            row,
            {
                "writer": WRITER,
                "seq": 7,
                "chain_hash": b"h",
                "kind": "closed",
                "statement": b"{}",
                "signature": b"s",
                "signer": b"p",
            },
        )


class Speed(RowsCase):
    """What a batch takes."""

    def test_batch(self) -> None:
        """A whole batch with its ledger takes no more than 80 ms at best."""
        self.assertLess(min(self.seconds(MAX_BATCH, time.perf_counter)), within(0.08))

    def test_processor(self) -> None:
        """Of our own processor a record takes no more than 5 us in a whole batch."""
        self.assertLess(min(self.seconds(MAX_BATCH, time.thread_time)) / MAX_BATCH, within(5e-6))

    def test_statement(self) -> None:
        """The driver keeps what it has parsed of a statement of less than 4096 characters."""
        self.assertLess(len(audit_rows._ADD_RECORDS), 4096)

    def test_processor_for_one(self) -> None:
        """A batch of one record takes no more than half a millisecond of it."""
        self.assertLess(min(self.seconds(1, time.thread_time)), within(5e-4))

    def seconds(self, size: int, clock: Callable[[], float]) -> list[float]:
        """How long some batches of new rows took by this clock."""
        seconds = []
        for number in range(12):
            batch = mixed(range(1 + size * number, 1 + size * (number + 1)))
            with self.engine.begin() as connection:
                began = clock()
                audit_rows.write(connection, batch)
                seconds.append(clock() - began)
        return seconds
