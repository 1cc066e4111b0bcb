from pathlib import Path

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from neuronetz_twisted.stores.embedded.errors import EmbeddedError, StateDirectoryInUse
from neuronetz_twisted.stores.embedded.servers import EmbeddedServers
from neuronetz_twisted.stores.embedded.service import EmbeddedService, restart_delay
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls

URLS = EmbeddedUrls("database", "admin", "redis")


class ScriptedServers(EmbeddedServers):
    """Servers that do what a test says, and note what is asked of them."""

    def __init__(self) -> None:
        super().__init__(state_dir=Path("unused"), postgres=True, redis=True, environ={})
        self.events: list[str] = []
        self.trouble: EmbeddedError | None = None
        self.answer = False
        self.ended: list[str] = []
        self.alive = False

    def spawn(self) -> None:
        """Begin, unless there is trouble."""
        self.events.append("spawn")
        if self.trouble is not None:
            raise self.trouble
        self.alive = True

    def started(self) -> bool:
        """Whether the test wants an answer."""
        if self.trouble is not None:
            raise self.trouble
        return self.answer

    def urls(self) -> EmbeddedUrls:
        """Constant."""
        return URLS

    def exited(self) -> list[str]:
        """What the test ended."""
        return self.ended

    def obituary(self, name: str) -> str:
        """One line."""
        return f"{name} is dead"

    def overdue(self, deadline_s: float) -> EmbeddedError:
        """One line."""
        return EmbeddedError(f"overdue after {deadline_s:g}")

    def restart(self, name: str) -> None:
        """Restart, unless there is trouble."""
        self.events.append(f"restart {name}")
        if self.trouble is not None:
            raise self.trouble
        self.ended = [other for other in self.ended if other != name]

    def bound_logs(self) -> None:
        """No logs."""

    def terminate(self) -> None:
        """Note it; the test decides when they are gone."""
        self.events.append("terminate")

    def kill(self) -> None:
        """Force works at once."""
        self.events.append("kill")
        self.alive = False

    def running(self) -> bool:
        """Whether any is left."""
        return self.alive

    def close(self) -> None:
        """Note it."""
        self.events.append("close")


@implementer(ILogObserver)
@frozen
class Lines:
    """What one service logs, as text."""

    source: EmbeddedService
    lines: list[str]

    def __call__(self, event: LogEvent) -> None:
        """Keep the line if it is the service's."""
        if event.get("log_source") is self.source:
            self.lines.append(formatEvent(event))


class ServiceTestCase(SynchronousTestCase):
    """The service on a Clock."""

    def setUp(self) -> None:
        """Nothing is started yet; the service's log lines are collected."""
        self.clock = Clock()
        self.servers = ScriptedServers()
        self.service = EmbeddedService(clock=self.clock, servers=self.servers)
        self.lines: list[str] = []
        observer = Lines(self.service, self.lines)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def pass_time(self, seconds: float) -> None:
        """Advance in small steps, as a reactor does."""
        self.clock.pump([0.01] * round(seconds / 0.01))

    def started(self) -> Deferred[EmbeddedUrls]:
        """A service whose servers answer."""
        self.servers.answer = True
        self.service.startService()
        ready = self.service.ready()
        self.pass_time(0.1)
        return ready


class StartTests(ServiceTestCase):
    """Until both answer."""

    def test_ready(self) -> None:
        """`ready` fires for all who wait, and for all who ask later, once the servers answer."""
        early = self.service.ready()
        self.service.startService()
        self.pass_time(1)
        self.assertNoResult(early)
        self.servers.answer = True
        self.pass_time(0.1)
        self.assertEqual(self.successResultOf(early), URLS)
        self.assertEqual(self.successResultOf(self.service.ready()), URLS)

    def test_refused(self) -> None:
        """A start that is refused at once is told by `ready` alone, and not tried again."""
        self.servers.trouble = StateDirectoryInUse("in use (pid 1)")
        self.service.startService()
        failure = self.failureResultOf(self.service.ready(), StateDirectoryInUse)
        self.assertEqual(failure.getErrorMessage(), "in use (pid 1)")
        self.assertEqual(self.lines, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ended_before_it_answered(self) -> None:
        """A server that ends while starting is told by `ready`."""
        self.service.startService()
        ready = self.service.ready()
        self.servers.trouble = EmbeddedError("bad luck")
        self.pass_time(0.1)
        failure = self.failureResultOf(ready, EmbeddedError)
        self.assertEqual(failure.getErrorMessage(), "bad luck")
        self.assertEqual(self.lines, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_answers(self) -> None:
        """Servers that do not answer within thirty seconds are given up."""
        self.service.startService()
        ready = self.service.ready()
        self.pass_time(29.9)
        self.assertNoResult(ready)
        self.pass_time(0.3)
        failure = self.failureResultOf(ready, EmbeddedError)
        self.assertEqual(failure.getErrorMessage(), "overdue after 30")

    def test_cancelled_wait(self) -> None:
        """One who stops waiting does not disturb the others."""
        self.service.startService()
        one, other = self.service.ready(), self.service.ready()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.servers.answer = True
        self.pass_time(0.1)
        self.assertEqual(self.successResultOf(other), URLS)


class RestartTests(ServiceTestCase):
    """While they run."""

    def test_restarted(self) -> None:
        """A server that ended is started again a quarter of a second later, with one log line."""
        self.successResultOf(self.started())
        self.servers.ended = ["valkey"]
        self.pass_time(1)
        self.assertEqual(self.servers.events, ["spawn", "restart valkey"])
        self.assertEqual(self.lines, ["valkey is dead; started again in 0.25 s"])

    def test_back_off(self) -> None:
        """A server that ends again and again is started less and less often."""
        self.successResultOf(self.started())
        for _ in range(4):
            self.servers.ended = ["postgres"]
            self.pass_time(3)
        delays = [line.split()[-2] for line in self.lines]
        self.assertEqual(delays, ["0.25", "0.5", "1.0", "2.0"])

    def test_back_off_ends(self) -> None:
        """After a minute of quiet the next end is a first one again."""
        self.successResultOf(self.started())
        for pause in (3, 62, 3):
            self.servers.ended = ["postgres"]
            self.pass_time(pause)
        delays = [line.split()[-2] for line in self.lines]
        self.assertEqual(delays, ["0.25", "0.5", "0.25"])

    def test_restart_that_cannot_be_made(self) -> None:
        """A restart that fails is logged and tried again with the same back-off."""
        self.successResultOf(self.started())
        self.servers.ended = ["valkey"]
        self.servers.trouble = EmbeddedError("no space left")
        self.pass_time(0.6)
        self.servers.trouble = None
        self.pass_time(1)
        self.assertEqual(self.servers.events, ["spawn", "restart valkey", "restart valkey"])
        self.assertEqual(self.lines[1], "no space left; started again in 0.5 s")

    def test_delays(self) -> None:
        """The wait doubles up to half a minute, however often it failed."""
        self.assertEqual([restart_delay(n) for n in (0, 1, 2)], [0.25, 0.5, 1.0])
        self.assertEqual(restart_delay(7), 30.0)
        self.assertEqual(restart_delay(100_000), 30.0)


class StopTests(ServiceTestCase):
    """The end."""

    def test_stop(self) -> None:
        """The stop fires when the servers are gone, and nothing is left on the clock."""
        self.successResultOf(self.started())
        stopped = self.service.stopService()
        self.pass_time(5)
        self.assertNoResult(stopped)
        self.servers.alive = False
        self.pass_time(0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.servers.events, ["spawn", "terminate", "close"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_force(self) -> None:
        """Servers that do not end within ten seconds are killed."""
        self.successResultOf(self.started())
        stopped = self.service.stopService()
        self.pass_time(9.9)
        self.assertNoResult(stopped)
        self.pass_time(0.2)
        self.successResultOf(stopped)
        self.assertEqual(self.servers.events, ["spawn", "terminate", "kill", "close"])

    def test_stop_while_starting(self) -> None:
        """Who waits for the start is told that it was stopped; that is no error in the log."""
        self.service.startService()
        ready = self.service.ready()
        self.servers.alive = False
        self.successResultOf(self.service.stopService())
        self.failureResultOf(ready, EmbeddedError)
        self.assertEqual(self.lines, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_restart_while_stopping(self) -> None:
        """A server that ends because it was told to is not started again."""
        self.successResultOf(self.started())
        self.service.stopService()
        self.servers.ended = ["postgres", "valkey"]
        self.pass_time(2)
        self.assertNotIn("restart postgres", self.servers.events)
        self.servers.alive = False
        self.pass_time(0.1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
