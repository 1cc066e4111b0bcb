"""Start in order, stop in order, and a start that fails ends the process once."""

from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import lifecycle
from neuronetz_twisted.config import Settings
from neuronetz_twisted.edge.site import CannotOpen
from neuronetz_twisted.lifecycle import (
    AGAIN_S,
    STOP_S,
    CannotRecord,
    CannotWire,
    Gateway,
    Parts,
)
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.stores.faults import DatabaseFault
from neuronetz_twisted.testing.calls import made_ticket
from neuronetz_twisted.testing.identity import FakeKeyStore
from tests.unit.settings import SETTINGS

if TYPE_CHECKING:
    from neuronetz_twisted.edge.site import EdgeService


@define(eq=False)
class Noted(Service):
    """A service that notes what it is told; `stopped` is what its stop returns."""

    name: str
    notes: list[str]
    stopped: "Deferred[None]" = field(factory=lambda: succeed(None))

    def startService(self) -> None:
        """Note."""
        self.notes.append(f"start {self.name}")

    def stopService(self) -> "Deferred[None]":
        """Note."""
        self.notes.append(f"stop {self.name}")
        return self.stopped


@define(eq=False)
class NotedEdge(Noted):
    """An edge that opens when the test says so."""

    listening: "Deferred[None]" = field(factory=Deferred)

    def listen(self) -> "Deferred[None]":
        """Note."""
        self.notes.append("listen")
        return self.listening


class GatewayTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway of two services and an edge, with stores that need no start."""
        self.clock = Clock()
        self.notes: list[str] = []
        self.failures: list[str] = []
        self.first, self.second = Noted("first", self.notes), Noted("second", self.notes)
        self.edge = NotedEdge("edge", self.notes)
        self.live = LiveCalls(FakeKeyStore(), lambda *_: None)
        self.wired: list[object] = []
        self.prepared: list[object] = ["files"]
        self.patch(lifecycle, "in_own_thread", lambda _, work, __: execute(work))
        self.gateway = self.made(self.wire)

    def prepare(self, _settings: Settings, _reactor: object) -> object:
        """What is next of `prepared`, if it is no fault."""
        files = self.prepared.pop(0)
        if isinstance(files, Exception):
            raise files
        return files

    def made(self, wire: Any, *, migrate: bool = False) -> Gateway:
        """Make a gateway."""
        settings = Settings(
            **{
                **{name: getattr(SETTINGS, name) for name in Settings.__annotations__},
                "database_url": "postgresql+psycopg://h/d",
            }
        )
        return Gateway(
            settings,
            self.clock,
            prepare=self.prepare,
            wire=wire,
            environ={},
            migrate=migrate,
            fail=self.failures.append,
        )

    def wire(self, _settings: Settings, _reactor: object, files: object) -> Parts:
        """The parts."""
        self.wired.append(files)
        edge = cast("EdgeService", self.edge)
        return Parts(services=(self.first, self.second), edge=edge, live=self.live)

    def stop(self) -> "Deferred[None]":
        """Stop, and forget what was noted before."""
        self.notes.clear()
        return self.gateway.stopService()

    def test_order(self) -> None:
        """Stores before the edge, the port last; the stop goes the other way."""
        self.gateway.startService()
        self.assertEqual(self.notes, ["start first", "start second", "start edge", "listen"])
        self.edge.listening.callback(None)
        self.successResultOf(self.stop())
        self.assertEqual(self.notes, ["stop edge", "stop second", "stop first"])
        self.assertEqual(self.failures, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_each_stop_waits_for_the_one_before(self) -> None:
        """A store is not closed while the edge still answers."""
        self.edge.stopped = Deferred()
        self.gateway.startService()
        self.edge.listening.callback(None)
        stopping = self.stop()
        self.assertEqual(self.notes, ["stop edge"])
        self.edge.stopped.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(len(self.notes), 3)

    def test_running_answers_are_ended_first(self) -> None:
        """Before the port closes every answer is told."""
        cuts: list[object] = []
        self.gateway.startService()
        self.edge.listening.callback(None)
        self.live.enter(made_ticket()).on_cut(cuts.append)
        self.successResultOf(self.stop())
        self.assertEqual(len(cuts), 1)

    def test_a_service_that_does_not_stop(self) -> None:
        """The others are stopped all the same, late or after a fault."""
        self.edge.stopped = Deferred()
        self.second.stopped = fail(ZeroDivisionError())
        self.gateway.startService()
        self.edge.listening.callback(None)
        stopping = self.stop()
        self.clock.advance(STOP_S)
        self.successResultOf(stopping)
        self.assertEqual(self.notes, ["stop edge", "stop second", "stop first"])
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    def test_a_part_that_cannot_be_made(self) -> None:
        """A start without it fails in one line."""

        def wire(*_: object) -> Parts:
            raise CannotWire("/state: Permission denied")

        self.gateway = self.made(wire)
        self.gateway.startService()
        self.assertEqual(self.failures, ["the gateway cannot start: /state: Permission denied"])
        self.successResultOf(self.stop())

    def test_files_that_cannot_be_made(self) -> None:
        """A fault of the configuration ends the start in one line."""
        self.prepared = [CannotWire("/state: Not a directory")]
        self.gateway.startService()
        self.assertEqual(self.failures, ["the gateway cannot start: /state: Not a directory"])
        self.assertEqual(self.wired, [])

    def no_room(self) -> None:
        """Start on a disk that is full for a second."""
        full = CannotRecord("/state: No space left on device")
        self.prepared = [full, full, "files"]
        self.gateway.startService()
        self.edge.listening.callback(None)
        self.edge.listening = Deferred()
        self.assertEqual((self.wired, self.failures), ([None], []))
        self.notes.clear()
        self.clock.advance(AGAIN_S)
        self.assertEqual((self.wired, self.notes), ([None], []))

    def test_no_room_for_the_files(self) -> None:
        """On a full disk it runs without a record; with one as soon as there is room, once said."""
        with capturedLogs() as events:
            self.no_room()
            self.clock.advance(AGAIN_S)
        self.assertEqual(self.wired, [None, "files"])
        started = ["start first", "start second", "start edge", "listen"]
        self.assertEqual(
            self.notes,
            ["stop edge", "stop second", "stop first", *started],
        )
        self.assertEqual([event["log_level"].name for event in events], ["error", "info"])
        self.edge.listening.callback(None)
        self.successResultOf(self.stop())
        self.assertEqual(self.notes, ["stop edge", "stop second", "stop first"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_there_is_no_room(self) -> None:
        """Nothing is tried any more."""
        self.no_room()
        self.successResultOf(self.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.notes, ["stop edge", "stop second", "stop first"])

    def test_stopped_while_the_parts_change(self) -> None:
        """No new ones are made; what is left of the old ones is stopped."""
        self.no_room()
        self.second.stopped = Deferred()
        self.clock.advance(AGAIN_S)
        stopping = self.gateway.stopService()
        self.flushLoggedErrors()
        self.successResultOf(stopping)
        self.assertEqual(self.wired, [None])
        self.assertEqual(self.notes, ["stop edge", "stop second", "stop first"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_port_in_use(self) -> None:
        """A start that fails says so once, in a line for people; the stop still works."""
        self.gateway.startService()
        self.edge.listening.errback(CannotOpen("tcp:8080: in use"))
        (reason,) = self.failures
        self.assertIn("8080", reason)
        self.successResultOf(self.stop())
        self.assertEqual(self.notes, ["stop edge", "stop second", "stop first"])

    def test_bug_while_wiring(self) -> None:
        """Whatever is raised ends the start; the log has it, the line does not."""

        def wire(*_: object) -> Parts:
            raise ZeroDivisionError("canary")

        self.gateway = self.made(wire)
        self.gateway.startService()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (reason,) = self.failures
        self.assertNotIn("canary", reason)
        self.successResultOf(self.stop())

    def migrating(self) -> "Deferred[None]":
        """A gateway that has begun to migrate; how that ends."""
        migration: Deferred[None] = Deferred()
        self.patch(
            lifecycle,
            "in_own_thread",
            lambda _, work, name: migration if name == "migration" else execute(work),
        )
        self.gateway = self.made(self.wire, migrate=True)
        self.gateway.startService()
        self.assertEqual(self.notes, [])
        return migration

    def test_migration_comes_first(self) -> None:
        """No store is opened before the schema is there."""
        self.migrating().callback(None)
        self.assertEqual(self.notes[0], "start first")

    def test_migration_that_fails(self) -> None:
        """Its one line is all that is said."""
        self.migrating().errback(DatabaseFault("another migration is running"))
        self.assertEqual(self.failures, ["the gateway cannot start: another migration is running"])
        self.assertEqual(self.notes, [])

    def test_stopped_while_it_migrates(self) -> None:
        """The stop does not wait for the migration."""
        self.migrating()
        self.successResultOf(self.stop())
        self.assertEqual((self.failures, self.notes), ([], []))

    def test_stopped_while_it_starts(self) -> None:
        """A stop ends the start; that is no failure."""
        self.edge.listening = Deferred(lambda _: self.notes.append("cancelled"))
        self.gateway.startService()
        self.successResultOf(self.stop())
        self.assertEqual(self.failures, [])
        self.assertEqual(self.notes, ["cancelled", "stop edge", "stop second", "stop first"])
