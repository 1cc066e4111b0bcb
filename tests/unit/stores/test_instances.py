"""The row of a gateway on a clock: when it is written, and which others count."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores import instances
from neuronetz_twisted.stores.instances import (
    BEAT_S,
    Instances,
    Process,
    is_alive,
    leave,
    others,
    renew,
    this_process,
)

if TYPE_CHECKING:
    from neuronetz_twisted.stores.postgres import DatabaseThreads

OWN = Process(id=UUID(int=1), host="here", pid=100)
AWAY = DatabaseUnavailable("away")


class HeldDatabase:
    """Notes what it is asked, by the name of the function, and answers as it was told."""

    def __init__(self) -> None:
        """It answers at once."""
        self.asked: list[Any] = []
        self.since: list[object] = []
        self.answers: dict[Any, Any] = {renew: "now", leave: None, others: []}
        self.fault: Exception | None = None
        self.held: list[Deferred[Any]] | None = None

    def run(self, fn: Any) -> "Deferred[Any]":
        """Answer."""
        self.asked.append(fn.func)
        self.since.append(fn.keywords.get("since"))
        if self.fault is not None:
            return fail(self.fault)
        if self.held is not None:
            self.held.append(Deferred())
            return self.held[-1]
        return succeed(self.answers[fn.func])


class InstancesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway that has begun, with one living process beside it."""
        self.clock = Clock()
        self.database = HeldDatabase()
        self.living = {100, 101}
        self.instances = Instances(
            self.clock,
            cast("DatabaseThreads", self.database),
            OWN,
            is_alive=lambda pid: pid in self.living,
        )
        self.instances.startService()

    def sees(self, *found: Process) -> bool:
        """Whether there are others, if these have rows."""
        self.database.answers[others] = found
        seen: bool = self.successResultOf(self.instances.others())
        return seen

    def test_beats(self) -> None:
        """The row is written at once, and again every five seconds."""
        self.assertEqual(self.database.asked, [renew])
        self.clock.pump([BEAT_S] * 3)
        self.assertEqual(self.database.asked, [renew] * 4)

    def test_third_last_beat(self) -> None:
        """What is asked goes back to the third last time that the row was written."""
        self.database.since.clear()
        for moment in ("second", "third", "fourth", "fifth"):
            self.database.answers[renew] = moment
            self.clock.advance(BEAT_S)
        self.assertEqual(self.database.since, ["now", "now", "now", "second"])
        self.database.fault = AWAY
        self.clock.advance(BEAT_S)
        self.database.fault = None
        self.sees()
        self.assertEqual(self.database.since[-1], "third")

    def test_away(self) -> None:
        """While the database is away the heart goes on; whether there are others is not known."""
        self.database.fault = AWAY
        self.clock.pump([BEAT_S] * 2)
        self.failureResultOf(self.instances.others(), DatabaseUnavailable)
        self.database.fault = None
        self.clock.advance(BEAT_S)
        self.assertEqual(self.database.asked, [renew] * 3 + [others, renew])

    def test_fault(self) -> None:
        """An error of ours is logged, and the heart goes on."""
        self.database.fault = ZeroDivisionError()
        self.clock.advance(BEAT_S)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.database.fault = None
        self.clock.advance(BEAT_S)
        self.assertEqual(self.database.asked, [renew] * 3)

    def test_alone(self) -> None:
        """Without another row there is no other."""
        self.assertFalse(self.sees())

    def test_elsewhere(self) -> None:
        """A row of another host counts, whatever its pid is to us."""
        self.assertTrue(self.sees(Process(host="there", pid=999)))
        self.assertTrue(self.sees(Process(host="there", pid=OWN.pid)))

    def test_here(self) -> None:
        """A row of our host counts as long as there is a process with its pid that is not ours."""
        dead, alive = Process(host="here", pid=999), Process(host="here", pid=101)
        self.assertFalse(self.sees(dead))
        self.assertTrue(self.sees(alive))
        self.assertTrue(self.sees(dead, alive))
        self.assertFalse(self.sees(Process(host="here", pid=OWN.pid)))

    def test_stop(self) -> None:
        """At its stop the row is taken away, and nothing is left."""
        self.successResultOf(self.instances.stopService())
        self.assertEqual(self.database.asked, [renew, leave])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_in_a_beat(self) -> None:
        """A heartbeat under way ends first: it would write the row again."""
        self.database.held = []
        self.clock.advance(BEAT_S)
        stopped = self.instances.stopService()
        self.assertEqual(self.database.asked, [renew, renew])
        self.database.held.pop().callback("now")
        self.assertEqual(self.database.asked, [renew, renew, leave])
        self.assertNoResult(stopped)
        self.database.held.pop().callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_without_database(self) -> None:
        """A row that cannot be taken away grows old by itself."""
        self.database.fault = AWAY
        self.successResultOf(self.instances.stopService())

    def test_started_again(self) -> None:
        """It may stop before it starts, and start again."""
        self.successResultOf(self.instances.stopService())
        self.successResultOf(self.instances.stopService())
        self.instances.startService()
        self.assertEqual(self.database.asked[-1], renew)
        self.successResultOf(self.instances.stopService())


class ProcessTests(SynchronousTestCase):
    def test_this_process(self) -> None:
        """Two rows of one process have the same host and pid, and ids of their own."""
        first, second = this_process(), this_process()
        self.assertEqual(first.pid, os.getpid())
        self.assertNotEqual(first.id, second.id)
        self.assertEqual(evolve(first, id=second.id), second)

    def test_unknown_system(self) -> None:
        """Where boot or namespace are not told, no two hosts are the same."""
        for name in ("_BOOT", "_NAMESPACE"):
            patch = self.patch(instances, name, Path(self.mktemp()) / "none")
            self.assertNotEqual(this_process().host, this_process().host)
            patch.restore()

    def test_is_alive(self) -> None:
        """Ours is; one that has ended is not; one that may not be asked for, or cannot, may be."""
        self.assertTrue(is_alive(os.getpid()))
        for fault, alive in (
            (ProcessLookupError(), False),
            (PermissionError(), True),
            (OverflowError(), True),
        ):

            def kill(*_: object, fault: Exception = fault) -> None:
                raise fault

            patch = self.patch(os, "kill", kill)
            self.assertEqual(is_alive(7), alive)
            patch.restore()
