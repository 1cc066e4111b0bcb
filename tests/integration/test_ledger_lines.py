"""What the ledger has, as the limiter reads it, on a real PostgreSQL as role gateway_app."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
from twisted.trial.unittest import TestCase

from neuronetz_twisted.audit.charges import Charge
from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.ledger import LedgerLine
from neuronetz_twisted.stores.audit_rows import TOTAL_STARTS_ON
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.ledger_lines import PostgresLedger, lines_of, lines_of_charges
from tests.database import started
from tests.servers import admin_connection, new_database

TODAY = date(2031, 5, 1)
DAY = timedelta(days=1)


class LedgerCase(TestCase):
    def setUp(self) -> None:
        """One tenant with two keys, and another with one."""
        urls = new_database(self)
        self.url = urls.url
        self.admin = admin_connection(self, urls.admin_url)
        self.tenant, self.other = self.add_tenant("acme"), self.add_tenant("other")
        self.first, self.second = self.add_key(self.tenant, "a"), self.add_key(self.tenant, "b")
        self.foreign = self.add_key(self.other, "a")

    def add_tenant(self, name: str) -> UUID:
        """A tenant."""
        return self.new_id(
            "INSERT INTO gateway.tenants (id, name) VALUES (%s, %s) RETURNING id", uuid4(), name
        )

    def add_key(self, tenant: UUID, name: str) -> UUID:
        """A key of a tenant."""
        return self.new_id(
            "INSERT INTO gateway.api_keys (id, tenant_id, name, scopes)"
            " VALUES (%s, %s, %s, '{}') RETURNING id",
            uuid4(),
            tenant,
            name,
        )

    def new_id(self, statement: str, *values: object) -> UUID:
        """The id of a row that is added."""
        row = self.admin.execute(statement.encode(), values).fetchone()
        assert row is not None
        found: UUID = row[0]
        return found

    def use(self, kind: str, owner: UUID, period: str, starts_on: date, tokens: int) -> None:
        """Have so much on an account."""
        self.admin.execute(
            "INSERT INTO gateway.budget_usage VALUES (%s, %s, %s, %s, %s)",
            (kind, owner, period, starts_on, tokens),
        )

    def use_of_key(self, key: UUID, tokens: int, day: date = TODAY) -> None:
        """Have so much on the day of a key."""
        self.use("key", key, "day", day, tokens)


class LinesTests(LedgerCase):
    def lines(self, today: date = TODAY) -> set[tuple[str, str, str, int]]:
        """What is read of the tenant."""
        engine = service_engine(self.url, application_name="test", pool_size=1)
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            found = lines_of(connection, self.tenant, today)
        self.assertEqual(len(set(found)), len(found))
        return {(line.scope, line.period, line.date, line.tokens) for line in found}

    def test_nothing(self) -> None:
        """Who has used nothing has no line."""
        self.use_of_key(self.foreign, 5)
        self.assertEqual(self.lines(), set())

    def test_around_midnight(self) -> None:
        """Yesterday, today and tomorrow, and the months of all three."""
        for shift in range(-2, 3):
            self.use_of_key(self.first, 10 + shift, TODAY + shift * DAY)
        for month in (3, 4, 5, 6):
            self.use("tenant", self.tenant, "month", date(2031, month, 1), month)
        self.assertEqual(
            self.lines(),
            {
                (f"k:{self.first}", "day", "2031-04-30", 9),
                (f"k:{self.first}", "day", "2031-05-01", 10),
                (f"k:{self.first}", "day", "2031-05-02", 11),
                ("t", "month", "2031-04-01", 4),
                ("t", "month", "2031-05-01", 5),
            },
        )

    def test_all_keys(self) -> None:
        """The lines of all keys of the tenant, and of no other."""
        for key in (self.first, self.second, self.foreign):
            self.use("key", key, "total", TOTAL_STARTS_ON, 2**62)
        self.use("tenant", self.other, "total", TOTAL_STARTS_ON, 1)
        self.use("tenant", self.tenant, "total", TOTAL_STARTS_ON, 8)
        self.assertEqual(
            self.lines(),
            {
                (f"k:{self.first}", "total", "1970-01-01", 2**62),
                (f"k:{self.second}", "total", "1970-01-01", 2**62),
                ("t", "total", "1970-01-01", 8),
            },
        )

    def test_tenant_without_keys(self) -> None:
        """Its own lines are there."""
        self.admin.execute("DELETE FROM gateway.api_keys")
        self.use("tenant", self.tenant, "day", TODAY, 3)
        self.assertEqual(self.lines(), {("t", "day", "2031-05-01", 3)})

    def test_of_charges(self) -> None:
        """By tenant, each line once, and only those of accounts that were charged."""
        self.use_of_key(self.first, 1)
        self.use_of_key(self.first, 2, TODAY + DAY)
        self.use_of_key(self.second, 3)
        self.use_of_key(self.foreign, 4)
        self.use("tenant", self.tenant, "day", TODAY, 5)
        self.use("tenant", self.other, "total", TOTAL_STARTS_ON, 6)
        charges = [
            Charge(self.tenant, self.first, TODAY),
            Charge(self.tenant, self.second, TODAY),
            Charge(self.other, self.foreign, TODAY + DAY),
            Charge(uuid4(), uuid4(), TODAY),
        ]
        engine = service_engine(self.url, application_name="test", pool_size=1)
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            found = lines_of_charges(connection, charges)
        self.assertEqual(set(found), {self.tenant, self.other})
        self.assertCountEqual(
            found[self.tenant],
            [
                LedgerLine(f"k:{self.first}", "day", "2031-05-01", 1),
                LedgerLine(f"k:{self.second}", "day", "2031-05-01", 3),
                LedgerLine("t", "day", "2031-05-01", 5),
            ],
        )
        self.assertEqual(list(found[self.other]), [LedgerLine("t", "total", "1970-01-01", 6)])


class LedgerTests(LedgerCase):
    async def test_today(self) -> None:
        """It is the day of PostgreSQL's clock, in UTC, whatever zone the server has."""
        name = self.admin.info.dbname
        self.admin.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET timezone TO 'Pacific/Kiritimati'").format(
                psycopg.sql.Identifier(name)
            )
        )
        today = datetime.now(UTC).date()
        for shift in range(-3, 4):
            self.use_of_key(self.first, 10 + shift, today + shift * DAY)
        found = await PostgresLedger(started(self, self.url))(str(self.tenant))
        # The day may have ended meanwhile.
        days = sorted(line.tokens for line in found)
        self.assertIn(days, ([9, 10, 11], [10, 11, 12]))

    async def test_away(self) -> None:
        """Without a database it says so."""
        database = started(self, self.url)
        await database.stopService()
        with self.assertRaises(DatabaseUnavailable):
            await PostgresLedger(database)(str(self.tenant))
