"""The segments of one writer as one tape: frames go to its end, and its beginning is given up.

The tape goes on in the next spare segment when one is used up, and when one cannot be written or
synced: such a file ends for good, and what was not known to be on disk is written again. Everything
but `extents` belongs to one thread.
"""

from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Lock
from uuid import UUID

from twisted.logger import Logger

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.directory import Directory, Disk, Segment
from neuronetz_twisted.audit.entries import Batch, Entry, Extent, Head, Pin, unpin
from neuronetz_twisted.audit.segments import (
    HEADER_BYTES,
    LINKS,
    MAX_FRAME,
    Header,
    Kind,
    frame,
    header,
    link,
)


class Tape:
    """Appends to the segments of one writer.

    `current` is the segment that is written, None where none can be. `room` is how many bytes of
    frames fit for certain. With `durable`, nothing is read before it was synced, and what was not
    is remembered.
    """

    _log = Logger()

    def __init__(self, writer: UUID, *, head: Head, disk: Disk, durable: bool) -> None:
        self.head = head
        self.current: Segment | None = None
        self.room = 0
        self._writer = writer
        self._pwrite = disk.pwrite
        self._durable = durable
        self._synced = head
        self._unsynced: list[Entry] = []
        self._spares: deque[Segment] = deque()
        # `extents` reads in another thread. An end moves on without the lock, behind what was
        # written; the list changes with it, and so does an end that moves back.
        self._lock = Lock()
        self._used: list[Segment] = []

    @property
    def readable_seq(self) -> int:
        """The sequence number of the last final that `extents` show."""
        return self._synced.seq if self._durable else self.head.seq

    @property
    def used(self) -> Sequence[Segment]:
        """The segments that were begun, oldest first."""
        return self._used

    @property
    def spares(self) -> Sequence[Segment]:
        """The segments that wait for their turn."""
        return self._spares

    @property
    def is_synced(self) -> bool:
        """Whether nothing waits for a sync."""
        return not self._unsynced

    def extents(self) -> list[Extent]:
        """What may be read, oldest first. May be called in any thread."""
        current = self.current  # before the ends, so that another segment's moves no more
        with self._lock:
            return [
                Extent(
                    segment.number,
                    segment.path,
                    segment.first_seq,
                    segment.synced if self._durable else segment.end,
                    segment is current,
                )
                for segment in self._used
            ]

    def resume(self, used: Sequence[Segment]) -> None:
        """Go on behind segments that were found on disk; the last is written where it is open."""
        with self._lock:
            self._used = list(used)
        if used and used[-1].fd is not None:
            self.current = used[-1]
        self._measure()

    def add(self, spare: Segment) -> None:
        """Take an empty segment, and begin it where none can be written."""
        self._spares.append(spare)
        if self.current is None:
            self._turn()
        self._measure()

    def append(self, kind: Kind, content: bytes, pin: Pin | None = None) -> bool:
        """Append an `INTENT` or a `LEASE`; False where it cannot be written.

        `pin` is the intent whose copy this is, if it is open.
        """
        segment = self._put(frame(kind, content))
        if segment is None:
            return False
        if pin is not None:
            unpin(pin)
            pin.segment = segment
            segment.pins.add(pin)
        if self._durable:
            self._unsynced.append(Entry(kind, content, pin))
        return True

    def link(self, kind: Kind, record: bytes, pin: Pin | None = None) -> bool:
        """Append a `FINAL` or a `NOTE` to the chain; False where it cannot be written.

        `pin` is the intent that it ends. It is let go when the end is as durable as it shall be.
        """
        seq, previous = self.head
        seq += 1
        chain_hash = chain.link(previous, record)
        if self._put(frame(kind, link(record, seq, chain_hash))) is None:
            return False
        self.head = Head(seq, chain_hash)
        if self._durable:
            self._unsynced.append(Entry(kind, record, pin))
        elif pin is not None:
            unpin(pin)
        return True

    def release(self, flushed: int) -> list[Segment]:
        """Give up the oldest segments whose finals are flushed and whose intents are not open.

        Only from the beginning: a completion behind would else be missing where its intent stays.
        """
        released = []
        while self.is_flushed(flushed) and not self._used[0].pins:
            with self._lock:
                released.append(self._used.pop(0))
        return released

    def give_up(self, segment: Segment) -> None:
        """Forget a segment that was begun and holds nothing."""
        with self._lock:
            self._used.remove(segment)

    def leave(self, numbers: Collection[int]) -> None:
        """Write no more to the current segment if it is one of these."""
        if self.current is not None and self.current.number in numbers:
            self._leave(self.current)
            self._turn()

    def release_spares(self) -> list[Segment]:
        """Give up the segments that wait for their turn, and write nothing more in the last one."""
        spares = list(self._spares)
        self._spares.clear()
        self.stop()
        return spares

    def spoil(self, path: Path) -> None:
        """Note that a file has damaged bytes. May be called in any thread."""
        with self._lock:
            for segment in self._used:
                segment.is_damaged |= segment.path == path

    def is_flushed(self, flushed: int) -> bool:
        """Whether all finals of the oldest segment are flushed, and it is not the last one."""
        return len(self._used) > 1 and self._used[1].first_seq <= flushed + 1

    def begin_sync(self) -> Batch:
        """What is to be synced now."""
        dirty = [
            (segment, segment.end)
            for segment in self._used
            if segment.fd is not None and segment.end > segment.synced
        ]
        entries, self._unsynced = self._unsynced, []
        return Batch(dirty, entries, self.head)

    def synced(self, batch: Batch) -> None:
        """The batch is on disk."""
        self._synced = batch.head
        for kind, _, pin in batch.entries:
            if pin is not None and kind in LINKS:
                unpin(pin)
        with self._lock:
            for segment, end in batch.segments:
                segment.synced = end
                if segment is not self.current and segment.end == end:
                    segment.close()

    def sync_failed(self, batch: Batch) -> list[Entry]:
        """End every file that is not wholly on disk, and write again what may be lost.

        Gives what cannot be written again now, in order.
        """
        entries = batch.entries + self._unsynced
        self._unsynced = []
        self.head = self._synced
        with self._lock:
            for segment in self._used:
                if segment.end > segment.synced or segment is self.current:
                    segment.end = segment.synced
                    segment.first_seq = min(segment.first_seq, self.head.seq + 1)
                    segment.close()
        self._turn()
        for index, entry in enumerate(entries):
            put = self.link if entry.kind in LINKS else self.append
            if not put(*entry):
                return entries[index:]
        return []

    def stop(self) -> None:
        """Write nothing more."""
        self.current = None
        self._measure()

    def close(
        self, directory: Directory, leaving: Sequence[Segment], flushed: int, *, ended: bool
    ) -> None:
        """Close all files and give up the directory, with no more in it than is needed. Blocks.

        Where the chain has not `ended`, everything stays as it is for who adopts it. Raises
        `OSError`, when the lock is free too.
        """
        try:
            if ended:
                over = flushed >= self.head.seq
                used = self._used if over else []
                directory.remove([*leaving, *used, *self._spares])
                if not over:
                    directory.trim(self._used[-1])
            for segment in (*leaving, *self._used, *self._spares):
                segment.close()
        finally:
            directory.close()

    def _put(self, data: bytes) -> Segment | None:
        while (segment := self.current) is not None:
            if segment.end + len(data) <= segment.size:
                if self._write(segment, data):
                    self.room -= len(data)
                    return segment
            elif not self._spares:
                return None
            self._leave(segment)
            self._turn()
        return None

    def _turn(self) -> None:
        """Go on in the next spare that can be written."""
        self.current = None
        while self._spares and self.current is None:
            segment = self._spares.popleft()
            segment.first_seq = self.head.seq + 1
            with self._lock:
                self._used.append(segment)
            head = Header(self._writer, self.head.seq + 1, self.head.chain_hash, segment.number)
            if self._write(segment, header(head)):
                self.current = segment
            else:
                segment.close()
        self._measure()

    def _write(self, segment: Segment, data: bytes) -> bool:
        """Write behind what is there; False where the file does not take it."""
        try:
            if self._pwrite(segment.file, data, segment.end) == len(data):
                segment.end += len(data)
                return True
            reason = "it takes only a part"
        except OSError as error:
            reason = str(error)
        self._log.error(
            "the segment {path} of the audit spool cannot be written: {reason}",
            reason=reason,
            path=str(segment.path),
        )
        return False

    def _leave(self, segment: Segment) -> None:
        """Write no more to a segment; one that is to be synced stays open until then."""
        if not self._durable or segment.end == segment.synced:
            segment.close()

    def _measure(self) -> None:
        """Count the room anew. No frame is split, so a segment may end with one's length unused."""
        free = [segment.size - HEADER_BYTES for segment in self._spares]
        if self.current is not None:
            free.append(self.current.size - self.current.end)
        self.room = sum(max(0, each - MAX_FRAME) for each in free)
