"""What the tests of the spool share: a disk that fails, threads that wait, records."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar
from uuid import UUID, uuid4

import orjson
from attrs import define, field
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.directory import Disk, SpoolLimits
from neuronetz_twisted.audit.spool import Spool

T = TypeVar("T")

LIMITS = SpoolLimits(max_bytes=1 << 24, buffer_records=3, segment_bytes=1 << 16)


@define
class Disks:
    """System calls that fail on demand: `broken` for writing, `unsynced` for syncing.

    A write takes `part` bytes at most, if that is set. `synced` are the inodes that were synced.
    """

    broken: bool = False
    unsynced: bool = False
    part: int | None = None
    writes: int = 0
    syncs: int = 0
    synced: list[int] = field(factory=list)

    def disk(self) -> Disk:
        """The calls."""
        return Disk(pwrite=self._pwrite, sync=self._sync)

    def _pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self.broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.writes += 1
        return os.pwrite(fd, data if self.part is None else data[: self.part], offset)

    def _sync(self, fd: int) -> None:
        self.syncs += 1
        if self.unsynced:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append(os.fstat(fd).st_ino)


@define
class Threads:
    """A thread that works when it is told to, or at once; with `refuses` none can be started."""

    at_once: bool = True
    refuses: bool = False
    work: list[Callable[[], None]] = field(factory=list)

    def __call__(self, work: Callable[[], T], /) -> Deferred[T]:
        """Take work."""
        if self.refuses:
            return fail(OSError(errno.EAGAIN, "can't start new thread"))
        answer: Deferred[T] = Deferred()

        def run() -> None:
            maybeDeferred(work).chainDeferred(answer)

        if self.at_once:
            run()
        else:
            self.work.append(run)
        return answer

    def run(self) -> None:
        """Do what is waiting, and what comes of it."""
        while self.work:
            self.work.pop(0)()


def intent(request: UUID, size: int = 0) -> bytes:
    """An intent of `size` bytes and a few."""
    return orjson.dumps({"id": str(request), "reservation": 100, "agent": "x" * size})


def final(request: UUID, size: int = 0) -> bytes:
    """A final of `size` bytes and a few."""
    return orjson.dumps({"id": str(request), "outcome": "ok", "agent": "x" * size})


def id_in(record: bytes) -> UUID:
    """Whose record it is."""
    return UUID(orjson.loads(record)["id"])


class SpoolTestCase(SynchronousTestCase):
    """A directory, a clock, a disk and threads."""

    durable = False

    def setUp(self) -> None:
        """Make them."""
        self.root = Path(mkdtemp(dir=self.mktemp_parent())) / "spool"
        self.clock = Clock()
        self.disks = Disks()
        self.threads = Threads()

    def mktemp_parent(self) -> str:
        """A directory of this test's own."""
        parent = Path(self.mktemp())
        parent.mkdir(parents=True)
        return str(parent)

    def made(self, limits: SpoolLimits = LIMITS, *, durable: bool | None = None) -> Spool:
        """A spool that has begun."""
        spool = Spool.create(
            self.root,
            limits,
            clock=self.clock,
            in_thread=self.threads,
            sync_in=self.threads if (self.durable if durable is None else durable) else None,
            disk=self.disks.disk(),
        )
        self.addCleanup(self.die, spool)
        spool.start()
        return spool

    def die(self, spool: Spool) -> None:
        """End a spool as the end of its process does: files closed, lock gone."""
        spool._tape.stop()
        spool._sealed = spool._stopped = True
        for segment in (*spool._supply.leaving, *spool._tape.used, *spool._tape.spares):
            segment.close()
        lock, spool._directory._lock = spool._directory._lock, -1
        if lock >= 0:
            os.close(lock)

    def ended(self, spool: Spool) -> None:
        """Seal and close a spool."""
        self.successResultOf(Deferred.fromCoroutine(spool.seal()))
        spool.close()
        spool._directory._lock = -1

    def filled(self, spool: Spool, number: int, size: int = 0) -> list[UUID]:
        """Calls from their beginning to their end."""
        requests = [uuid4() for _ in range(number)]
        for request in requests:
            spool.open(str(request), intent(request, size)).complete(final(request, size))
        return requests
