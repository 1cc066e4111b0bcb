"""When retention looks, what it does then, and what it keeps for later."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.retention import (
    AGAIN_S,
    PERIOD_S,
    MonthsInUse,
    Retention,
    Trimmer,
)
from neuronetz_twisted.audit.signing import Signed
from neuronetz_twisted.errors import DatabaseUnavailable
from tests.unit.audit.chains import AT, COLUMNS, KEY, Row, chain_of, row, rows, signed

T = TypeVar("T")

CONNECTION: Any = object()
BEGUN = datetime.fromtimestamp(AT / 1_000_000, UTC)
KEEP_DAYS = 99
OLD = (BEGUN + timedelta(days=KEEP_DAYS, hours=1)).timestamp()
WRITERS = (UUID(int=3), UUID(int=4))


@frozen
class Month:
    """One month, as far as retention looks at it."""

    name: str
    starts: datetime = BEGUN - timedelta(days=1)
    ends: datetime = BEGUN + timedelta(days=30)


@define
class Months:
    """Months that are kept in a list; `done` is what was asked for, in its order.

    `late` are those with records that came later than they say. Each has `held`, the records of
    two writers, of which is known what was `signed`, and nothing of what is before them.
    """

    held: dict[str, list[Row]] = field(factory=dict)
    signed: list[Signed] = field(factory=list)
    before: bytes | None = None

    late: list[Month] = field(factory=list)
    old: list[Month] = field(factory=list)
    new: list[str] = field(factory=list)
    done: list[tuple[Any, ...]] = field(factory=list)

    def ensure(self, connection: Any) -> list[str]:
        """Make what is new, once."""
        assert connection is CONNECTION
        self.done.append(("ensure",))
        made, self.new = self.new, []
        return made

    def expired(self, _: Any, keep_days: int) -> list[Month]:
        """All that is old."""
        self.done.append(("expired", keep_days))
        return list(self.old)

    def hold(self, _: Any, partition: Month, keep_days: int) -> bool:
        """Hold a month, unless it is a late one."""
        self.done.append(("hold", partition, keep_days))
        return partition not in self.late

    def columns(self) -> Sequence[str]:
        """All."""
        return COLUMNS

    def rows(self, _: Any, partition: Month) -> list[Row]:
        """What it holds."""
        self.done.append(("rows", partition))
        return self.held[partition.name]

    def hash_before(self, *_: Any) -> bytes | None:
        """What is known."""
        return self.before

    def statements(self, _: Any, writer: UUID, *, first: int, last: int) -> list[Signed]:
        """What was signed of a writer, with what was not asked for."""
        assert first <= last
        return [each for each in self.signed if each.writer == writer]

    def drop(self, _: Any, partition: Month, keep_days: int) -> None:
        """Forget a month."""
        self.done.append(("drop", partition, keep_days))
        self.old.remove(partition)


@define
class Signing:
    """Signs and publishes; `broken` is what publishing raises."""

    published: list[Signed] = field(factory=list)
    broken: Exception | None = None

    def sign(self, **said: Any) -> Signed:
        """Sign what is asked for."""
        assert said.pop("kind") == "trim"
        first = said.pop("first")
        final = chain_of(1)[0].__class__(**said, record=b"")
        return signed(final, "trim", first=first)

    def publish(self, signed: Signed) -> None:
        """Keep it, or not."""
        if self.broken is not None:
            raise self.broken
        self.published.append(signed)


@define
class Database:
    """Runs at once; `away` is what it fails with, `hung` whether it does not answer."""

    away: Exception | None = None
    hung: Deferred[Any] | None = None

    def run(self, fn: Callable[[Any], T]) -> Deferred[T]:
        """Call `fn`."""
        if self.hung is not None:
            return self.hung
        return fail(self.away) if self.away is not None else maybeDeferred(fn, CONNECTION)


class RetentionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A service with all its parts."""
        self.clock, self.database = Clock(), Database()
        self.months, self.signing = Months(), Signing()
        self.written: list[Signed] = []
        self.now = OLD
        trimmer = Trimmer(
            months=self.months,
            signer=self.signing,
            write_checkpoint=lambda _, signed: self.written.append(signed),
            trusted=lambda: {KEY.public},
            now=lambda: self.now,
            keep_days=KEEP_DAYS,
        )
        self.service = Retention(
            self.clock,
            self.database,
            trimmer,
            in_thread=maybeDeferred,
        )

    def fill(self, *names: str) -> list[Row]:
        """Old months of the same records, all signed; gives the rows of the last."""
        chains = [chain_of(number, writer) for number, writer in enumerate(WRITERS, start=3)]
        for name in names:
            self.months.old.append(Month(name))
            self.months.held[name] = [each for chain in chains for each in rows(chain)]
        self.months.signed = [signed(chain[-1]) for chain in chains]
        return self.months.held[names[-1]]

    def start(self) -> None:
        """Start it, to be stopped at the test's end."""
        self.service.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Stop it; it leaves nothing behind."""
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def looks(self) -> int:
        """How often it has looked."""
        return self.months.done.count(("ensure",))

    def test_once_an_hour(self) -> None:
        """It looks at its start, and then once an hour."""
        self.start()
        self.assertEqual(self.months.done, [("ensure",), ("expired", 99)])
        self.clock.advance(PERIOD_S - 1)
        self.assertEqual(self.looks(), 1)
        self.clock.advance(1)
        self.assertEqual(self.looks(), 2)

    def test_drop(self) -> None:
        """Each old month is signed away and dropped in a transaction of its own, oldest first."""
        self.fill("a", "b")
        first, second = Month("a"), Month("b")
        with capturedLogs() as logs:
            self.start()
        step = [("ensure",), ("expired", 99)]
        self.assertEqual(
            self.months.done,
            [
                *(*step, ("hold", first, 99), ("rows", first), ("drop", first, 99)),
                *(*step, ("hold", second, 99), ("rows", second), ("drop", second, 99)),
                *step,
            ],
        )
        self.assertEqual(
            [(each.kind, each.seq) for each in self.written], [("trim", 3), ("trim", 4)] * 2
        )
        self.assertEqual(self.signing.published, self.written)
        self.assertEqual([event.get("month") for event in logs], ["a", "b"])

    def test_late(self) -> None:
        """A month whose records came late is passed over, and keeps no other from going."""
        self.fill("a", "b")
        late = Month("a")
        self.months.late = [late]
        self.start()
        self.assertEqual(self.months.old, [late])
        self.assertNotIn(("rows", late), self.months.done)
        self.assertEqual(len(self.written), 2)

    def test_not_as_written(self) -> None:
        """A month with a row that was changed stays, is told of once, and holds up no other."""
        held = self.fill("b", "a")
        held[1] = row(chain_of(3, WRITERS[0])[1], started_at=BEGUN)
        with capturedLogs() as logs:
            self.start()
            self.clock.advance(PERIOD_S)
        self.assertEqual(self.months.old, [Month("a")])
        self.assertEqual(len(self.written), 2)
        (told,) = [each["reason"] for each in logs if each["log_level"] is LogLevel.critical]
        self.assertIn(f"a stays: record 2 of writer {WRITERS[0]} says something else", told)
        held[1] = row(chain_of(3, WRITERS[0])[1], outcome="other")
        with capturedLogs() as logs:
            self.clock.advance(PERIOD_S)
        self.assertEqual([each["log_level"] for each in logs], [LogLevel.critical])

    def test_our_clock(self) -> None:
        """What is young by the gateway's clock stays, whatever the database calls old."""
        self.fill("a")
        self.now -= 3601
        self.start()
        self.assertEqual((self.months.old, self.written), ([Month("a")], []))

    def test_nobody_known_has_signed(self) -> None:
        """Records for which no known key has signed anything go without a word of ours."""
        self.fill("a")
        self.months.signed = self.months.signed[:1]
        self.start()
        self.assertEqual(self.months.old, [])
        self.assertEqual([each.writer for each in self.written], [WRITERS[0]])

    def test_behind_the_last_statement(self) -> None:
        """It is signed up to there, if that is what was signed."""
        self.fill("a")
        chain = chain_of(3, WRITERS[0])
        self.months.signed[0] = signed(chain[1])
        self.start()
        first, _ = self.written
        self.assertEqual((first.seq, first.chain_hash), (2, chain[1].chain_hash))

    def test_not_the_signed_ones(self) -> None:
        """A chain that does not lead to what was signed stays, and so does one that lost its head.

        The last case is a statement of a record that is not of this month's run.
        """
        chain = chain_of(3, WRITERS[0])
        for statement in (
            signed(chain[2]._replace(chain_hash=b"x" * 32)),
            signed(chain[1]._replace(chain_hash=b"x" * 32)),
            signed(chain[1]._replace(seq=0)),
        ):
            self.fill("a")
            self.months.signed[0] = statement
            self.start()
            self.stop()
            self.assertEqual((self.months.old, self.written), ([Month("a")], []))
            self.months.old = []

    def test_in_use(self) -> None:
        """Where somebody reads a month it comes back soon, and says so once until it is through."""
        for _ in range(2):
            self.database.away = MonthsInUse()
            with capturedLogs() as logs:
                self.start()
                self.clock.advance(AGAIN_S)
            self.assertEqual([event["log_level"] for event in logs], [LogLevel.info])
            looks = self.looks()
            self.database.away = None
            self.clock.advance(AGAIN_S)
            self.assertEqual(self.looks(), looks + 1)
            self.stop()

    def test_made(self) -> None:
        """What was made is told."""
        self.months.new = ["m1", "m2"]
        with capturedLogs() as logs:
            self.start()
        self.assertEqual([event["months"] for event in logs], ["m1, m2"])

    def test_database_away(self) -> None:
        """It comes back soon where the database was away."""
        self.database.away = DatabaseUnavailable("away")
        self.start()
        self.database.away = None
        self.clock.advance(AGAIN_S)
        self.assertEqual(self.looks(), 1)

    def test_fault(self) -> None:
        """Any other fault is told, and tried again in an hour."""
        self.database.away = ZeroDivisionError()
        with capturedLogs() as logs:
            self.start()
        self.assertEqual([event["log_level"] for event in logs], [LogLevel.critical])
        self.flushLoggedErrors(ZeroDivisionError)
        self.database.away = None
        self.clock.advance(AGAIN_S)
        self.assertEqual(self.looks(), 0)
        self.clock.advance(PERIOD_S)
        self.assertEqual(self.looks(), 1)

    def test_file_is_full(self) -> None:
        """A statement that could not be published is, with the next look, and in its order."""
        self.fill("a")
        self.signing.broken = OSError("full")
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
        self.assertEqual(self.signing.published, [])
        self.signing.broken = None
        self.clock.advance(PERIOD_S)
        self.assertEqual(self.signing.published, self.written)

    def test_stop_while_it_waits(self) -> None:
        """A stop gives up what is asked of the database."""
        cancelled: list[object] = []
        self.database.hung = Deferred(cancelled.append)
        self.service.startService()
        self.stop()
        self.assertEqual(len(cancelled), 1)

    def test_stop_twice(self) -> None:
        """A second stop does nothing, nor does one before the start."""
        self.stop()
        self.service.startService()
        self.stop()
        self.stop()
