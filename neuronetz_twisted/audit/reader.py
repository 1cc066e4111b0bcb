"""Reads the finals of one writer out of its segments, in order, for the flusher.

What PostgreSQL has must never be more than what the disk has: a chain whose end is lost with the
power would else go on with numbers that are taken. So each file is synced before it is read, unless
its writer shows no more than it has synced itself. One whose sync has failed is not trusted again:
its bytes are written to another file in its place, when its writer has gone on elsewhere.
"""

import errno
import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Protocol
from uuid import UUID

from attrs import frozen

from neuronetz_twisted.audit.entries import Extent
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.segments import HEADER_BYTES, Span, link_of, scan_links

NO_SEQ = 1 << 63
"""The first sequence number that PostgreSQL has no place for: no writer gets there."""


@frozen
class Damage:
    """Bytes of a file that were whole when they were written and are no record any more."""

    path: Path
    span: Span


class Files(Protocol):
    """The segments of a writer, as reading knows them. Called in any thread."""

    def extents(self) -> Sequence[Extent]:
        """What may be read, oldest first."""
        ...

    def spoil(self, path: Path) -> None:
        """Note that a file has damaged bytes."""
        ...


class Reader:
    """Goes through the segments once. Every method blocks; one call at a time, in any thread.

    `renew` puts another file with the same bytes in the place of one, up to an offset. `sync` is
    None where the files show only what is on disk.
    """

    def __init__(
        self,
        writer: UUID,
        files: Files,
        renew: Callable[[Path, int], None],
        sync: Callable[[int], None] | None,
    ) -> None:
        self._writer = writer
        self._files = files
        self._renew = renew
        self._sync = sync
        self._at = (0, 0)
        self._read: deque[Final] = deque()
        self._last_seq = 0
        self._lock = Lock()
        self._damage: list[Damage] = []
        self._failed: set[int] = set()

    @property
    def has_failed(self) -> bool:
        """Whether a segment could not be synced and not be replaced since. In any thread."""
        return bool(self._failed)

    @property
    def failed(self) -> Collection[int]:
        """The numbers of the segments whose sync has failed. May be called in any thread."""
        with self._lock:
            return tuple(self._failed)

    @property
    def damaged(self) -> Sequence[Damage]:
        """What was found damaged so far. May be called in any thread."""
        with self._lock:
            return tuple(self._damage)

    def note(self, path: Path, span: Span) -> None:
        """Report bytes that are damaged."""
        self._files.spoil(path)
        with self._lock:
            self._damage.append(Damage(path, span))

    def finals(self, after: int, limit: int) -> list[Final]:
        """Finals behind the sequence number `after`, which never goes back. Raises `OSError`."""
        while self._read and self._read[0].seq <= after:
            self._read.popleft()
        if len(self._read) < limit:
            try:
                self._read_on(after, limit)
            except FileNotFoundError:
                # It was given up since `extents` named it: all its finals are flushed.
                self._read_on(after, limit)
        return list(islice(self._read, limit))

    def _read_on(self, after: int, limit: int) -> None:
        extents = self._files.extents()
        with self._lock:
            # One that was given up needs no other in its place.
            self._failed &= {extent.number for extent in extents}
        for index, extent in enumerate(extents):
            start = self._start_in(extent)
            if start >= extent.end:
                continue
            # What a later segment begins with again counts there.
            until = min((later.first_seq for later in extents[index + 1 :]), default=NO_SEQ)
            self._take(extent, start, after, until)
            self._at = (extent.number, extent.end)
            if len(self._read) >= limit:
                return

    def _start_in(self, extent: Extent) -> int:
        number, offset = self._at
        if extent.number < number:
            return extent.end
        return offset if extent.number == number else HEADER_BYTES

    def _take(self, extent: Extent, start: int, after: int, until: int) -> None:
        scan = scan_links(self._bytes_of(extent, start), start)
        damaged = list(scan.damaged)
        for found in scan.records:
            record, seq, chain_hash = link_of(found.payload)
            if max(after, self._last_seq) < seq < until:
                self._last_seq = seq
                self._read.append(Final(self._writer, seq, chain_hash, record))
            elif seq >= NO_SEQ:
                damaged.append(Span(found.offset, found.end))
        if scan.end < extent.end:
            damaged.append(Span(scan.end, extent.end))
        for span in damaged:
            self.note(extent.path, span)

    def _bytes_of(self, extent: Extent, start: int) -> bytes:
        if extent.number in self._failed:
            self._replace(extent)
        fd = os.open(extent.path, os.O_RDONLY)
        try:
            self._bring_to_disk(extent.number, fd)
            return os.pread(fd, extent.end - start, start)
        finally:
            os.close(fd)

    def _bring_to_disk(self, number: int, fd: int) -> None:
        if self._sync is None:
            return
        try:
            self._sync(fd)
        except OSError:
            with self._lock:
                self._failed.add(number)
            raise

    def _replace(self, extent: Extent) -> None:
        if extent.is_current:
            raise OSError(errno.EIO, "cannot be synced and is still written", str(extent.path))
        self._renew(extent.path, extent.end)
        with self._lock:
            self._failed.discard(extent.number)
