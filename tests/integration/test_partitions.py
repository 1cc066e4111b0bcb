"""The months of the record, on a real PostgreSQL: made, filled, dropped, and by whom."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
from psycopg.errors import (
    InsufficientPrivilege,
    InvalidParameterValue,
    LockNotAvailable,
    ObjectNotInPrerequisiteState,
)
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.retention import MonthsInUse
from neuronetz_twisted.stores import migrate, partitions
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.partitions import Partition
from tests.servers import DatabaseUrls, admin_connection, new_database, service_connection

WRITERS = (
    UUID("aaaaaaaa-0000-4000-8000-000000000001"),
    UUID("aaaaaaaa-0000-4000-8000-000000000002"),
)
ADD = """
INSERT INTO gateway.audit_log (id, started_at, route, outcome, writer, seq, record, chain_hash)
VALUES (gen_random_uuid(), %s, '/api/chat', 'ok', %s, %s, '', %s)
"""
SIGN = """
INSERT INTO gateway.audit_checkpoints
    (writer, seq, kind, created_at, chain_hash, statement, signature, signer)
VALUES (%s, %s, %s, %s, '', '', '', '')
"""
WHERE = "SELECT tableoid::regclass::text, count(*) FROM gateway.audit_log GROUP BY 1 ORDER BY 1"


def add(connection: psycopg.Connection, at: str, seq: int, writer: UUID = WRITERS[0]) -> None:
    """A record that began at that moment; its link names its number."""
    connection.execute(ADD, (at, writer, seq, b"%d" % seq))


def sign(connection: psycopg.Connection, at: str, seq: int, *, kind: str = "checkpoint") -> None:
    """A statement on the first writer that the server took at that moment."""
    connection.execute(SIGN, (WRITERS[0], seq, kind, at))


class PartitionCase(SynchronousTestCase):
    """A database of each test's own."""

    def setUp(self) -> None:
        """A session of its owner, and one of the service."""
        self.urls: DatabaseUrls = new_database(self)
        self.owner = admin_connection(self, self.urls.admin_url)
        # No answer may depend on where a session believes to be.
        self.owner.execute("SET TimeZone = 'America/New_York'")
        self.service = service_connection(self, self.urls.url)
        self.engine = service_engine(self.urls.url, application_name="test")
        self.addCleanup(self.engine.dispose)

    def connection(self) -> Connection:
        """A transaction as the service has them."""
        return self.engine.connect()

    def ensure_on(self, today: date, months_ahead: int = 2) -> list[str]:
        """What is made on that day."""
        rows = self.owner.execute(
            "SELECT gateway.ensure_audit_partitions_on(%s, %s)", (today, months_ahead)
        ).fetchall()
        return [name for (name,) in rows]

    def drop_on(self, today: date, name: str, keep_days: int | None = 365) -> None:
        """Drop a month on that day."""
        self.owner.execute(
            "SELECT gateway.drop_audit_partition_on(%s, %s, %s)", (today, name, keep_days)
        )

    def months(self) -> list[Partition]:
        """What there is."""
        with self.connection() as connection:
            return partitions.months(connection)

    def where(self) -> dict[str, int]:
        """How many rows lie in which partition."""
        return {
            name.removeprefix("gateway."): count
            for name, count in self.owner.execute(WHERE).fetchall()
        }


class Making(PartitionCase):
    """Months come into being ahead of time."""

    def test_migration_makes_the_first(self) -> None:
        """A new database has this month and two more, and asking again makes none."""
        today = datetime.now(UTC).date()
        first, *_, last = self.months()
        self.assertEqual(first.starts.date(), today.replace(day=1))
        self.assertGreater(last.ends.date() - today, timedelta(days=59))
        self.assertEqual(len(self.months()), partitions.MONTHS_AHEAD + 1)
        with self.connection() as connection:
            self.assertEqual(partitions.ensure(connection), [])

    def test_service_makes_more(self) -> None:
        """The service may ask for months, and is told which are new."""
        with self.connection() as connection:
            before = partitions.months(connection)
            (made,) = partitions.ensure(connection, partitions.MONTHS_AHEAD + 1)
            self.assertEqual([*before, partitions.months(connection)[-1]][-1].name, made)

    def test_bounds_are_utc(self) -> None:
        """A month begins and ends at midnight in UTC, wherever the session believes to be."""
        self.assertEqual(self.ensure_on(date(2031, 12, 31), 0), ["audit_log_2031_12"])
        self.assertIn(
            Partition(
                "audit_log_2031_12",
                datetime(2031, 12, 1, tzinfo=UTC),
                datetime(2032, 1, 1, tzinfo=UTC),
            ),
            self.months(),
        )
        for seq, at in enumerate(
            ("2031-12-01 00:00Z", "2031-12-31 23:59:59.999999Z", "2032-01-01 00:00Z")
        ):
            add(self.service, at, seq)
        self.assertEqual(self.where(), {"audit_log_2031_12": 2, "audit_log_default": 1})

    def test_default_gives_up_its_rows(self) -> None:
        """Rows that came before their month was made move to it, and no other row does."""
        for seq, at in enumerate(
            ("2031-04-30 23:00Z", "2031-05-01Z", "2031-05-31Z", "2031-06-01Z")
        ):
            add(self.service, at, seq)
        self.assertEqual(self.where(), {"audit_log_default": 4})
        self.ensure_on(date(2031, 5, 7), 0)
        self.assertEqual(
            self.where(), {"audit_log_2031_04": 1, "audit_log_2031_05": 2, "audit_log_default": 1}
        )

    def test_past_months_are_made_for_rows_only(self) -> None:
        """A month that has passed exists if something is left in it; one to come has to wait."""
        add(self.service, "2030-01-15Z", 1)
        add(self.service, "2999-01-15Z", 2)
        add(self.service, "-infinity", 3)
        made = self.ensure_on(date(2031, 5, 7), 1)
        self.assertEqual(made, ["audit_log_2030_01", "audit_log_2031_05", "audit_log_2031_06"])
        self.assertEqual(self.where(), {"audit_log_2030_01": 1, "audit_log_default": 2})

    def test_one_row_is_no_hindrance(self) -> None:
        """A date that no gateway knows makes no month, and keeps none from being made."""
        for seq, at in enumerate(("0044-03-15 BC", "0044-03-15", "1999-12-31 23:59Z")):
            add(self.service, at, seq)
        add(self.service, "2000-01-01Z", 9)
        self.assertEqual(
            self.ensure_on(date(2031, 5, 7), 0), ["audit_log_2000_01", "audit_log_2031_05"]
        )
        self.assertEqual(self.where(), {"audit_log_2000_01": 1, "audit_log_default": 3})

    def test_few_past_months_at_once(self) -> None:
        """Three past months are made by a call, the oldest first; the others by the next ones."""
        for month in range(1, 9):
            add(self.service, f"2030-{month:02}-15Z", month)
        counts = [len(self.ensure_on(date(2031, 5, 7), 1)) for _ in range(4)]
        self.assertEqual(counts, [5, 3, 2, 0])

    def test_a_month_that_cannot_be_made(self) -> None:
        """What stands in the way of one month stands in the way of no other."""
        self.owner.execute(
            "CREATE TABLE gateway.audit_log_2031_05 (x int);"
            "CREATE TABLE gateway.audit_log_2030_01 (x int)"
        )
        for month in range(1, 6):
            add(self.service, f"2030-{month:02}-15Z", month)
        self.assertEqual(
            self.ensure_on(date(2031, 5, 7), 1),
            [*(f"audit_log_2030_{month:02}" for month in (2, 3, 4)), "audit_log_2031_06"],
        )

    def test_any_session(self) -> None:
        """How a session writes time changes neither what is made nor what may be dropped."""
        # A zone whose name is the offset of another one: who reads what it wrote is misled.
        self.owner.execute("SET TimeZone = '<+05>-3'")
        for style in ("SQL, DMY", "German", "Postgres, MDY"):
            self.owner.execute(f"SET DateStyle = '{style}'")
            self.ensure_on(date(2031, 2, 7), 0)
            (month,) = (each for each in self.months() if each.name == "audit_log_2031_02")
            self.assertEqual(month.starts, datetime(2031, 2, 1, tzinfo=UTC))
            with self.connection() as connection:
                for setting in ("TimeZone = '<+05>-3'", f"DateStyle = '{style}'"):
                    connection.execute(text(f"SET {setting}"))
                self.assertIn(month, partitions.months(connection))
            with self.assertRaises(ObjectNotInPrerequisiteState):
                self.drop_on(date(2031, 3, 30), "audit_log_2031_02", 30)
            self.drop_on(date(2031, 3, 31), "audit_log_2031_02", 30)

    def test_a_month_has_all_that_the_record_has(self) -> None:
        """Key, indexes and checks hold in a new month, and the service has no right of its own."""
        self.ensure_on(date(2031, 5, 7), 0)
        indexes = (
            "SELECT count(*) FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid"
            " WHERE indrelid = 'gateway.{}'::regclass"
        )
        default = self.owner.execute(indexes.format("audit_log_default")).fetchone()
        self.assertEqual(
            self.owner.execute(indexes.format("audit_log_2031_05")).fetchone(), default
        )
        with self.assertRaises(psycopg.errors.CheckViolation):
            self.service.execute(
                "INSERT INTO gateway.audit_log (id, started_at, route, outcome, writer, seq,"
                " record, chain_hash, charged) VALUES (gen_random_uuid(), '2031-05-05', '', 'ok',"
                " gen_random_uuid(), 1, '', '', -1)"
            )
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            row = self.owner.execute(
                "SELECT has_table_privilege('gateway_app', 'gateway.audit_log_2031_05', %s)",
                (right,),
            ).fetchone()
            self.assertEqual(row, (False,), right)

    def test_refuses_what_cannot_be_meant(self) -> None:
        """A number of months that is none, or that would fill the catalogue."""
        for months_ahead in (-1, 25):
            with self.assertRaises(InvalidParameterValue):
                self.service.execute("SELECT gateway.ensure_audit_partitions(%s)", (months_ahead,))

    def test_gateways_wait_for_each_other(self) -> None:
        """While one session makes months another waits, within its own patience."""
        with self.owner.transaction():
            self.ensure_on(date(2031, 5, 7), 0)
            self.service.execute("SET lock_timeout = '50ms'")
            with self.assertRaises(LockNotAvailable):
                self.service.execute("SELECT gateway.ensure_audit_partitions(2)")
        self.service.execute("SELECT gateway.ensure_audit_partitions(2)")

    def test_writers_do_not_wait(self) -> None:
        """Who writes to a month that is there is not held up by one that is being made."""
        self.ensure_on(date(2031, 5, 7), 0)
        with self.owner.transaction():
            self.ensure_on(date(2031, 5, 7), 1)
            self.service.execute("SET lock_timeout = '50ms'")
            add(self.service, "2031-05-05Z", 1)
        self.assertEqual(self.where(), {"audit_log_2031_05": 1})


class Dropping(PartitionCase):
    """Months go when all in them is old, and not before."""

    def test_thirteen_months(self) -> None:
        """Day by day for thirteen months: two ahead at any time, each dropped at its day."""
        first = date(2031, 1, 1)
        dropped: dict[str, date] = {}
        for number in range(365 + 61):
            today = first + timedelta(days=number)
            if number < 365:
                add(self.service, today.isoformat(), number)
            self.ensure_on(today)
            months = [month for month in self.months() if month.starts.year >= first.year]
            ahead = [month for month in months if month.starts.date() > today]
            self.assertEqual(len(ahead), 2, today)
            for month in months:
                try:
                    self.drop_on(today, month.name)
                except ObjectNotInPrerequisiteState:
                    continue
                dropped[month.name] = today
        self.assertEqual(
            dropped,
            {
                "audit_log_2031_01": date(2031, 2, 1) + timedelta(days=365),
                "audit_log_2031_02": date(2031, 3, 1) + timedelta(days=365),
            },
        )
        self.assertEqual(sum(self.where().values()), 365 - 31 - 28)
        self.assertNotIn("audit_log_default", self.where())

    def test_keeps_what_is_young(self) -> None:
        """Not a day too early, and never before thirty days, whatever is asked for."""
        self.ensure_on(date(2031, 1, 1), 0)
        for today, keep_days in (
            (date(2031, 3, 2), 30),
            (date(2031, 3, 2), 0),
            (date(2031, 3, 2), -1000),
            (date(2031, 3, 2), None),
            (date(2031, 5, 11), 100),
        ):
            with self.assertRaises(ObjectNotInPrerequisiteState):
                self.drop_on(today, "audit_log_2031_01", keep_days)
        self.drop_on(date(2031, 5, 12), "audit_log_2031_01", 100)
        self.assertNotIn("audit_log_2031_01", [month.name for month in self.months()])

    def test_the_operator_s_days(self) -> None:
        """What was written down with the migration is kept, whatever the service asks for."""
        migrate.upgrade(self.urls.admin_url, keep_days=400)
        migrate.upgrade(self.urls.admin_url, keep_days=100)
        self.ensure_on(date(2031, 1, 1), 0)
        with self.assertRaises(ObjectNotInPrerequisiteState):
            self.drop_on(date(2031, 5, 11), "audit_log_2031_01", 30)
        with self.assertRaises(ObjectNotInPrerequisiteState):
            self.drop_on(date(2031, 5, 12), "audit_log_2031_01", 101)
        self.drop_on(date(2031, 5, 12), "audit_log_2031_01", 30)
        self.assertEqual(
            self.service.execute("SELECT keep_days FROM gateway.audit_retention").fetchall(),
            [(100,)],
        )

    def test_days_of_an_older_revision(self) -> None:
        """A revision without months has no place for them."""
        migrate.downgrade(self.urls.admin_url, "0004")
        migrate.upgrade(self.urls.admin_url, "0004", keep_days=400)
        migrate.upgrade(self.urls.admin_url, keep_days=400)
        rows = self.owner.execute("SELECT keep_days FROM gateway.audit_retention").fetchall()
        self.assertEqual(rows, [(400,)])

    def test_drops_months_only(self) -> None:
        """Neither the default partition nor any other table goes this way."""
        for name in ("audit_log_default", "audit_log", "tenants", "nothing", "x; DROP TABLE y"):
            with self.assertRaises(InvalidParameterValue):
                self.drop_on(date(2099, 1, 1), name)

    def test_service_drops_what_has_expired(self) -> None:
        """The service finds months that are old by the server's clock, and may drop those."""
        add(self.service, "2020-02-15Z", 1)
        with self.connection() as connection:
            self.assertEqual(partitions.ensure(connection), ["audit_log_2020_02"])
            (old,) = partitions.expired(connection, 365)
            self.assertEqual(old.name, "audit_log_2020_02")
            self.assertEqual(partitions.expired(connection, 50_000), [])
            partitions.drop(connection, old, 365)
            self.assertEqual(partitions.expired(connection, 365), [])

    def test_service_cannot_drop_what_is_young(self) -> None:
        """This month stays, whatever the service asks for."""
        with self.connection() as connection:
            this_month = partitions.months(connection)[0]
            with self.assertRaises(DBAPIError) as caught:
                partitions.drop(connection, this_month, 0)
        self.assertIsInstance(caught.exception.orig, ObjectNotInPrerequisiteState)

    def test_service_cannot_say_what_day_it_is(self) -> None:
        """The functions that take a date, or make one month, are the owner's alone."""
        for call in (
            "drop_audit_partition_on('2099-01-01', 'audit_log_2031_01', 30)",
            "ensure_audit_partitions_on('2099-01-01', 2)",
            "hold_audit_partition_on('2099-01-01', 'audit_log_2031_01', 30)",
            "audit_partition_came_before('2099-01-01', 'audit_log_2031_01')",
            "make_audit_partition('2099-01-01')",
        ):
            with self.subTest(call=call), self.assertRaises(InsufficientPrivilege):
                self.service.execute("SELECT gateway." + call)

    def test_a_clock_in_the_past(self) -> None:
        """Records that came today are kept, whatever their dates, and however old others are."""
        add(self.service, "2001-01-01Z", 1)
        sign(self.owner, "now", 1)
        with self.connection() as connection:
            partitions.ensure(connection)
            (month,) = partitions.expired(connection, 365)
            self.assertEqual(month.name, "audit_log_2001_01")
            self.assertFalse(partitions.hold(connection, month, 365))
            with self.assertRaises(DBAPIError) as caught:
                partitions.drop(connection, month, 365)
        self.assertIsInstance(caught.exception.orig, ObjectNotInPrerequisiteState)

    def test_a_clock_that_was_in_the_past(self) -> None:
        """They go when the server has known them for long enough, and never before thirty days."""
        self.ensure_on(date(2031, 1, 1), 0)
        add(self.service, "2031-01-05Z", 7)
        for at, seq in (("2031-06-01Z", 6), ("2031-06-10Z", 8), ("2032-06-01Z", 99)):
            sign(self.owner, at, seq)
        for today, keep_days in ((date(2031, 9, 17), 100), (date(2031, 7, 9), 0)):
            with self.assertRaises(ObjectNotInPrerequisiteState):
                self.drop_on(today, "audit_log_2031_01", keep_days)
        # The writer goes on to this day: what he signs of other records keeps nothing.
        self.drop_on(date(2031, 9, 18), "audit_log_2031_01", 100)

    def test_a_writer_that_ended_early(self) -> None:
        """What lies behind its last checkpoint is as old as that; a trim keeps nothing."""
        self.ensure_on(date(2031, 1, 1), 0)
        add(self.service, "2031-01-05Z", 7)
        sign(self.owner, "2031-06-10Z", 6)
        sign(self.owner, "2031-09-17Z", 9, kind="trim")
        with self.assertRaises(ObjectNotInPrerequisiteState):
            self.drop_on(date(2031, 9, 17), "audit_log_2031_01", 100)
        self.drop_on(date(2031, 9, 18), "audit_log_2031_01", 100)

    def test_a_held_month_is_the_holder_s(self) -> None:
        """Nobody writes to it or reads it before it goes; other months are not held up."""
        add(self.service, "2020-02-15Z", 1)
        self.service.execute("SELECT gateway.ensure_audit_partitions(2)")
        self.service.execute("SET lock_timeout = '50ms'")
        with self.connection() as connection:
            (month,) = partitions.expired(connection, 365)
            self.assertTrue(partitions.hold(connection, month, 365))
            with self.assertRaises(LockNotAvailable):
                add(self.service, "2020-02-15Z", 2)
            add(self.service, datetime.now(UTC).isoformat(), 2)

    def test_only_old_months_can_be_held(self) -> None:
        """The service can keep nobody from this month."""
        self.service.execute("SET lock_timeout = '50ms'")
        with self.connection() as connection:
            this_month = partitions.months(connection)[0]
            self.assertFalse(partitions.hold(connection, this_month, 0))
            add(self.service, this_month.starts.isoformat(), 1)

    def test_months_in_use(self) -> None:
        """A reader, or another gateway, is told apart from a database that is away."""
        add(self.service, "2020-02-15Z", 1)
        self.service.execute("SELECT gateway.ensure_audit_partitions(2)")
        with self.connection() as connection:
            (month,) = partitions.expired(connection, 365)
        reading = "SELECT FROM gateway.audit_log"
        self.assert_in_use(reading, lambda each: partitions.hold(each, month, 365))
        self.assert_in_use(reading, lambda each: partitions.drop(each, month, 365))
        self.assert_in_use("SELECT gateway.ensure_audit_partitions(2)", partitions.ensure)
        self.assertEqual(self.where(), {"audit_log_2020_02": 1})

    def assert_in_use(self, statement: str, step: Callable[[Connection], object]) -> None:
        """A step gives up while the owner is in a transaction with that statement."""
        with self.owner.transaction(), self.connection() as connection:
            self.owner.execute(statement)
            connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with self.assertRaises(MonthsInUse):
                step(connection)

    def test_other_faults_are_told_as_they_are(self) -> None:
        """A statement that takes too long is no lock."""
        self.service.execute("SELECT pg_advisory_lock(x'6e65757061727473'::bigint)")
        self.patch(partitions, "_PATIENCE", text("SET LOCAL statement_timeout = '50ms'"))
        with self.connection() as connection, self.assertRaises(OperationalError):
            partitions.ensure(connection)

    def test_a_reader_holds_up_nobody_for_long(self) -> None:
        """A drop that cannot have its lock gives up, and nothing is dropped."""
        add(self.service, "2020-02-15Z", 1)
        self.service.execute("SELECT gateway.ensure_audit_partitions(2)")
        with self.owner.transaction():
            self.owner.execute("SELECT count(*) FROM gateway.audit_log")
            self.service.execute("SET lock_timeout = '50ms'")
            with self.assertRaises(LockNotAvailable):
                self.service.execute(
                    "SELECT gateway.drop_audit_partition('audit_log_2020_02', 365)"
                )
        self.assertEqual(self.where(), {"audit_log_2020_02": 1})


class Reading(PartitionCase):
    """What a month holds, and what is known of it, before it is dropped."""

    def test_rows(self) -> None:
        """All rows of a month by writer and number, and no other month's."""
        for seq in (7, 2, 1, 3):
            add(self.service, "2020-02-15Z", seq)
        add(self.service, "2020-03-15Z", 4)
        add(self.service, "2020-02-20Z", 9, WRITERS[1])
        with self.connection() as connection:
            partitions.ensure(connection)
            february, march = partitions.expired(connection, 365)
            held = [row[:3] for row in partitions.rows(connection, february)]
            self.assertEqual(
                held,
                [(WRITERS[0], seq, b"%d" % seq) for seq in (1, 2, 3, 7)] + [(WRITERS[1], 9, b"9")],
            )
            self.assertEqual([row[1] for row in partitions.rows(connection, march)], [4])
            this_month = partitions.months(connection)[-1]
            self.assertEqual(list(partitions.rows(connection, this_month)), [])
            names = partitions.columns()
            self.assertEqual(len(names), len(next(partitions.rows(connection, march))))
            self.assertEqual(names[:4], ("writer", "seq", "chain_hash", "record"))

    def test_hash_before(self) -> None:
        """It is that of the row before, else what was signed for it, else nobody knows."""
        add(self.service, "2020-03-15Z", 4)
        sign(self.owner, "now", 5, kind="trim")
        with self.connection() as connection:
            before = [partitions.hash_before(connection, WRITERS[0], seq) for seq in (5, 6, 7)]
            self.assertEqual(before, [b"4", b"", None])
            self.assertIsNone(partitions.hash_before(connection, WRITERS[1], 5))

    def test_statements(self) -> None:
        """Those on the last record and behind it come first, then those before; no trims."""
        for seq in (2, 9, 4, 6, 5, 7):
            sign(self.owner, "now", seq)
        sign(self.owner, "now", 7, kind="trim")
        with self.connection() as connection:
            found = partitions.statements(connection, WRITERS[0], first=4, last=6)
            self.assertEqual([each.seq for each in found], [6, 7, 9, 5, 4])
            self.assertEqual(
                list(partitions.statements(connection, WRITERS[1], first=1, last=9)), []
            )


class GoingBack(PartitionCase):
    """A migration back."""

    def test_records_stay(self) -> None:
        """Without months the records lie in the default partition again, and come back from it."""
        self.ensure_on(date(2031, 5, 7), 0)
        add(self.service, "2031-05-15Z", 1)
        migrate.downgrade(self.urls.admin_url, "0004")
        self.assertEqual(self.where(), {"audit_log_default": 1})
        migrate.upgrade(self.urls.admin_url)
        self.ensure_on(date(2031, 5, 7), 0)
        self.assertEqual(self.where(), {"audit_log_2031_05": 1})
