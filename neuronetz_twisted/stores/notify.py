"""Hears of every change to a tenant or key within a second, also when the messenger is shot.

A notification of PostgreSQL only wakes: the tables say what is true, since any login of the
database may send one. Notifications are lost while the connection is, so each new connection is
followed by a look at all tenants, and twice a second all that changed in the last minute is read
again (SPEC 5). There is no high-water mark: transactions commit in another order than they began,
so a mark would pass over the slow ones. The receiver hears of the same epoch many times and keeps
the largest.

An outage is told by `DatabaseThreads`, once for all its callers; here it is a line for debugging.
"""

from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from math import inf
from typing import Any, Protocol, TypeVar

import psycopg
from sqlalchemy import Connection
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.seams import EpochListener
from neuronetz_twisted.stores.notifications import Notifications
from neuronetz_twisted.stores.queries import changed_tenants

T = TypeVar("T")

TENANT_CHANGED = "tenant_changed"
KEY_REVOKED = "key_revoked"
POLL_S = 0.5
LEAST_PAUSE_S = 0.02
"""Between two readings, however many notifications arrive."""
WINDOW_S = 60.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
# The reactor has other work between two slices of a long list.
_SLICE = 200


class ListenerReactor(Protocol):
    """What is used of the reactor: its clock and its eyes."""

    def seconds(self) -> float:
        """The time, in seconds since some start."""
        ...

    def callLater(self, delay: float, callable: Callable[..., Any], /, *args: Any) -> IDelayedCall:  # noqa: A002
        """Call after so many seconds."""
        ...

    def addReader(self, reader: IReadDescriptor, /) -> None:
        """Call `doRead` when there is something to read."""
        ...

    def removeReader(self, reader: IReadDescriptor, /) -> None:
        """Look away."""
        ...


class Database(Protocol):
    """What is used of `DatabaseThreads`."""

    def run(self, fn: Callable[[Connection], T]) -> Deferred[T]:
        """Call `fn` in a transaction."""
        ...

    def dedicated(
        self, prepare: Callable[[psycopg.Connection], object]
    ) -> Deferred[psycopg.Connection]:
        """Open a connection that the caller owns."""
        ...


class RevocationListener(Service):
    """Calls `listener` with the id and epoch of each tenant that changed, early and often.

    Runs while `database` runs. `listener` returns at once and does not raise.
    """

    name = "revocations"
    _log = Logger()

    def __init__(
        self, reactor: ListenerReactor, database: Database, listener: EpochListener
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._listener = listener
        self._everything = True
        self._read_at = -inf
        self._nap: Deferred[None] | None = None
        self._woken = False
        self._faulty: set[str] = set()
        self._flows: list[Deferred[None]] = []

    @property
    def silence_s(self) -> float:
        """Seconds since changes were last read; infinite before the first reading."""
        return self._reactor.seconds() - self._read_at

    def startService(self) -> None:
        """Begin to listen and to read."""
        super().startService()
        for flow in (self._keep_listening(), self._keep_reading()):
            running = Deferred.fromCoroutine(flow)
            running.addErrback(self._ended)
            self._flows.append(running)

    def stopService(self) -> None:
        """Stop at once: connection and timers are gone when this returns."""
        super().stopService()
        flows, self._flows = self._flows, []
        for flow in flows:
            flow.cancel()

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("changes are no longer heard of", failure=failure)

    async def _keep_listening(self) -> None:
        delay = FIRST_DELAY_S
        while True:
            if await self._attempt("listening for changes", self._listen()):
                delay = FIRST_DELAY_S
            await self._pause(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def _listen(self) -> bool:
        """Be woken by notifications until the connection is lost."""
        connection = await self._database.dedicated(_subscribe)
        with closing(connection), closing(Notifications(connection, self._wake)) as notifications:
            try:
                self._reactor.addReader(notifications)
                # Whatever was sent before this connection listened is heard by no other means.
                self._read_all_now()
                reason = await notifications.lost
            finally:
                self._reactor.removeReader(notifications)
        self._log.debug("listening for changes: {reason}", reason=reason)
        return True

    async def _keep_reading(self) -> None:
        while True:
            if await self._attempt("reading changes", self._read()) is None:
                self._everything = True
            await self._doze()

    async def _read(self) -> bool:
        now = self._reactor.seconds()
        # After a pause as long as this the window may no longer join the one before.
        everything = self._everything or now - self._read_at > WINDOW_S / 2
        self._everything = False
        window = None if everything else WINDOW_S
        changed = await self._database.run(partial(changed_tenants, since_seconds=window))
        self._read_at = now
        for start in range(0, len(changed), _SLICE):
            if start:
                await self._pause(0)
            for tenant_id, epoch in changed[start : start + _SLICE]:
                self._listener(tenant_id, epoch)
        return True

    async def _attempt(self, what: str, asked: Awaitable[T]) -> T | None:
        """The answer, or None where there is none for now; a fault is logged until it is over."""
        try:
            answer = await asked
        except CancelledError:
            raise
        except DatabaseUnavailable as error:
            self._log.debug("{what}: {reason}", what=what, reason=str(error))
            return None
        except Exception:  # noqa: BLE001 - the outermost loop: a later round may do
            if what not in self._faulty:
                self._faulty.add(what)
                self._log.failure("{what} failed", what=what)
            return None
        self._faulty.discard(what)
        return answer

    def _read_all_now(self) -> None:
        self._everything = True
        self._wake()

    async def _doze(self) -> None:
        """Wait for the next reading, or until woken, also if that was while reading."""
        await self._pause(LEAST_PAUSE_S)
        if not self._woken:
            self._nap = Deferred()
            try:
                await self._pause(POLL_S - LEAST_PAUSE_S, self._nap)
            finally:
                self._nap = None
        self._woken = False

    def _wake(self) -> None:
        self._woken = True
        if self._nap is not None and not self._nap.called:
            self._nap.callback(None)

    async def _pause(self, seconds: float, over: Deferred[None] | None = None) -> None:
        over = over or Deferred()
        timer = self._reactor.callLater(seconds, over.callback, None)
        try:
            await over
        finally:
            if timer.active():
                timer.cancel()


def _subscribe(connection: psycopg.Connection) -> None:
    connection.execute(f"LISTEN {TENANT_CHANGED}")
    connection.execute(f"LISTEN {KEY_REVOKED}")
