"""The flusher on a real PostgreSQL: away and back, full, read-only, and given poison."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
from attrs import evolve
from psycopg import sql
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.batches import BatchWriter
from neuronetz_twisted.audit.dead_letters import DeadLetters, read_letters
from neuronetz_twisted.audit.flusher import Flusher
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.signers import open_signer
from neuronetz_twisted.ledger import Flushed, LedgerLine
from neuronetz_twisted.stores import audit_rows
from neuronetz_twisted.stores.ledger_lines import lines_of_charges
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.threads import in_own_thread
from tests.database import started
from tests.servers import admin_connection, new_database, private_servers, service_connection
from tests.unit.audit.flushing import FakeBacklog
from tests.waiting import reactor, until

TENANT = UUID("aaaaaaaa-1111-1111-1111-111111111111")
KEY = UUID("bbbbbbbb-1111-1111-1111-111111111111")
AT = 1_795_000_000_000_000
DAY = "2026-11-18"


def record(**fields: Any) -> bytes:
    """A call of seven tokens, as it is recorded."""
    event = {
        "id": str(uuid4()),
        "at": AT,
        "day": DAY,
        "route": "/api/chat",
        "tenant": str(TENANT),
        "key": str(KEY),
        "model": "tiny:1b",
        "status": 200,
        "outcome": "ok",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "charged": 7,
        "count": 1,
    }
    return orjson.dumps(event | fields)


def spool_of(records: Sequence[bytes]) -> FakeBacklog:
    """A spool that holds a chain of these records."""
    writer = uuid4()
    spool = FakeBacklog(writer=writer, base=(0, chain.start(writer)))
    append(spool, records)
    return spool


def append(spool: FakeBacklog, records: Sequence[bytes]) -> None:
    """More records for a spool."""
    link = spool.written[-1].chain_hash if spool.written else spool.base[1]
    for each in records:
        link = chain.link(link, each)
        spool.written.append(Final(spool.writer, spool.last_seq + 1, link, each))


def lines(tokens: int) -> set[LedgerLine]:
    """What the ledger has where so many tokens were used by one key on one day."""
    periods = (("day", DAY), ("month", "2026-11-01"), ("total", "1970-01-01"))
    return {
        LedgerLine(scope, period, starts_on, tokens)
        for scope in ("t", f"k:{KEY}")
        for period, starts_on in periods
    }


class Gateway:
    """The flushing half of a process."""

    def __init__(self, case: TestCase, database: DatabaseThreads, spool: FakeBacklog) -> None:
        self.home = Path(case.mktemp())
        self.home.mkdir()
        self.letters = self.home / "dead-letter"
        signer = open_signer(
            None,
            state_dir=self.home,
            checkpoints=None,
            now=time.time,
        )
        batches = BatchWriter(
            rows=audit_rows,
            lines=lines_of_charges,
            signer=signer,
            letters=DeadLetters(self.letters),
        )
        self.told: list[Flushed] = []
        in_thread = partial(in_own_thread, reactor, name="audit")
        self.flusher = Flusher(
            reactor, database, batches, spool, in_thread=in_thread, told=self.told.append
        )
        self.flusher.startService()
        case.addCleanup(self.stop)

    async def drain(self, within_s: float = 10.0) -> None:
        """Until nothing waits."""
        await until(lambda: not self.flusher.lag().waiting, within_s)

    def stop(self) -> Deferred[None]:
        """End it."""
        return self.flusher.stopService()


def figures(admin: psycopg.Connection) -> tuple[int, int, int, int]:
    """Rows, what they charge, what the tenant's ledger says, and how many are tombstones."""
    row = admin.execute(
        """
        SELECT count(*), coalesce(sum(charged), 0),
            (SELECT coalesce(sum(tokens), 0) FROM gateway.budget_usage
                WHERE scope_kind = 'tenant' AND period = 'total'),
            count(*) FILTER (WHERE outcome = 'dead_letter')
        FROM gateway.audit_log
        """
    ).fetchone()
    assert row is not None
    rows, charged, ledger, dead = map(int, row)
    return rows, charged, ledger, dead


class Well(TestCase):
    """A shared server with a database of this test's own."""

    def setUp(self) -> None:
        """One process that flushes."""
        urls = new_database(self)
        self.url = urls.url
        self.admin = admin_connection(self, urls.admin_url)
        self.spool = spool_of([])
        self.gateway = Gateway(self, started(self, urls.url), self.spool)

    async def test_records_are_rows(self) -> None:
        """Thousands are there soon, in the order of their chain, once on the ledger."""
        spool = self.spool
        append(spool, [record() for _ in range(2000)])
        await self.gateway.drain()
        self.assertEqual(figures(self.admin), (2000, 14_000, 14_000, 0))
        self.assertEqual(spool.flushed_to, 2000)

    async def test_statements(self) -> None:
        """The first batch, each thousand records and the end are signed, in table and file."""
        spool = self.spool
        append(spool, [record() for _ in range(2700)])
        await self.gateway.drain()
        await self.gateway.stop()
        rows = self.admin.execute(
            "SELECT kind, seq, statement FROM gateway.audit_checkpoints ORDER BY id"
        ).fetchall()
        self.assertEqual(
            [row[:2] for row in rows],
            [("checkpoint", 1000), ("checkpoint", 2000), ("closed", 2700)],
        )
        lines = (self.gateway.home / "audit-checkpoints.jsonl").read_bytes().splitlines()
        statements = [orjson.loads(line)["statement"].encode() for line in lines]
        self.assertEqual(statements, [bytes(row[2]) for row in rows])

    async def test_poison(self) -> None:
        """Whatever the database refuses is a tombstone that charges; within a second all is in."""
        good = [record() for _ in range(995)]
        poison = [
            record(model="NUL \x00 in it"),
            record(user_agent="\x00"),
            record(status=99_999),
            record(route=None),
            record(prompt_tokens="three"),
            b"no JSON at all",
        ]
        spool = self.spool
        append(spool, [*good[:3], *poison[:3], *good[3:700], *poison[3:], *good[700:]])
        began = reactor.seconds()
        await self.gateway.drain()
        self.assertLess(reactor.seconds() - began, 5.0)
        rows, charged, ledger, dead = figures(self.admin)
        self.assertEqual((rows, dead), (1001, 6))
        # All but the one that is no record say what they cost.
        self.assertEqual((charged, ledger), (7000, 7000))
        letters = list(read_letters(self.gateway.letters))
        self.assertEqual([letter.final.seq for letter in letters], [4, 5, 6, 704, 705, 706])
        kept = self.admin.execute(
            "SELECT record FROM gateway.audit_log WHERE outcome = 'dead_letter' ORDER BY seq"
        ).fetchall()
        self.assertEqual([bytes(row[0]) for row in kept], [each.final.record for each in letters])

    async def test_states_of_the_server(self) -> None:
        """Full, read-only, ending, busy or forbidding: nothing is condemned, and all goes on."""
        spool = self.spool
        codes = ("53100", "25006", "53300", "57P01", "53200", "42501", "40P01", "55P03", "XX000")
        for code in codes:
            self._refuse(code)
            append(spool, [record() for _ in range(10)])
            refusals = self.gateway.flusher.faults
            await until(lambda: self._refused() > 0)
            self.assertEqual(self.gateway.flusher.lag().waiting, 10, code)
            self.admin.execute("DROP TRIGGER refuse ON gateway.audit_log")
            await self.gateway.drain()
            self.assertLessEqual(self.gateway.flusher.faults - refusals, 1, code)
        count = 10 * len(codes)
        self.assertEqual(figures(self.admin), (count, 7 * count, 7 * count, 0))
        self.assertEqual(list(read_letters(self.gateway.letters)), [])
        self.flushLoggedErrors()

    async def test_read_only(self) -> None:
        """A database that became read-only is a state of the server, as it really says it."""
        name = self.admin.info.dbname
        spool = self.spool
        append(spool, [record() for _ in range(10)])
        self.admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await until(lambda: spool.readings > 1)
        self.assertEqual(figures(self.admin)[0], 0)
        self.admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        self._end_sessions()
        await self.gateway.drain()
        self.assertEqual(figures(self.admin), (10, 70, 70, 0))

    async def test_out_of_connections(self) -> None:
        """A server that has no connection to give costs no record."""
        spool = self.spool
        self._limit_connections(0)
        self._end_sessions()
        self.assertRaises(psycopg.OperationalError, service_connection, self, self.url)
        append(spool, [record() for _ in range(10)])
        await until(lambda: spool.readings > 1)
        self.assertEqual(figures(self.admin)[0], 0)
        self._limit_connections(-1)
        await self.gateway.drain()
        self.assertEqual(figures(self.admin), (10, 70, 70, 0))

    async def test_two_at_once(self) -> None:
        """Two processes that flush the same spool add each record, and its charge, once."""
        ours = spool_of([record() for _ in range(1500)])
        theirs = evolve(ours)
        gateways = [Gateway(self, started(self, self.url), spool) for spool in (ours, theirs)]
        await gatherResults([Deferred.fromCoroutine(each.drain()) for each in gateways])
        self.assertEqual(figures(self.admin), (1500, 10_500, 10_500, 0))

    async def test_calls_are_told(self) -> None:
        """Of each admitted call one hears, with the ledger's values that have it in them."""
        calls = [record(id=f"{number:08}-0000-4000-8000-000000000000") for number in range(1500)]
        refused = [record(model=None, charged=0) for _ in range(3)]
        append(self.spool, [*refused, *calls])
        await self.gateway.drain()
        told = self.gateway.told
        ids = [each for flushed in told for each in flushed.ids]
        self.assertEqual(ids, [orjson.loads(each)["id"] for each in calls])
        self.assertEqual({flushed.tenant for flushed in told}, {str(TENANT)})
        self.assertEqual(set(told[-1].lines), lines(10_500))

    async def test_calls_of_dead_letters_are_told(self) -> None:
        """A record that was refused is on the ledger too."""
        append(self.spool, [record(status=99_999), b"no JSON at all"])
        await self.gateway.drain()
        (told,) = self.gateway.told
        self.assertEqual(list(told.ids), [orjson.loads(self.spool.written[0].record)["id"]])
        self.assertEqual(set(told.lines), lines(7))

    async def test_calls_that_were_there_are_told(self) -> None:
        """Who writes what another has written adds nothing, and tells all the same values."""
        append(self.spool, [record() for _ in range(10)])
        await self.gateway.drain()
        other = Gateway(self, started(self, self.url), spool_of([]))
        other.flusher.adopt(evolve(self.spool))
        await until(lambda: other.told)
        self.assertEqual(figures(self.admin)[0], 10)
        self.assertEqual(list(other.told[0].ids), list(self.gateway.told[0].ids))
        self.assertEqual(set(other.told[0].lines), lines(70))

    async def test_calls_that_cost_nothing_are_told(self) -> None:
        """They are on no account, but their time as pending is over."""
        append(self.spool, [record(charged=0)])
        await self.gateway.drain()
        (told,) = self.gateway.told
        self.assertEqual((len(told.ids), list(told.lines)), (1, []))

    def _refuse(self, code: str) -> None:
        """Have every new row refused with this SQLSTATE, as the server would."""
        self.admin.execute(
            f"""
            CREATE SEQUENCE IF NOT EXISTS gateway.refused;
            SELECT setval('gateway.refused', 1, false);
            CREATE OR REPLACE FUNCTION gateway.refuse() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER AS $$
            BEGIN
                PERFORM nextval('gateway.refused');
                RAISE EXCEPTION 'refused' USING ERRCODE = '{code}';
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON gateway.audit_log
                FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse();
            """
        )

    def _refused(self) -> int:
        row = self.admin.execute("SELECT is_called::int FROM gateway.refused").fetchone()
        assert row is not None
        return int(row[0])

    def _limit_connections(self, number: int) -> None:
        name = sql.Identifier(self.admin.info.dbname)
        self.admin.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(number))
        )

    def _end_sessions(self) -> None:
        self.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class Faults(TestCase):
    """A server of this test's own."""

    def setUp(self) -> None:
        """Begin to flush into it."""
        self.servers = private_servers(self)
        urls = self.servers.urls
        assert urls.database_url is not None
        assert urls.database_admin_url is not None
        self.admin_url = urls.database_admin_url
        self.spool = spool_of([record() for _ in range(3000)])
        self.gateway = Gateway(self, started(self, urls.database_url), self.spool)

    async def test_killed_and_back(self) -> None:
        """A crash of the server in the midst of it loses nothing and doubles nothing."""
        await until(lambda: self.spool.flushed_to > 0)
        self.servers.kill("postgres")
        append(self.spool, [record() for _ in range(500)])
        await until(lambda: self.servers.has_ended("postgres"))
        readings = self.spool.readings
        await until(lambda: self.spool.readings > readings + 1)
        self.assertGreater(self.gateway.flusher.lag().oldest_s, 0)
        self.servers.restart("postgres")
        await self.gateway.drain(20)
        self.assertEqual(figures(admin_connection(self, self.admin_url)), (3500, 24_500, 24_500, 0))

    async def test_frozen(self) -> None:
        """A server that hangs is asked again, with less; what it had committed is not doubled."""
        await until(lambda: self.spool.flushed_to > 0)
        self.servers.freeze("postgres")
        readings = self.spool.readings
        await until(lambda: self.spool.readings > readings + 1)
        self.servers.thaw()
        await self.gateway.drain(20)
        self.assertEqual(figures(admin_connection(self, self.admin_url)), (3000, 21_000, 21_000, 0))
