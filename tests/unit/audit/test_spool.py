"""The spool of this process."""

from uuid import uuid4

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent

from neuronetz_twisted.audit import chain
from neuronetz_twisted.audit.event import MAX_RECORD
from neuronetz_twisted.audit.orphan import adopt
from neuronetz_twisted.audit.segments import LEASE_FRAME_BYTES
from neuronetz_twisted.audit.spool import Spool
from neuronetz_twisted.errors import AuditUnavailable
from tests.unit.audit.spools import LIMITS, SpoolTestCase, final, id_in, intent

BIG = 7000


class AppendingTests(SpoolTestCase):
    def test_a_call(self) -> None:
        """What was completed is there for the flusher, chained, and nothing else is."""
        spool = self.made()
        first, second = self.filled(spool, 2)
        spool.open(str(uuid4()), intent(uuid4()))
        finals = spool.finals(0, 10)
        self.assertEqual([each.seq for each in finals], [1, 2])
        self.assertEqual([id_in(each.record) for each in finals], [first, second])
        genesis = chain.start(spool.writer)
        self.assertEqual(spool.base, (0, genesis))
        expected = chain.link(chain.link(genesis, final(first)), final(second))
        self.assertEqual(finals[1].chain_hash, expected)
        self.assertEqual({each.writer for each in finals}, {spool.writer})
        self.assertEqual(spool.last_seq, 2)

    def test_a_note(self) -> None:
        """A request without an intent is a link of the chain like any other."""
        spool = self.made()
        self.assertTrue(spool.note(b"{}"))
        self.assertEqual([each.record for each in spool.finals(0, 10)], [b"{}"])

    def test_only_the_first_completion_counts(self) -> None:
        """A call has one final record, however often it is completed."""
        spool = self.made()
        slot = spool.open(str(uuid4()), b"{}")
        slot.complete(b"1")
        slot.complete(b"2")
        self.assertEqual([each.record for each in spool.finals(0, 10)], [b"1"])
        self.assertEqual(spool._reserved, 0)

    def test_no_oversized_record(self) -> None:
        """What could not be read again is not written."""
        spool = self.made()
        large = b"x" * (MAX_RECORD + 1)
        slot = spool.open(str(uuid4()), b"{}")
        self.assertRaises(ValueError, spool.open, uuid4(), large)
        self.assertRaises(ValueError, slot.complete, large)
        self.assertFalse(spool.note(large))
        slot.complete(b"{}")
        self.assertEqual(spool.last_seq, 1)

    def test_batches(self) -> None:
        """Finals come in batches, the same again until the caller has gone further."""
        spool = self.made()
        self.filled(spool, 5)
        for _ in range(2):
            self.assertEqual([each.seq for each in spool.finals(0, 3)], [1, 2, 3])
        self.assertEqual([each.seq for each in spool.finals(3, 3)], [4, 5])
        self.assertEqual(spool.finals(5, 3), [])
        self.filled(spool, 1)
        self.assertEqual([each.seq for each in spool.finals(5, 3)], [6])

    def test_over_many_segments(self) -> None:
        """Rotation loses nothing, and what is flushed is removed from the disk."""
        spool = self.made()
        requests = self.filled(spool, 60, BIG)
        finals = spool.finals(0, 100)
        self.assertEqual([id_in(each.record) for each in finals], requests)
        self.assertGreater(len(spool._directory.segments()), 5)
        spool.flushed(60)
        self.assertLess(len(spool._directory.segments()), 5)
        self.assertEqual(self.filled(spool, 5), [id_in(e.record) for e in spool.finals(60, 9)])

    def test_nothing_unflushed_is_removed(self) -> None:
        """A segment stays until the last of its finals is flushed."""
        spool = self.made()
        self.filled(spool, 30, BIG)
        before = spool._directory.segments()
        second = spool._tape.used[1].first_seq
        spool.flushed(second - 2)
        self.assertEqual(spool._directory.segments(), before)
        spool.flushed(second - 1)
        self.assertEqual(spool._directory.segments(), before[1:])

    def test_a_long_call_pins_nothing(self) -> None:
        """An open intent is carried forward with its reservation, so old segments go."""
        spool = self.made()
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        spool.open(str(uuid4()), intent(uuid4()))
        slot.extend(777)
        for _ in range(10):
            self.filled(spool, 12, BIG)
            spool.flushed(spool.last_seq)
        self.assertLess(len(spool._tape.used), 5)
        self.die(spool)
        orphan = adopt(spool._directory.path)
        assert orphan is not None
        self.addCleanup(orphan.close)
        left = {id_in(each.intent): each.reservation for each in orphan.open_intents()}
        self.assertEqual(left[request], 777)

    def test_many_open_calls_are_not_carried_for_ever(self) -> None:
        """Open intents move only where they hold up more than they need."""
        spool = self.made(evolve(LIMITS, max_bytes=1 << 24))
        for _ in range(30):
            request = uuid4()
            spool.open(str(request), intent(request, BIG))
        self.filled(spool, 6, BIG)
        used = [segment.number for segment in spool._tape.used]
        for _ in range(3):
            spool.flushed(spool.last_seq)
        self.assertEqual([segment.number for segment in spool._tape.used], used)

    def test_end(self) -> None:
        """A spool with nothing left in it leaves nothing on disk."""
        spool = self.made()
        self.filled(spool, 20, BIG)
        spool.flushed(20)
        self.ended(spool)
        self.assertEqual([each.name for each in self.root.iterdir()], ["limit.lock"])

    def test_end_with_finals(self) -> None:
        """What is not flushed stays, in no more room than it needs, and is adopted."""
        spool = self.made()
        self.filled(spool, 3)
        self.ended(spool)
        (path,) = spool._directory.segments()
        self.assertLess(path.stat().st_size, 2000)
        orphan = adopt(spool._directory.path)
        assert orphan is not None
        self.assertEqual([each.seq for each in orphan.finals(0, 9)], [1, 2, 3])
        orphan.close()

    def test_end_with_open_calls(self) -> None:
        """The room of an open call stays for who adopts it; what it says now is lost."""
        spool = self.made()
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        self.ended(spool)
        self.assertEqual(spool.denies, "sealed")
        self.assertFalse(spool.note(b"{}"))
        slot.complete(final(request))
        spool.flushed(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(spool._directory.segments()), 2)

    def test_close_before_seal(self) -> None:
        """A spool that may still be written is not closed."""
        self.assertRaises(RuntimeError, self.made().close)

    def test_seal_waits_for_threads(self) -> None:
        """Sealing is over when no thread is at work on the files."""
        spool = self.made()
        self.threads.at_once = False
        self.filled(spool, 5, BIG)
        sealing = Deferred.fromCoroutine(spool.seal())
        self.assertNoResult(sealing)
        self.threads.run()
        self.successResultOf(sealing)
        spool.close()
        spool._directory._lock = -1


class RoomTests(SpoolTestCase):
    def assertDenies(self, spool: Spool, why: str) -> None:
        """Nothing is admitted, and this is why."""
        self.assertEqual(spool.denies, why)
        error = self.assertRaises(AuditUnavailable, spool.open, str(uuid4()), b"{}")
        self.assertEqual(error.why, why)
        self.assertRaises(AuditUnavailable, spool.check)
        self.assertFalse(spool.note(b"{}"))

    def test_all_is_well(self) -> None:
        """A spool with room denies nothing."""
        spool = self.made()
        spool.check()
        self.assertIsNone(spool.denies)
        self.assertIsNone(spool.committed())

    def test_late_thread(self) -> None:
        """While the next segment is not ready, no more is admitted than can be completed."""
        spool = self.made()
        self.threads.at_once = False
        slots = []
        while spool.denies is None:
            request = uuid4()
            slots.append((request, spool.open(str(request), intent(request, BIG))))
        self.assertDenies(spool, "preparing")
        for request, slot in slots:
            slot.complete(final(request, BIG))
        self.assertEqual(len(spool.finals(0, 99)), len(slots))
        self.assertEqual(len(spool._waiting), 0)
        self.threads.run()
        spool.check()

    def test_full(self) -> None:
        """At the limit nothing is admitted; what is open completes, and flushing ends it."""
        spool = self.made(evolve(LIMITS, max_bytes=3 << 16))
        slots = []
        while spool.denies is None:
            request = uuid4()
            slots.append((request, spool.open(str(request), intent(request, BIG))))
        self.assertDenies(spool, "full")
        for request, slot in slots[1:]:
            slot.complete(final(request, BIG))
        self.assertEqual(len(spool._waiting), 0)
        spool.flushed(spool.last_seq)
        spool.check()
        self.assertEqual(spool.denies, None)

    def test_full_of_others(self) -> None:
        """The limit is one over all writers; room that another gives up is found in a second."""
        limits = evolve(LIMITS, max_bytes=5 << 16)
        other, spool = self.made(limits), self.made(limits)
        while spool.denies is None:
            spool.open(str(uuid4()), intent(uuid4(), BIG))
        self.assertDenies(spool, "full")
        self.ended(other)
        self.assertDenies(spool, "full")
        self.clock.advance(1)
        spool.check()

    def test_no_room_at_the_start(self) -> None:
        """A process starts where there is no room, denies, and goes on when there is."""
        self.disks.broken = True
        spool = self.made()
        self.assertDenies(spool, "io")
        self.disks.broken = False
        self.clock.advance(1)
        spool.check()
        self.filled(spool, 1)
        self.assertEqual(len(spool.finals(0, 9)), 1)

    def test_leases_take_no_reserved_room(self) -> None:
        """A reservation that cannot be written is refused, and stays as it was."""
        spool = self.made(evolve(LIMITS, max_bytes=2 << 16))
        slot = spool.open(str(uuid4()), b"{}")
        slot.extend(5)
        while spool.denies is None:
            self.assertTrue(spool.note(b"x" * BIG))
        error = None
        for _ in range(1000):
            try:
                slot.extend(6)
            except AuditUnavailable as refusal:
                error = refusal
        assert error is not None
        self.assertEqual(error.why, "full")
        self.assertRaises(AuditUnavailable, slot.extend, 7)
        self.assertEqual(slot.tokens, 6)
        slot.complete(b"x" * MAX_RECORD)
        self.assertEqual(len(spool._waiting), 0)


class FaultTests(SpoolTestCase):
    def test_goes_on_in_the_next_file(self) -> None:
        """A file that takes no more is ended, and the same record goes to the next."""
        spool = self.made()
        self.filled(spool, 2)
        ended = spool._tape.current
        real = spool._tape._pwrite

        def once(fd: int, data: bytes, offset: int) -> int:
            spool._tape._pwrite = real
            return real(fd, data[:20], offset)

        spool._tape._pwrite = once
        request = uuid4()
        with capturedLogs() as events:
            spool.open(str(request), intent(request)).complete(final(request))
        assert ended is not None
        self.assertIsNot(spool._tape.current, ended)
        words = f"the segment {ended.path} of the audit spool cannot be written"
        self.assertEqual(
            [formatEvent(event) for event in events], [f"{words}: it takes only a part"]
        )
        self.assertEqual([each.seq for each in spool.finals(0, 9)], [1, 2, 3])
        self.assertIsNone(spool.denies)

    def test_damage(self) -> None:
        """A segment that cannot be read wholly is not lost when it is flushed."""
        spool = self.made()
        self.filled(spool, 30, BIG)
        path, other = (segment.path for segment in spool._tape.used[:2])
        with path.open("r+b") as file:
            file.seek(300)
            file.write(b"\1")
        spool.flushed(spool.finals(0, 99)[-1].seq)
        self.assertEqual([path.exists(), other.exists()], [False, False])
        kept = [each.name for each in self.root.glob("*.damaged")]
        self.assertEqual(kept, [f"{spool.writer}-{path.stem}.damaged"])

    def test_broken_disk(self) -> None:
        """Where no file can be written nothing is admitted; completions wait in memory."""
        spool = self.made()
        requests = [uuid4() for _ in range(2)]
        slots = [spool.open(str(request), intent(request)) for request in requests]
        self.disks.broken = True
        self.assertRaises(AuditUnavailable, spool.open, str(uuid4()), b"{}")
        self.assertEqual(spool.denies, "io")
        self.assertRaises(AuditUnavailable, slots[0].extend, 5)
        for request, slot in zip(requests, slots, strict=True):
            slot.complete(final(request))
        self.assertEqual(spool.finals(0, 9), [])
        self.clock.pump([1, 1, 1])
        self.assertEqual(spool.denies, "io")
        self.disks.broken = False
        self.clock.advance(1)
        spool.check()
        self.assertEqual([id_in(each.record) for each in spool.finals(0, 9)], requests)
        self.assertEqual(spool._reserved, 0)

    def test_a_file_that_cannot_be_synced_for_reading(self) -> None:
        """It is written no more, and what was in it is read from another one, which is synced.

        Until then nothing is admitted.
        """
        spool = self.made()
        requests = self.filled(spool, 2)
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        (ended,) = spool._tape.used
        bad = ended.path.stat().st_ino
        self.disks.unsynced = True
        self.assertRaises(OSError, spool.finals, 0, 9)
        self.disks.unsynced = False
        self.assertRaises(OSError, spool.finals, 0, 9)
        spool.leave_failed()
        self.assertIsNone(ended.fd)
        self.assertIsNot(spool._tape.current, ended)
        self.assertEqual(spool.denies, "io")
        self.disks.synced.clear()
        self.assertEqual([id_in(each.record) for each in spool.finals(0, 9)], requests)
        self.assertIsNone(spool.denies)
        good = ended.path.stat().st_ino
        self.assertNotEqual(good, bad)
        self.assertIn(good, self.disks.synced)
        self.assertNotIn(bad, self.disks.synced)
        slot.complete(final(request))
        self.assertEqual([id_in(each.record) for each in spool.finals(2, 9)], [request])

    def test_a_file_that_is_given_up_before_it_is_replaced(self) -> None:
        """What held nothing but intents that have ended elsewhere keeps nobody out."""
        spool = self.made()
        self.filled(spool, 2)
        spool.flushed(len(spool.finals(0, 9)))
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        self.disks.unsynced = True
        self.assertRaises(OSError, spool.finals, 2, 9)
        spool.leave_failed()
        self.assertEqual(spool.denies, "io")
        slot.complete(final(request))
        self.disks.unsynced = False
        self.clock.advance(1)
        self.assertEqual(len(spool._tape.used), 1)
        self.assertEqual([id_in(each.record) for each in spool.finals(2, 9)], [request])
        self.assertIsNone(spool.denies)

    def test_an_open_call_in_a_file_that_cannot_be_synced(self) -> None:
        """Its intent is in the other file too, and its death is found there."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request)).extend(777)
        self.filled(spool, 1)
        self.disks.unsynced = True
        self.assertRaises(OSError, spool.finals, 0, 9)
        self.disks.unsynced = False
        spool.leave_failed()
        self.assertEqual(len(spool.finals(0, 9)), 1)
        self.die(spool)
        orphan = adopt(spool._directory.path)
        assert orphan is not None
        self.addCleanup(orphan.close)
        left = [(id_in(each.intent), each.reservation) for each in orphan.open_intents()]
        self.assertEqual(left, [(request, 777)])

    def test_no_other_file_to_go_on_in(self) -> None:
        """While there is none nothing is admitted, and it ends by itself."""
        spool = self.made()
        (request,) = self.filled(spool, 1)
        self.disks.unsynced = self.disks.broken = True
        self.assertRaises(OSError, spool.finals, 0, 9)
        spool.leave_failed()
        self.assertEqual(spool.denies, "io")
        self.assertRaises(OSError, spool.finals, 0, 9)
        self.disks.unsynced = self.disks.broken = False
        self.clock.advance(1)
        self.assertEqual([id_in(each.record) for each in spool.finals(0, 9)], [request])
        self.assertIsNone(spool.denies)

    def test_nothing_to_leave(self) -> None:
        """A file is left for its own fault alone, and none when nothing is written any more."""
        spool = self.made()
        self.filled(spool, 1)
        current = spool._tape.current
        spool.leave_failed()
        self.assertIs(spool._tape.current, current)
        self.ended(spool)
        spool.leave_failed()

    def test_a_note_on_a_broken_disk(self) -> None:
        """A note that no file takes was not kept."""
        spool = self.made()
        self.disks.broken = True
        self.assertFalse(spool.note(b"{}"))
        self.disks.broken = False
        self.clock.advance(1)
        self.assertTrue(spool.note(b"1"))
        self.assertEqual([each.record for each in spool.finals(0, 9)], [b"1"])

    def test_buffer(self) -> None:
        """When as many completions wait as may, that is why nothing is admitted."""
        spool = self.made()
        slots = [spool.open(str(uuid4()), b"{}") for _ in range(4)]
        self.disks.broken = True
        for index, slot in enumerate(slots):
            slot.complete(b"%d" % index)
        self.assertEqual(spool.denies, "buffer")
        self.disks.broken = False
        self.clock.advance(1)
        self.assertIsNone(spool.denies)
        records = [each.record for each in spool.finals(0, 9)]
        self.assertEqual(records, [b"0", b"1", b"2", b"3"])

    def test_files_that_are_made_and_cannot_be_written(self) -> None:
        """A new file that takes no records is not followed by another at once."""
        spool = self.made()
        slot = spool.open(str(uuid4()), b"{}")
        real = spool._tape._pwrite
        spool._tape._pwrite = self.broken
        slot.complete(b"1")
        made = len(spool._directory.segments())
        self.assertEqual(spool.denies, "io")
        self.clock.advance(1)
        self.assertEqual(len(spool._directory.segments()), made + 1)
        spool._tape._pwrite = real
        self.clock.advance(1)
        self.assertIsNone(spool.denies)
        self.assertEqual([each.record for each in spool.finals(0, 9)], [b"1"])

    def broken(self, _fd: int, _data: bytes, _offset: int) -> int:
        """A disk that takes nothing."""
        raise OSError("broken")

    def test_open_calls_that_cannot_be_carried(self) -> None:
        """An intent that cannot be written again keeps its segment."""
        spool = self.made(evolve(LIMITS, max_bytes=3 << 16))
        request = uuid4()
        spool.open(str(request), intent(request))
        while spool.denies is None:
            spool.note(b"x" * BIG)
        spool._tape._pwrite = self.broken
        spool.flushed(spool.last_seq)
        self.assertEqual(len(spool._tape.used[0].pins), 1)

    def test_a_reservation_that_cannot_be_carried(self) -> None:
        """An intent goes nowhere without it, so the segment that has both stays."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request)).extend(777)
        self.filled(spool, 30, BIG)
        first = spool._tape.used[0]
        real = spool._tape._pwrite

        def no_leases(fd: int, data: bytes, offset: int) -> int:
            return 0 if len(data) == LEASE_FRAME_BYTES else real(fd, data, offset)

        spool._tape._pwrite = no_leases
        self.threads.at_once = False
        spool.flushed(spool.last_seq)
        self.assertIs(spool._tape.used[0], first)
        self.assertEqual(len(first.pins), 1)


class DurableTests(SpoolTestCase):
    durable = True

    def waiting(self, spool: Spool) -> Deferred[None]:
        """Wait for the disk."""
        waiter = spool.committed()
        assert waiter is not None
        return waiter

    def test_group_commit(self) -> None:
        """What many have appended is synced at once, within 5 ms."""
        spool = self.made()
        waiters = []
        for _ in range(5):
            spool.open(str(uuid4()), b"{}")
            waiters.append(self.waiting(spool))
        syncs = self.disks.syncs
        self.clock.advance(0.001)
        for waiter in waiters:
            self.assertNoResult(waiter)
        self.clock.advance(0.004)
        for waiter in waiters:
            self.successResultOf(waiter)
        self.assertEqual(self.disks.syncs, syncs + 1)

    def test_only_what_is_synced_is_flushed(self) -> None:
        """PostgreSQL never has what the disk may lose; a completion is synced without a waiter."""
        spool = self.made()
        self.filled(spool, 1)
        self.assertEqual((spool.last_seq, spool.finals(0, 9)), (0, []))
        self.clock.advance(0.005)
        self.assertEqual((spool.last_seq, len(spool.finals(0, 9))), (1, 1))

    def test_a_sync_under_way(self) -> None:
        """Who appends during a sync waits for the next, which begins soon after."""
        spool = self.made()
        self.threads.at_once = False
        spool.open(str(uuid4()), b"{}")
        first = self.waiting(spool)
        self.clock.advance(0.002)
        spool.open(str(uuid4()), b"{}")
        second = self.waiting(spool)
        self.threads.run()
        self.successResultOf(first)
        self.assertNoResult(second)
        self.clock.advance(0.002)
        self.threads.run()
        self.successResultOf(second)

    def test_cancelled(self) -> None:
        """Who gives up waiting keeps nobody else from it."""
        spool = self.made()
        spool.open(str(uuid4()), b"{}")
        first, second = self.waiting(spool), self.waiting(spool)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.advance(0.005)
        self.successResultOf(second)

    def test_a_file_that_cannot_be_synced(self) -> None:
        """It ends, what it may lose is written to the next, and nobody notices."""
        spool = self.made()
        self.filled(spool, 2)
        self.clock.advance(0.005)
        ended = spool._tape.current
        assert ended is not None
        requests = self.filled(spool, 2)
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        waiter = self.waiting(spool)
        self.threads.at_once = False
        self.clock.advance(0.002)
        self.disks.unsynced = True
        self.threads.work.pop(0)()
        self.disks.unsynced = False
        self.threads.at_once = True
        self.threads.run()
        self.successResultOf(waiter)
        self.assertIsNone(ended.fd)
        self.assertIsNot(slot.segment, ended)
        slot.complete(final(request))
        self.clock.advance(0.005)
        finals = spool.finals(2, 9)
        self.assertEqual([each.seq for each in finals], [3, 4, 5])
        self.assertEqual([id_in(each.record) for each in finals], [*requests, request])
        self.assertEqual(spool.damaged, ())
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_no_file_can_be_synced(self) -> None:
        """Who waits is refused, nothing more is admitted, and it ends by itself."""
        spool = self.made()
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        waiter = self.waiting(spool)
        spool.note(b"1")
        self.disks.unsynced = True
        self.clock.advance(0.005)
        self.failureResultOf(waiter, AuditUnavailable)
        self.assertEqual(spool.denies, "io")
        self.failureResultOf(self.waiting(spool), AuditUnavailable)
        slot.complete(final(request))
        self.clock.advance(1)
        self.assertEqual(spool.denies, "io")
        self.disks.unsynced = False
        self.clock.advance(1)
        self.clock.advance(0.005)
        self.assertIsNone(spool.denies)
        self.assertEqual([each.record for each in spool.finals(0, 9)], [b"1", final(request)])
        self.flushLoggedErrors(OSError)

    def test_an_end_that_is_lost_again(self) -> None:
        """A call whose end was written and not synced keeps its intent in the files."""
        spool = self.made()
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        self.filled(spool, 20, BIG)
        self.clock.advance(0.005)
        first = spool._tape.used[0]
        slot.complete(final(request))
        self.disks.unsynced = self.disks.broken = True
        self.clock.advance(0.005)
        self.assertEqual(spool.denies, "io")
        spool.flushed(spool.last_seq)
        self.assertIn(first, spool._tape.used)
        self.assertEqual(spool._reserved, 0)
        self.disks.unsynced = self.disks.broken = False
        self.clock.pump([1, 0.005])
        self.assertEqual([each.record for each in spool.finals(20, 9)], [final(request)])
        spool.flushed(21)
        self.clock.advance(0.005)
        self.assertNotIn(first, spool._tape.used)
        self.assertEqual(spool._reserved, 0)
        self.flushLoggedErrors(OSError)

    def test_a_call_that_has_ended_is_not_carried(self) -> None:
        """Its segment goes when its end is on disk; until then it needs no further copy."""
        spool = self.made()
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        self.filled(spool, 20, BIG)
        self.clock.advance(0.005)
        slot.complete(final(request))
        first = spool._tape.used[0]
        spool.flushed(20)
        self.assertEqual((slot.segment, first.pins), (first, {slot}))
        self.clock.advance(0.005)
        self.assertEqual(first.pins, set())

    def test_notes_that_are_not_on_disk_at_the_end(self) -> None:
        """A chain that cannot be read to its end has not ended."""
        spool = self.made()
        self.assertTrue(spool.note(b"1"))
        self.threads.at_once = False
        sealing = Deferred.fromCoroutine(spool.seal())
        self.clock.pump([0.005, 2])
        self.successResultOf(sealing)
        self.assertFalse(spool.has_ended)
        self.threads.run()
        self.assertTrue(spool.has_ended)

    def test_no_thread_for_a_sync(self) -> None:
        """Who waits is refused, no sync counts as under way, and it ends by itself."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request)).complete(final(request))
        waiter = self.waiting(spool)
        self.threads.refuses = True
        self.clock.advance(0.005)
        self.failureResultOf(waiter, AuditUnavailable)
        self.assertEqual(spool.denies, "io")
        self.threads.refuses = False
        self.clock.pump([1, 0.005])
        self.assertIsNone(spool.denies)
        self.assertEqual([each.record for each in spool.finals(0, 9)], [final(request)])
        self.flushLoggedErrors(OSError)

    def test_a_sync_that_hangs(self) -> None:
        """Nobody waits for more than two seconds, and it ends when the disk comes back."""
        spool = self.made()
        spool.open(str(uuid4()), b"{}")
        self.threads.at_once = False
        waiter = self.waiting(spool)
        self.clock.advance(0.002)
        self.clock.advance(2)
        self.failureResultOf(waiter, AuditUnavailable)
        self.assertEqual(spool.denies, "io")
        self.failureResultOf(self.waiting(spool), AuditUnavailable)
        self.threads.run()
        self.assertIsNone(spool.denies)

    def test_rotation(self) -> None:
        """A segment that was left is synced before it is closed."""
        spool = self.made()
        requests = self.filled(spool, 20, BIG)
        left = spool._tape.used[0]
        self.assertIsNotNone(left.fd)
        self.clock.advance(0.005)
        self.assertIsNone(left.fd)
        self.assertEqual([id_in(each.record) for each in spool.finals(0, 99)], requests)

    def test_removal_waits_for_the_disk(self) -> None:
        """A segment goes when what was carried out of it is synced."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request))
        for _ in range(4):
            self.filled(spool, 5, BIG)
            self.clock.advance(0.005)
        first = spool._directory.segments()[0]
        spool.flushed(spool.last_seq)
        self.assertTrue(first.exists())
        self.clock.advance(0.005)
        self.assertFalse(first.exists())

    def test_seal(self) -> None:
        """All that was appended is on disk when the spool is sealed."""
        spool = self.made()
        self.filled(spool, 2)
        sealing = Deferred.fromCoroutine(spool.seal())
        self.clock.advance(0.005)
        self.successResultOf(sealing)
        self.assertEqual(len(spool.finals(0, 9)), 2)

    def test_seal_on_a_broken_disk(self) -> None:
        """A disk that takes nothing holds up no end."""
        spool = self.made()
        self.filled(spool, 2)
        self.disks.unsynced = True
        sealing = Deferred.fromCoroutine(spool.seal())
        self.clock.advance(0.005)
        self.successResultOf(sealing)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.flushLoggedErrors(OSError)
