"""The embedded servers as part of the gateway: started with it, watched, ended with it.

Nothing here waits: servers are forked, then asked from a thread, and the clock looks at what
became of it. So the reactor never stands still for longer than a fork.
"""

from attrs import define
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.servers import (
    START_DEADLINE_S,
    STOP_DEADLINE_S,
    EmbeddedServers,
)
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls

_STARTING_POLL_S = 0.02
_RUNNING_POLL_S = 0.25
_STOPPING_POLL_S = 0.02

_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 30.0
# A server that ran for this long has recovered: its next end is not the same trouble again.
_STEADY_S = 60.0


def restart_delay(failures: int) -> float:
    """Seconds to wait before a restart, after so many in a row."""
    return min(_FIRST_DELAY_S * 2.0 ** min(failures, 16), _LONGEST_DELAY_S)


@define(eq=False)
class _Recovery:
    """One server's restarts: how many in a row, when the last was, when the next is due."""

    failures: int = 0
    last: float = 0.0
    due: float | None = None

    def plan(self, now: float) -> float:
        """Set when the ended server is started again; returns the seconds until then."""
        if now - self.last > _STEADY_S:
            self.failures = 0
        delay = restart_delay(self.failures)
        self.failures += 1
        self.due = now + delay
        return delay


class EmbeddedService(Service):
    """Keeps the embedded servers running for as long as the service runs.

    A server that ends is started again with back-off. Only the first start may fail for good:
    then `ready` tells why, and the gateway should end.
    """

    name = "embedded"
    _log = Logger()

    def __init__(self, *, clock: IReactorTime, servers: EmbeddedServers) -> None:
        self._clock = clock
        self._servers = servers
        self._began = 0.0
        self._call: IDelayedCall | None = None
        self._recoveries: dict[str, _Recovery] = {}
        self._result: EmbeddedUrls | EmbeddedError | None = None
        self._waiting: list[Deferred[EmbeddedUrls]] = []

    def ready(self) -> Deferred[EmbeddedUrls]:
        """Fires when all servers have answered for the first time; may be cancelled.

        Fails with EmbeddedError (StateDirectoryInUse among them) if they cannot be started.
        """
        if isinstance(self._result, EmbeddedUrls):
            return succeed(self._result)
        if self._result is not None:
            return fail(self._result)
        waiter: Deferred[EmbeddedUrls] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def startService(self) -> None:
        """Begin to start the servers; `ready` tells how it went."""
        super().startService()
        self._result = None
        self._recoveries = {}
        self._began = self._clock.seconds()
        try:
            self._servers.spawn()
        except EmbeddedError as error:
            self._fail(error)
        else:
            self._call = self._clock.callLater(_STARTING_POLL_S, self._look_at_start)

    def stopService(self) -> Deferred[None]:
        """Ends the servers; fires when they are gone, by force after ten seconds."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._fail(EmbeddedError("the embedded servers were stopped"))
        self._servers.terminate()
        gone: Deferred[None] = Deferred()
        self._look_at_stop(gone, self._clock.seconds() + STOP_DEADLINE_S)
        return gone

    def _look_at_start(self) -> None:
        self._call = None
        try:
            if self._servers.started():
                self._succeed(self._servers.urls())
            elif self._clock.seconds() - self._began > START_DEADLINE_S:
                self._fail(self._servers.overdue(START_DEADLINE_S))
            else:
                self._call = self._clock.callLater(_STARTING_POLL_S, self._look_at_start)
        except EmbeddedError as error:
            self._fail(error)

    def _succeed(self, urls: EmbeddedUrls) -> None:
        self._result = urls
        self._call = self._clock.callLater(_RUNNING_POLL_S, self._look_after)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(urls)

    def _fail(self, error: EmbeddedError) -> None:
        self._result = error
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(error)

    def _look_after(self) -> None:
        self._call = self._clock.callLater(_RUNNING_POLL_S, self._look_after)
        self._servers.bound_logs()
        for name in self._servers.exited():
            recovery = self._recoveries.setdefault(name, _Recovery())
            if recovery.due is None:
                self._plan_restart(recovery, self._servers.obituary(name))
            elif self._clock.seconds() >= recovery.due:
                self._restart(name, recovery)

    def _plan_restart(self, recovery: _Recovery, reason: str) -> None:
        delay = recovery.plan(self._clock.seconds())
        self._log.warn("{reason}; started again in {delay} s", reason=reason, delay=delay)

    def _restart(self, name: str, recovery: _Recovery) -> None:
        recovery.due, recovery.last = None, self._clock.seconds()
        try:
            self._servers.restart(name)
        except EmbeddedError as error:
            self._plan_restart(recovery, str(error))

    def _look_at_stop(self, gone: Deferred[None], give_up: float) -> None:
        if not self._servers.running():
            self._servers.close()
            gone.callback(None)
            return
        if self._clock.seconds() > give_up:
            self._servers.kill()
        self._clock.callLater(_STOPPING_POLL_S, self._look_at_stop, gone, give_up)
