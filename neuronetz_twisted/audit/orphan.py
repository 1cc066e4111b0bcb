"""A spool whose writer is gone: what is in it, and the end of it.

Its files are scanned one by one. What the writer's last breath left half written is cut, at the end
of the last segment only; what is damaged in the middle is reported and stays as it is. Then its
chain goes on where it stood, in the room that the writer had set aside for the calls that were
open. When they have their end, what is left of that room is given back: the records may have to
stay for as long as the database is away.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from attrs import define, frozen

from neuronetz_twisted.audit import segments
from neuronetz_twisted.audit.directory import Directory, Disk, Segment
from neuronetz_twisted.audit.entries import Head
from neuronetz_twisted.audit.reader import Damage, Reader
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.recovery import Recovery, first_seq_in
from neuronetz_twisted.audit.segments import HEADER_BYTES, MAX_FRAME, Kind, Span
from neuronetz_twisted.audit.tape import Tape

# Where the writer's own room cannot be written: small, and over the limit, since it ends a spool.
_MORE = 8 * MAX_FRAME


@define(eq=False)
class OpenIntent:
    """A call that was begun and has no completion; `reservation` is the last one, in tokens."""

    intent: bytes
    reservation: int
    _orphan: "Orphan"

    def complete(self, record: bytes) -> None:
        """Append the final record to the writer's chain. Raises `OSError`."""
        self._orphan.complete(record)


class Orphan:
    """The spool of a writer that is gone, for adoption and the flusher.

    Every method but `flushed` blocks. One call at a time, in any thread.
    """

    def __init__(self, directory: Directory, disk: Disk) -> None:
        self.writer = directory.writer
        self._directory = directory
        begun, spares = _look(directory)
        what = Recovery(self.writer, [first_seq for _, first_seq in begun])
        used = [_read(segment, what) for segment, _ in begun]
        self.base = what.base
        self._open = [OpenIntent(left.intent, left.reservation, self) for left in what.left]
        self._left = len(self._open)
        self._flushed = what.base.seq
        self._tape = Tape(self.writer, head=what.head, disk=disk, durable=False)
        self._reader = Reader(self.writer, self._tape, directory.renew, disk.sync)
        for each, first_seq in zip(used, what.first_seqs, strict=True):
            each.segment.first_seq = first_seq
        self._resume(used, spares)
        self._report(used)
        if not self._left:
            self._give_back()

    @property
    def head(self) -> Head:
        """Where the chain stands."""
        return self._tape.head

    @property
    def last_seq(self) -> int:
        """The sequence number of the last final."""
        return self._tape.readable_seq

    @property
    def damaged(self) -> Sequence[Damage]:
        """What was found damaged on reading so far."""
        return self._reader.damaged

    def open_intents(self) -> Sequence[OpenIntent]:
        """The calls that had no completion, in the order of their admission."""
        return self._open

    def complete(self, record: bytes) -> None:
        """Append a final. Raises `OSError`."""
        if not self._tape.link(Kind.FINAL, record):
            more = self._directory.allocate(self._number, _MORE, None)
            self._tape.add(more)
            self._number += 1
            if not self._tape.link(Kind.FINAL, record):
                # It will be tried again, and again with a new one.
                self._tape.give_up(more)
                self._directory.remove([more])
                raise OSError(errno.EIO, "no segment can be written", str(self._directory.path))
        self._left -= 1
        if not self._left:
            self._give_back()

    def finals(self, after: int, limit: int) -> list[Final]:
        """At most `limit` finals behind the sequence number `after`. Raises `OSError`."""
        self._directory.remove(self._tape.release(self._flushed))
        return self._reader.finals(after, limit)

    def flushed(self, seq: int) -> None:
        """All finals up to `seq` are in PostgreSQL."""
        self._flushed = max(self._flushed, seq)

    def close(self) -> None:
        """Release the lock, and remove what is empty. Raises `OSError`, the lock being free."""
        self._tape.stop()
        self._tape.close(self._directory, [], self._flushed, ended=not self._left)

    def _resume(self, used: Sequence["_Used"], spares: Sequence[Segment]) -> None:
        """Open what is written from now on: the last segment that was begun, and the spares."""
        for segment in (*(each.segment for each in used[-1:]), *spares):
            segment.fd = os.open(segment.path, os.O_RDWR)
        for each in used[-1:]:
            if each.is_torn:
                self._directory.zero(each.segment.file, each.segment.end, each.segment.size)
        self._tape.resume([each.segment for each in used])
        for spare in spares:
            self._tape.add(spare)
        numbers = [segment.number for segment in (*self._tape.used, *spares)]
        self._number = max(numbers, default=0) + 1

    def _report(self, used: Sequence["_Used"]) -> None:
        for each in used:
            if each.is_headless:
                self._reader.note(each.segment.path, Span(0, HEADER_BYTES))
        for each in used[:-1]:
            if each.is_torn:
                self._reader.note(each.segment.path, Span(each.segment.end, each.segment.size))

    def _give_back(self) -> None:
        """Give back the room that nothing more is written to."""
        self._directory.remove(self._tape.release_spares())
        for segment in self._tape.used[-1:]:
            self._directory.trim(segment)
            segment.close()


@frozen
class _Used:
    """A segment that was begun, as its one reading found it."""

    segment: Segment
    is_headless: bool
    is_torn: bool


def _look(directory: Directory) -> tuple[list[tuple[Segment, int | None]], list[Segment]]:
    """The segments that were begun, each with its first sequence number, and the others."""
    begun: list[tuple[Segment, int | None]] = []
    spares = []
    for path in directory.segments():
        with path.open("rb") as file:
            header = segments.header_of(file.read(HEADER_BYTES))
        segment = Segment(int(path.stem), path, path.stat().st_size)
        if header is not None:
            begun.append((segment, header.first_seq))
            continue
        data = path.read_bytes()
        if data and not data.rstrip(b"\0"):
            spares.append(segment)
        elif data[HEADER_BYTES:].rstrip(b"\0"):
            begun.append((segment, first_seq_in(segments.scan(data))))
        else:
            # Its making, or the writing of its header, was cut: there is nothing in it.
            directory.remove([segment])
    return begun, spares


def _read(segment: Segment, what: Recovery) -> _Used:
    """Read a segment into `what`, and let go of its records."""
    scan = segments.scan(segment.path.read_bytes())
    segment.end = scan.end
    what.read(scan)
    return _Used(segment, scan.header is None, scan.torn_at is not None)


def adopt(path: Path, disk: Disk | None = None) -> Orphan | None:
    """Take the directory of a writer; None where a living process has it. Blocks.

    Raises `OSError` and `NotASegment`; the lock is released then.
    """
    disk = disk or Disk()
    directory = Directory.take(path, disk)
    if directory is None:
        return None
    try:
        return Orphan(directory, disk)
    except BaseException:
        directory.close()
        raise
