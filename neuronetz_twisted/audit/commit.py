"""The group commit: what many calls have appended is synced at once, in a thread (SPEC 9).

The first append starts a short wait for others; while one sync runs, the next gathers. A file that
cannot be synced has ended, so its records are written to the next one, which is synced for those
who wait; only if that cannot be done either are they refused.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.audit.directory import Disk
from neuronetz_twisted.audit.entries import Batch, Entry
from neuronetz_twisted.audit.tape import Tape
from neuronetz_twisted.errors import AuditUnavailable

T = TypeVar("T")

GATHER_S = 0.002
"""How long the first append waits for others."""
LATE_S = 2.0
"""How long a sync may take before nobody waits for it any more."""


class InThread(Protocol):
    """How a call that may block is made away from the reactor; several may run at once."""

    def __call__(self, work: Callable[[], T], /) -> Deferred[T]:
        """Call `work` in a thread. Fails with `OSError` where none can be started."""
        ...


class GroupCommit:
    """Syncs a tape behind those who append. `lost` takes what could not be written again.

    `late` says that a sync is taking too long, so that nothing can be promised.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        tape: Tape,
        *,
        in_thread: InThread,
        disk: Disk,
        lost: Callable[[Sequence[Entry]], None],
    ) -> None:
        self._clock = clock
        self._tape = tape
        self._in_thread = in_thread
        self._disk = disk
        self._lost = lost
        self.late = False
        self._gathering: IDelayedCall | None = None
        self._syncing = False
        self._waiting: list[Deferred[None]] = []
        self._awaited: list[Deferred[None]] = []

    def appended(self) -> None:
        """See to it that what was appended is synced soon."""
        if not self._syncing and self._gathering is None:
            self._gathering = self._clock.callLater(GATHER_S, self._begin)

    def wait(self) -> Deferred[None]:
        """Fires when all that was appended so far is on disk; fails with `AuditUnavailable`."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if self.late:
            self._refuse()
        else:
            self.appended()
        return waiter

    async def stop(self) -> None:
        """Return when all that can be synced is."""
        while self._gathering is not None or self._syncing:
            try:
                await self.wait()
            except AuditUnavailable:
                return

    def _begin(self) -> None:
        self._gathering = None
        self._syncing = True
        batch = self._tape.begin_sync()
        self._awaited, self._waiting = self._waiting, []
        deadline = self._clock.callLater(LATE_S, self._is_late)
        done = self._in_thread(partial(_sync, self._disk, batch.fds))
        done.addBoth(self._ended, batch, deadline)

    def _ended(self, result: Failure | None, batch: Batch, deadline: IDelayedCall) -> None:
        self._syncing = self.late = False
        if deadline.active():
            deadline.cancel()
        awaited, self._awaited = self._awaited, []
        if isinstance(result, Failure):
            self._failed(result, batch, awaited)
        else:
            self._tape.synced(batch)
            for waiter in awaited:
                waiter.callback(None)
        if not self._syncing and (self._waiting or not self._tape.is_synced):
            self.appended()

    def _failed(self, failure: Failure, batch: Batch, awaited: list[Deferred[None]]) -> None:
        self._log.failure("the audit spool cannot be synced", failure=failure)
        self._waiting = awaited + self._waiting
        left = self._tape.sync_failed(batch)
        if left or self._tape.current is None:
            self._lost(left)
            self._refuse()
        else:
            self._begin()

    def _is_late(self) -> None:
        self.late = True
        self._log.error("a sync of the audit spool takes too long")
        self._refuse()

    def _refuse(self) -> None:
        refused = self._awaited + self._waiting
        self._awaited, self._waiting = [], []
        for waiter in refused:
            waiter.errback(AuditUnavailable(why="io"))


def _sync(disk: Disk, fds: Sequence[int]) -> None:
    for fd in fds:
        disk.sync(fd)
