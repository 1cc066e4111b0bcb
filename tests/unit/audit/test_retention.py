"""When retention looks, what it does then, and what it keeps for later."""

from collections.abc import Callable
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
from tests.unit.audit.chains import chain_of, signed

T = TypeVar("T")

CONNECTION: Any = object()


@frozen
class Month:
    """One month, as far as retention looks at it."""

    name: str


@frozen
class Span:
    """One record of one writer."""

    writer: UUID
    first: int
    last: int
    last_hash: bytes


@define
class Months:
    """Months that are kept in a list; `done` is what was asked for, in its order.

    `late` are those with records that came later than they say.
    """

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

    def spans(self, _: Any, partition: Month) -> list[Span]:
        """Two writers."""
        self.done.append(("spans", partition))
        return [Span(UUID(int=number), 1, number, b"h" * 32) for number in (3, 4)]

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
        trimmer = Trimmer(
            months=self.months,
            signer=self.signing,
            write_checkpoint=lambda _, signed: self.written.append(signed),
            keep_days=99,
        )
        self.service = Retention(
            self.clock,
            self.database,
            trimmer,
            in_thread=maybeDeferred,
        )

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
        first, second = Month("a"), Month("b")
        self.months.old = [first, second]
        with capturedLogs() as logs:
            self.start()
        step = [("ensure",), ("expired", 99)]
        self.assertEqual(
            self.months.done,
            [
                *(*step, ("hold", first, 99), ("spans", first), ("drop", first, 99)),
                *(*step, ("hold", second, 99), ("spans", second), ("drop", second, 99)),
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
        late, old = Month("a"), Month("b")
        self.months.old, self.months.late = [late, old], [late]
        self.start()
        self.assertEqual(self.months.old, [late])
        self.assertNotIn(("spans", late), self.months.done)
        self.assertEqual(len(self.written), 2)

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
        self.months.old = [Month("a")]
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
