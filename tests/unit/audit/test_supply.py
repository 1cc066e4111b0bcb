"""Segments made ready and removed in threads."""

from uuid import uuid4

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs, formatEvent

from neuronetz_twisted.audit.directory import Directory, Segment
from neuronetz_twisted.audit.supply import Supply
from neuronetz_twisted.errors import AuditUnavailable
from tests.unit.audit.spools import LIMITS, SpoolTestCase


class SupplyTests(SpoolTestCase):
    def setUp(self) -> None:
        """Make a supply."""
        super().setUp()
        self.directory = Directory.create(self.root, uuid4(), self.disks.disk())
        self.addCleanup(self.directory.close)
        self.ready: list[Segment] = []
        self.behind: list[Deferred[None] | None] = []
        self.supply = Supply(
            self.clock,
            self.directory,
            evolve(LIMITS, max_bytes=2 << 16),
            in_thread=self.threads,
            ready=self.taken,
            behind=lambda: self.behind.pop() if self.behind else None,
        )

    def taken(self, segment: Segment) -> None:
        """Take a segment, and close it in the end."""
        self.addCleanup(segment.close)
        self.ready.append(segment)

    def test_asked(self) -> None:
        """A segment is made in a thread, one at a time."""
        self.threads.at_once = False
        self.supply.ask()
        self.supply.ask()
        self.assertEqual(self.ready, [])
        self.threads.run()
        self.assertEqual([each.number for each in self.ready], [1])

    def test_full(self) -> None:
        """At the limit it is tried again every second, and says why."""
        for segment in self.supply.first(5):
            self.taken(segment)
        self.assertEqual((len(self.ready), self.supply.stuck), (2, "full"))
        self.supply.ask()
        self.clock.pump([1, 1])
        self.assertEqual(len(self.ready), 2)
        self.directory.remove(self.ready[:1])
        self.clock.advance(0.5)
        self.assertEqual(len(self.ready), 2)
        self.clock.advance(0.5)
        self.assertEqual((len(self.ready), self.supply.stuck), (3, None))

    def test_removal_makes_room(self) -> None:
        """When a segment was removed, room is asked for at once."""
        for segment in self.supply.first(2):
            self.taken(segment)
        self.supply.ask()
        self.supply.remove(self.ready[:1])
        self.clock.advance(0)
        self.assertEqual(len(self.ready), 3)
        self.assertFalse(self.ready[0].path.exists())

    def test_later(self) -> None:
        """What could not be written is not followed by the next at once."""
        self.supply.later()
        self.supply.later()
        self.supply.ask()
        self.assertEqual((self.ready, self.supply.stuck), ([], "io"))
        self.clock.advance(1)
        self.assertEqual((len(self.ready), self.supply.stuck), (1, None))

    def test_removal_that_fails(self) -> None:
        """What cannot be removed yet is tried again with the next."""
        first, second = self.supply.first(2)
        self.behind = [fail(AuditUnavailable(why="io"))]
        self.supply.remove([first])
        self.assertEqual(self.supply.leaving, [first])
        self.behind = [succeed(None)]
        self.supply.remove([second])
        self.assertEqual((self.supply.leaving, self.directory.segments()), ([], []))

    def test_removal_that_goes_on_failing(self) -> None:
        """It is told of when it begins to fail, and not again until it has worked."""
        segments = self.supply.first(2)
        refused = [fail(AuditUnavailable(why="io")) for _ in range(3)]
        with capturedLogs() as events:
            for behind in (*refused[:2], succeed(None), refused[2]):
                self.behind = [behind]
                self.supply.remove(segments)
        self.assertEqual(
            [formatEvent(event).rpartition(":")[0] for event in events],
            [f"segments of the audit spool {self.directory.path} are not removed"] * 2,
        )

    def test_no_thread(self) -> None:
        """Where no thread can be started it is tried again, and told of once."""
        self.threads.refuses = True
        with capturedLogs() as events:
            self.supply.ask()
            self.clock.pump([1, 1])
        self.assertEqual(
            [formatEvent(event).rpartition(": ")[0] for event in events],
            [f"no room can be made in the audit spool {self.directory.path}"],
        )
        self.threads.refuses = False
        self.clock.advance(1)
        self.assertEqual((len(self.ready), self.supply.stuck), (1, None))

    def test_removal_under_way(self) -> None:
        """What is to go during a removal goes behind it."""
        first, second = self.supply.first(2)
        self.threads.at_once = False
        self.supply.remove([first])
        self.supply.remove([second])
        self.threads.run()
        self.assertEqual(self.directory.segments(), [])

    def test_a_thread_that_does_not_work(self) -> None:
        """A fault that nobody expects is logged, and tried again."""

        def broken() -> Segment:
            raise ZeroDivisionError

        real, self.supply._make = self.supply._make, broken  # type: ignore[method-assign]
        with capturedLogs() as events:
            self.supply.ask()
        self.assertEqual(
            formatEvent(events[0]), f"the audit spool {self.directory.path} cannot be looked after"
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.supply.stuck, "io")
        self.supply._make = real  # type: ignore[method-assign]
        self.clock.advance(1)
        self.assertEqual(len(self.ready), 1)

    def test_stop(self) -> None:
        """It stops when no thread is at work, and makes and removes nothing after that."""
        self.threads.at_once = False
        self.supply.ask()
        self.supply.later()
        stopping = Deferred.fromCoroutine(self.supply.stop())
        self.assertNoResult(stopping)
        self.threads.run()
        self.successResultOf(stopping)
        self.supply.ask()
        self.supply.later()
        self.supply.remove(self.ready)
        self.assertEqual((self.threads.work, self.clock.getDelayedCalls()), ([], []))
        self.assertEqual(self.supply.leaving, self.ready)
