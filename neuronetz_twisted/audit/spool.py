"""Where a call is on record before its first byte goes upstream (SPEC 9).

The reactor's thread appends with one `pwrite` per record, to files made ready in a thread. Room for
the end of a call is set aside at its beginning; where there is none, nothing is admitted.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.commit import GroupCommit, InThread
from neuronetz_twisted.audit.directory import Directory, Disk, Segment, SpoolLimits
from neuronetz_twisted.audit.entries import Entry, Head, Pin
from neuronetz_twisted.audit.event import MAX_RECORD
from neuronetz_twisted.audit.reader import Damage, Reader
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.segments import (
    HEADER_BYTES,
    LEASE_FRAME_BYTES,
    LINKS,
    MAX_FRAME,
    Kind,
    lease,
)
from neuronetz_twisted.audit.slot import Slot, carry
from neuronetz_twisted.audit.supply import Supply
from neuronetz_twisted.audit.tape import Tape
from neuronetz_twisted.errors import AuditUnavailable

# The most that one call can need: its intent, that again in a later segment, its completion.
_ONE_CALL = 3 * MAX_FRAME + LEASE_FRAME_BYTES


class Spool:
    """An `AuditTrail` for the pipeline and a backlog for the flusher.

    All but `create`, `finals` and `close` belongs to the reactor's thread.
    """

    def __init__(  # noqa: PLR0913 - its parts, given once
        self,
        directory: Directory,
        limits: SpoolLimits,
        *,
        clock: IReactorTime,
        in_thread: InThread,
        sync_in: InThread | None,
        disk: Disk,
    ) -> None:
        self.writer = directory.writer
        self.base = Head(0, chain.start(self.writer))
        self._directory = directory
        self._limits = limits
        self._tape = Tape(self.writer, head=self.base, disk=disk, durable=sync_in is not None)
        sync = disk.sync if sync_in is None else None
        self._reader = Reader(self.writer, self._tape, directory.renew, sync)
        self._commit: GroupCommit | None = None
        if sync_in is not None:
            self._commit = GroupCommit(
                clock, self._tape, in_thread=sync_in, disk=disk, lost=self._keep_lost
            )
        self._reserved = 0
        self._headroom = 3 * (limits.segment_bytes - HEADER_BYTES - MAX_FRAME) // 2
        self._waiting: deque[Entry] = deque()
        self._flushed = 0
        self._supply = Supply(
            clock,
            directory,
            limits,
            in_thread=in_thread,
            ready=self._go_on_in,
            behind=self.committed,
        )
        self._sealed = self._stopped = False

    @classmethod
    def create(  # noqa: PLR0913 - its parts, given once
        cls,
        root: Path,
        limits: SpoolLimits,
        *,
        clock: IReactorTime,
        in_thread: InThread,
        sync_in: InThread | None = None,
        disk: Disk | None = None,
    ) -> "Spool":
        """Begin the spool of a new writer in `root`, usually `spool/`. Blocks; then call `start`.

        `sync_in` is where the disk is waited for with AUDIT_DURABILITY=disk. Raises `OSError` where
        not even a directory can be made; where there is no room yet, the spool begins by denying.
        """
        disk = disk or Disk()
        directory = Directory.create(root, uuid4(), disk)
        spool = cls(directory, limits, clock=clock, in_thread=in_thread, sync_in=sync_in, disk=disk)
        for segment in spool._supply.first(2):
            spool._tape.add(segment)
        return spool

    @property
    def denies(self) -> str | None:
        """Why nothing is admitted now; None where all is well.

        `buffer`: too many completions wait in memory. `io`: a file cannot be written or synced.
        `full`: the limit on bytes is reached. `preparing`: the next file is not ready yet.
        `sealed`: the process is ending.
        """
        if self._sealed:
            return "sealed"
        if len(self._waiting) >= self._limits.buffer_records:
            return "buffer"
        if self._reader.has_failed or (self._commit is not None and self._commit.late):
            return "io"
        if self._tape.current is None:
            return self._supply.stuck or "io"
        if self._tape.room - self._reserved < _ONE_CALL:
            return self._supply.stuck or "preparing"
        return None

    @property
    def head(self) -> Head:
        """Where the chain stands."""
        return self._tape.head

    @property
    def last_seq(self) -> int:
        """The sequence number of the last final that can be flushed."""
        return self._tape.readable_seq

    @property
    def damaged(self) -> Sequence[Damage]:
        """What was found damaged on reading, for the log."""
        return self._reader.damaged

    @property
    def has_ended(self) -> bool:
        """Whether a sealed spool has the end of every call in its files, to be flushed."""
        is_readable = self._tape.readable_seq == self._tape.head.seq
        is_open = any(segment.pins for segment in self._tape.used)
        return is_readable and not (self._waiting or is_open)

    def start(self) -> None:
        """Keep room ready from now on."""
        self._look_ahead()

    def check(self) -> None:
        """Raise `AuditUnavailable` while nothing is admitted."""
        if (why := self.denies) is not None:
            raise AuditUnavailable(why=why)

    def open(self, request_id: str, intent: bytes) -> Slot:
        """Append the intent of a call, and set aside the room that its end needs.

        Raises `AuditUnavailable` where it cannot be, `ValueError` over 8192 bytes.
        """
        self.check()
        slot = Slot(self, request_id, intent)
        if len(intent) > MAX_RECORD:
            raise ValueError(f"a record of {len(intent)} bytes")
        if not self._tape.append(Kind.INTENT, intent, slot):
            self._look_ahead()
            raise AuditUnavailable(why=self.denies or "io")
        self._reserved += slot.reserve
        self._was_appended()
        return slot

    def committed(self) -> Deferred[None] | None:
        """Fires when all that was appended so far is as durable as it shall be.

        None where it is already. Fails with `AuditUnavailable`. May be cancelled.
        """
        if self._commit is None:
            return None
        if self._tape.current is None:
            return fail(AuditUnavailable(why="io"))
        return self._commit.wait()

    def note(self, record: bytes) -> bool:
        """Append the record of a request without an intent; False where it cannot be kept."""
        if self.denies is not None or len(record) > MAX_RECORD:
            return False
        if not self._tape.link(Kind.NOTE, record):
            self._look_ahead()
            return False
        self._was_appended()
        return True

    def extend(self, slot: Slot, tokens: int) -> None:
        """Write the new reservation of a slot. Raises `AuditUnavailable`."""
        free = self._tape.room - self._reserved
        payload = lease(UUID(slot.request_id), tokens)
        if free < LEASE_FRAME_BYTES or not self._tape.append(Kind.LEASE, payload):
            self._look_ahead()
            raise AuditUnavailable(why=self.denies or "full")
        slot.tokens = tokens
        self._was_appended()

    def complete(self, slot: Slot, record: bytes) -> None:
        """Write the end of a slot, or keep it until it can be written."""
        if slot.is_complete:
            return
        if len(record) > MAX_RECORD:
            raise ValueError(f"a record of {len(record)} bytes")
        slot.is_complete = True
        # Behind those that wait, since the chain keeps their order.
        if self._waiting or not self._tape.link(Kind.FINAL, record, slot):
            self._waiting.append(Entry(Kind.FINAL, record, slot))
        else:
            self._give_back(slot)
        self._was_appended()

    def finals(self, after: int, limit: int) -> list[Final]:
        """At most `limit` finals behind the sequence number `after`, in order.

        Blocks, so it is called in a thread. Raises `OSError`.
        """
        return self._reader.finals(after, limit)

    def flushed(self, seq: int) -> None:
        """Give up what is not needed any more: all finals up to `seq` are in PostgreSQL."""
        self._flushed = max(self._flushed, seq)
        self._tidy()

    def leave_failed(self) -> None:
        """Go on in another file where the one that is written could not be synced for `finals`."""
        self._tape.leave(self._reader.failed)
        self._look_ahead()

    async def seal(self) -> None:
        """End the appending; returns when no thread is at work. What comes later is lost."""
        self._sealed = True
        await self._supply.stop()
        if self._commit is not None:
            await self._commit.stop()
        self._tape.stop()
        self._stopped = True

    def close(self) -> None:
        """Release the lock of a sealed spool, and remove what is empty of it. Blocks.

        What is left is adopted by the next process. Raises `OSError`, when the lock is free too.
        """
        if not self._stopped:
            raise RuntimeError("a spool is sealed before it is closed")
        self._tape.close(self._directory, self._supply.leaving, self._flushed, ended=self.has_ended)

    def _go_on_in(self, spare: Segment) -> None:
        self._tape.add(spare)
        self._write_waiting()
        if self._tape.current is None:
            self._supply.later()
        self._was_appended()
        self._tidy()

    def _write_waiting(self) -> None:
        """Write the finals that wait, in their order."""
        while self._waiting and self._tape.link(*self._waiting[0]):
            pin = self._waiting.popleft().pin
            if pin is not None:
                self._give_back(pin)

    def _give_back(self, pin: Pin) -> None:
        self._reserved -= pin.reserve
        pin.reserve = 0

    def _keep_lost(self, entries: Sequence[Entry]) -> None:
        # What was in a file that has ended goes in front of all that waits.
        self._waiting.extendleft(entry for entry in reversed(entries) if entry.kind in LINKS)
        self._look_ahead()

    def _was_appended(self) -> None:
        if self._commit is not None and not self._stopped:
            self._commit.appended()
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Ask for a segment while less than one and a half are free."""
        if self._tape.room - self._reserved < self._headroom:
            self._supply.ask()

    def _tidy(self) -> None:
        """Give up old segments, and carry open intents forward where they hold up too many."""
        self._supply.remove(self._tape.release(self._flushed))
        # Reserves have room for the intents once more; used only while all of it is there.
        has_room = self._tape.room >= self._reserved
        if has_room and self._is_crowded() and self._tape.is_flushed(self._flushed):
            carry(self._tape.used[0], self._tape)
            self._was_appended()
            self._supply.remove(self._tape.release(self._flushed))
        self._look_ahead()

    def _is_crowded(self) -> bool:
        size = self._limits.segment_bytes
        used = len(self._tape.used) * size
        return self._supply.stuck == "full" or used > 2 * (self._reserved + size)
