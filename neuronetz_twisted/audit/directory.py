"""One writer's directory on disk: its lock, and its segments coming and going. Everything blocks.

`spool/` holds one directory per writer and `limit.lock`, under which directories and segments are
made and taken, so that the limit on bytes holds over all processes and nobody adopts a directory
that is half made. A lock is a `flock`: the kernel releases it with the last breath of its owner.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Lock
from uuid import UUID

from attrs import define, field, frozen
from twisted.logger import Logger

LIMIT_LOCK = "limit.lock"
WRITER_LOCK = "lock"
SUFFIX = ".seg"
DAMAGED = ".damaged"
RENEWED = ".new"

# Linux keeps what one call has written as one piece, and a large one costs every later write to it.
_ZEROS = bytes(1 << 16)


@frozen(kw_only=True)
class SpoolLimits:
    """How large a spool may grow.

    `max_bytes` is for all writers of a state directory together, `segment_bytes` for one file,
    `buffer_records` for the finals that may wait in memory while no file can be written.
    """

    max_bytes: int
    buffer_records: int
    segment_bytes: int = 4 << 20


# macOS has none.
_FDATASYNC: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


@frozen(kw_only=True)
class Disk:
    """The system calls that a bad disk makes fail; tests replace them.

    `sync` brings a file's bytes to the disk. Segments are written with zeros before they are used,
    so that what follows changes no length and no extent: `fdatasync` is enough, where there is one.
    """

    pwrite: Callable[[int, bytes, int], int] = os.pwrite
    sync: Callable[[int], None] = _FDATASYNC


class SpoolFull(Exception):  # noqa: N818 - states what is the case
    """One more segment would be over the limit on bytes."""


@define(eq=False)
class Segment:
    """One file of a spool. `fd` is None when it was closed.

    `first_seq` is that of the first final in it, `end` where the last whole frame ends, `synced`
    how much of that is known to be on disk. `pins` are the open intents whose last copy it has.
    `is_damaged` says that bytes of it can be read no more.
    """

    number: int
    path: Path
    size: int
    fd: int | None = None
    first_seq: int = 0
    end: int = 0
    synced: int = 0
    pins: set[object] = field(factory=set)
    is_damaged: bool = False

    @property
    def file(self) -> int:
        """The descriptor. Raises `ValueError` where the file was closed."""
        if self.fd is None:
            raise ValueError(f"{self.path} was closed")
        return self.fd

    def close(self) -> None:
        """Close the file, if it is open."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


@define
class Directory:
    """A writer's directory, whose lock is ours until `close`."""

    _log = Logger()

    path: Path
    writer: UUID
    _disk: Disk
    _lock: int
    # So that what is removed in one thread is not renewed in another.
    _naming: Lock = field(factory=Lock, init=False)

    @classmethod
    def create(cls, root: Path, writer: UUID, disk: Disk) -> "Directory":
        """Make the directory of a new writer. Raises `OSError`."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = root / str(writer)
        with _exclusive(root):
            path.mkdir(mode=0o700)
            lock = os.open(path / WRITER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            flock(lock, LOCK_EX)
        _sync_directory(root, disk)
        return cls(path, writer, disk, lock)

    @classmethod
    def take(cls, path: Path, disk: Disk) -> "Directory | None":
        """Take a directory whose writer is gone.

        None where a living process has it, or another one has just removed it. Raises `OSError`.
        """
        with _exclusive(path.parent):
            try:
                lock = os.open(path / WRITER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                return None
            try:
                flock(lock, LOCK_EX | LOCK_NB)
                return cls(path, UUID(path.name), disk, lock)
            except BlockingIOError:
                os.close(lock)
                return None
            except BaseException:
                os.close(lock)
                raise

    def segments(self) -> list[Path]:
        """The files of segments, in the order of their numbers."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def allocate(self, number: int, size: int, max_bytes: int | None) -> Segment:
        """Make an empty segment that can be written without needing anything more of the disk.

        Raises `SpoolFull` where all spools would be larger than `max_bytes`, `OSError` where the
        disk has no room; nothing is left of it then.
        """
        path = self.path / f"{number:08}{SUFFIX}"
        with _exclusive(self.path.parent):
            if max_bytes is not None and _bytes_in(self.path.parent) + size > max_bytes:
                raise SpoolFull(f"the spools may hold {max_bytes} bytes")
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            segment = Segment(number, path, size, fd)
            try:
                # The size counts from here on, so the lock need not be held while it is filled.
                os.ftruncate(fd, size)
            except OSError:
                _unmake(segment)
                raise
        try:
            self.zero(fd, 0, size)
            _sync_directory(self.path, self._disk)
        except OSError:
            _unmake(segment)
            raise
        return segment

    def zero(self, fd: int, start: int, end: int) -> None:
        """Write zeros from `start` up to `end`, down to the disk. Raises `OSError`."""
        while start < end:
            start += self._disk.pwrite(fd, _ZEROS[: end - start], start)
        self._disk.sync(fd)

    def remove(self, segments: Sequence[Segment]) -> None:
        """Remove segments, the oldest first, whatever happens to the machine. Raises `OSError`.

        One that is damaged is kept for people, beside the writers' directories: nobody adopts it,
        and it does not count for the limit.
        """
        for segment in segments:
            segment.close()
            with self._naming:
                if segment.is_damaged:
                    self._keep(segment)
                segment.path.unlink(missing_ok=True)
            _sync_directory(self.path, self._disk)

    def renew(self, path: Path, end: int) -> None:
        """Put another file with the same bytes up to `end` in a segment's place, and sync it.

        For a segment whose sync has failed: the kernel says that once, and what can be read of the
        file need not be on the disk from then on. Raises `OSError`; `FileNotFoundError` where the
        segment was removed meanwhile.
        """
        with path.open("rb") as old:
            data = old.read(end)
        copy = path.with_suffix(RENEWED)
        copy.unlink(missing_ok=True)
        fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            written = 0
            while written < len(data):
                written += self._disk.pwrite(fd, data[written:], written)
            self._disk.sync(fd)
        finally:
            os.close(fd)
        with self._naming:
            path.stat()
            copy.rename(path)
        _sync_directory(self.path, self._disk)

    def trim(self, segment: Segment) -> None:
        """Give back what a segment was given and does not need. Raises `OSError`."""
        os.truncate(segment.path, segment.end)
        segment.size = segment.end

    def close(self) -> None:
        """Release the lock, and remove the directory where no segment is left."""
        try:
            with _exclusive(self.path.parent):
                if not self.segments():
                    for copy in self.path.glob(f"*{RENEWED}"):
                        copy.unlink()
                    (self.path / WRITER_LOCK).unlink()
                    self.path.rmdir()
        finally:
            os.close(self._lock)

    def _keep(self, segment: Segment) -> None:
        kept = self.path.parent / f"{self.writer}-{segment.path.stem}{DAMAGED}"
        # It is there already where only the sync failed the last time.
        with suppress(FileNotFoundError):
            segment.path.rename(kept)
        _sync_directory(self.path.parent, self._disk)
        self._log.warn("a damaged segment of the audit spool is kept as {path}", path=str(kept))


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    lock = os.open(root / LIMIT_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(lock, LOCK_EX)
        yield
    finally:
        os.close(lock)


def _bytes_in(root: Path) -> int:
    """The size of all segments; other processes remove theirs meanwhile."""
    total = 0
    for path in root.glob(f"*/*{SUFFIX}"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _unmake(segment: Segment) -> None:
    segment.close()
    segment.path.unlink()


def _sync_directory(path: Path, disk: Disk) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        disk.sync(fd)
    finally:
        os.close(fd)
