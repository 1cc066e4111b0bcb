"""A spool whose writer is gone."""

import os
import tracemalloc
from pathlib import Path
from uuid import UUID, uuid4

from attrs import evolve
from crc32c import crc32c

from neuronetz_twisted.audit import segments
from neuronetz_twisted.audit.orphan import Orphan, adopt
from neuronetz_twisted.audit.segments import HEADER_BYTES, NotASegment, Span
from neuronetz_twisted.audit.spool import Spool
from tests.unit.audit.spools import LIMITS, SpoolTestCase, final, id_in, intent

BIG = 7000


class OrphanTests(SpoolTestCase):
    def adopted(self, path: Path) -> Orphan:
        """Adopt a directory that is free."""
        orphan = adopt(path, self.disks.disk())
        assert orphan is not None
        self.addCleanup(self.abandon, orphan)
        return orphan

    def abandon(self, orphan: Orphan) -> None:
        """End an adopter as the end of its process does."""
        orphan._tape.stop()
        for segment in (*orphan._tape.used, *orphan._tape.spares):
            segment.close()
        lock, orphan._directory._lock = orphan._directory._lock, -1
        if lock >= 0:
            os.close(lock)

    def end(self, orphan: Orphan) -> None:
        """Close an adopted spool."""
        orphan.close()
        orphan._directory._lock = -1

    def died(self, spool: Spool) -> Path:
        """Kill a writer; gives its directory."""
        self.die(spool)
        return spool._directory.path

    def flush(self, orphan: Orphan) -> list[UUID]:
        """Flush and close; gives whose records they were."""
        finals = orphan.finals(orphan.base[0], 1000)
        orphan.flushed(orphan.last_seq)
        self.end(orphan)
        return [id_in(each.record) for each in finals]

    def test_a_living_writer(self) -> None:
        """The spool of a living process is not adopted."""
        self.assertIsNone(adopt(self.made()._directory.path))

    def test_nothing_left(self) -> None:
        """A spool that was never used is removed."""
        path = self.died(self.made())
        orphan = self.adopted(path)
        self.assertEqual((orphan.last_seq, list(orphan.open_intents())), (0, []))
        self.end(orphan)
        self.assertFalse(path.exists())

    def test_never_begun(self) -> None:
        """Nor is anything left of one that never had a file."""
        self.disks.broken = True
        path = self.died(self.made())
        self.disks.broken = False
        orphan = self.adopted(path)
        self.assertEqual((orphan.last_seq, orphan.head), (0, orphan.base))
        self.end(orphan)
        self.assertFalse(path.exists())

    def test_adopted(self) -> None:
        """Open calls get their end in the same chain, all is flushed, and nothing stays."""
        spool = self.made()
        done = self.filled(spool, 3)
        left = [uuid4(), uuid4()]
        slots = [spool.open(str(each), intent(each)) for each in left]
        slots[1].extend(999)
        path = self.died(spool)
        orphan = self.adopted(path)
        self.assertEqual(orphan.writer, spool.writer)
        self.assertEqual(orphan.base, spool.base)
        self.assertEqual([id_in(each.intent) for each in orphan.open_intents()], left)
        self.assertEqual([each.reservation for each in orphan.open_intents()], [100, 999])
        for each in orphan.open_intents():
            each.complete(final(id_in(each.intent)))
        self.assertEqual(orphan.last_seq, 5)
        self.assertEqual(self.flush(orphan), done + left)
        self.assertFalse(path.exists())

    def test_half_way(self) -> None:
        """An adoption that dies is done again, and completes only what was not completed."""
        spool = self.made()
        left = [uuid4(), uuid4()]
        for each in left:
            spool.open(str(each), intent(each))
        path = self.died(spool)
        first = self.adopted(path)
        first.open_intents()[0].complete(final(left[0]))
        self.abandon(first)
        second = self.adopted(path)
        (still,) = second.open_intents()
        self.assertEqual(id_in(still.intent), left[1])
        self.end(second)
        third = self.adopted(path)
        third.open_intents()[0].complete(final(left[1]))
        self.assertEqual(self.flush(third), left)

    def test_over_many_segments(self) -> None:
        """Finals of many segments are read in order, and flushed ones go."""
        spool = self.made()
        done = self.filled(spool, 40, BIG)
        orphan = self.adopted(self.died(spool))
        finals = orphan.finals(0, 30)
        before = len(orphan._directory.segments())
        orphan.flushed(30)
        finals += orphan.finals(30, 30)
        self.assertEqual([id_in(each.record) for each in finals], done)
        self.assertLess(len(orphan._directory.segments()), before)
        self.end(orphan)
        again = self.adopted(orphan._directory.path)
        self.assertGreater(again.base[0], 0)
        self.assertEqual(self.flush(again), done[again.base[0] :])

    def test_memory(self) -> None:
        """However much a spool holds, its adoption has one segment in memory at a time."""
        spool = self.made()
        self.filled(spool, 150, BIG)
        request = uuid4()
        spool.open(str(request), intent(request))
        path = self.died(spool)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        orphan = self.adopted(path)
        _, peak = tracemalloc.get_traced_memory()
        self.assertEqual(len(orphan.open_intents()), 1)
        self.assertGreater(sum(each.stat().st_size for each in orphan._directory.segments()), 2e6)
        self.assertLess(peak, 5e5)

    def test_room_is_given_back(self) -> None:
        """While the database is away, a dead process' spool takes no more than its records do."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request))
        path = self.died(spool)
        orphan = self.adopted(path)
        before = len(orphan._directory.segments())
        self.assertGreater(before, 1)
        orphan.open_intents()[0].complete(final(request))
        (left,) = orphan._directory.segments()
        self.assertEqual(left.stat().st_size, orphan._tape.used[0].end)
        self.abandon(orphan)
        self.assertEqual(self.flush(self.adopted(path)), [request])

    def test_room_is_given_back_at_once(self) -> None:
        """So does one that had no open call."""
        spool = self.made()
        done = self.filled(spool, 2)
        orphan = self.adopted(self.died(spool))
        (left,) = orphan._directory.segments()
        self.assertLess(left.stat().st_size, 1000)
        self.assertEqual(self.flush(orphan), done)

    def test_damaged_segments_are_kept(self) -> None:
        """What is damaged is not removed with the spool: it stays beside it, for people."""
        spool = self.made()
        self.filled(spool, 20, BIG)
        segment = spool._tape.used[1]
        with segment.path.open("r+b") as file:
            file.seek(300)
            file.write(b"\1")
        data = segment.path.read_bytes()
        orphan = self.adopted(self.died(spool))
        for each in orphan.open_intents():
            each.complete(b'{"id":"%s"}' % str(id_in(each.intent)).encode())
        orphan.finals(0, 99)
        orphan.flushed(orphan.last_seq)
        self.end(orphan)
        self.assertFalse(orphan._directory.path.exists())
        kept = self.root / f"{orphan.writer}-00000002.damaged"
        self.assertEqual(kept.read_bytes(), data)

    def test_torn_end(self) -> None:
        """What was half written at the end is cut, and the chain goes on in its place."""
        spool = self.made()
        done = self.filled(spool, 2)
        request = uuid4()
        spool.open(str(request), intent(request))
        current = spool._tape.current
        assert current is not None
        torn = segments.frame(segments.Kind.FINAL, b"x" * 500)[:-9]
        os.pwrite(current.file, torn, current.end)
        orphan = self.adopted(self.died(spool))
        self.assertEqual(current.path.read_bytes()[current.end :].strip(b"\0"), b"")
        orphan.open_intents()[0].complete(b'{"id":"%s"}' % str(request).encode())
        self.assertEqual(orphan.damaged, ())
        self.assertEqual(self.flush(orphan), [*done, request])

    def test_damage_in_the_middle(self) -> None:
        """It is reported and not cut; numbers and hashes behind it are those of the files."""
        spool = self.made()
        done = self.filled(spool, 3)
        path = spool._tape.used[0].path
        data = bytearray(path.read_bytes())
        second = [each for each in segments.scan(bytes(data)).records if each.kind == 3][1]
        data[second.offset + 20] ^= 1
        path.write_bytes(data)
        orphan = self.adopted(self.died(spool))
        finals = orphan.finals(0, 9)
        self.assertEqual([each.seq for each in finals], [1, 3])
        self.assertEqual(
            [damage.span for damage in orphan.damaged], [Span(second.offset, second.end)]
        )
        self.assertEqual(path.read_bytes(), bytes(data))
        (left,) = orphan.open_intents()
        left.complete(final(done[1]))
        self.assertEqual([each.seq for each in orphan.finals(3, 9)], [4])

    def test_damage_at_the_end_of_the_chain(self) -> None:
        """What is lost there shows in the segment behind it; then the spool is over, for good."""
        spool = self.made()
        for _ in range(5):
            self.assertTrue(spool.note(b"{}"))
        (first,) = spool._tape.used
        spool._reader._failed.add(first.number)
        spool.leave_failed()
        head = spool.head
        data = bytearray(first.path.read_bytes())
        fourth = segments.scan(bytes(data)).records[3]
        data[fourth.offset : first.end] = b"x" * (first.end - fourth.offset)
        first.path.write_bytes(data)
        path = self.died(spool)
        orphan = self.adopted(path)
        self.assertEqual((orphan.head, head.seq), (head, 5))
        self.assertEqual([each.seq for each in orphan.finals(0, 9)], [1, 2, 3])
        orphan.flushed(5)
        self.end(orphan)
        self.assertFalse(path.exists())
        kept = self.root / f"{orphan.writer}-00000001.damaged"
        self.assertEqual(kept.read_bytes(), bytes(data))

    def test_damaged_header(self) -> None:
        """A segment whose header is damaged is reported, and its records are read."""
        spool = self.made()
        done = self.filled(spool, 20, BIG)
        for segment in spool._tape.used:
            fd = os.open(segment.path, os.O_RDWR)
            os.pwrite(fd, b"x", 5)
            os.close(fd)
        used = len(spool._tape.used)
        orphan = self.adopted(self.died(spool))
        self.assertEqual([damage.span for damage in orphan.damaged], [Span(0, HEADER_BYTES)] * used)
        self.assertEqual(self.flush(orphan), done)

    def test_a_segment_of_nonsense(self) -> None:
        """A segment without one valid record is reported and counts for nothing."""
        spool = self.made()
        done = self.filled(spool, 20, BIG)
        path = spool._tape.used[1].path
        lost = spool._tape.used[2].first_seq - spool._tape.used[1].first_seq
        path.write_bytes(b"x" * LIMITS.segment_bytes)
        orphan = self.adopted(self.died(spool))
        spans = [damage.span for damage in orphan.damaged]
        size = LIMITS.segment_bytes
        self.assertEqual(spans, [Span(0, HEADER_BYTES), Span(HEADER_BYTES, size)])
        self.assertEqual(len(orphan.finals(0, 99)), len(done) - lost)
        self.assertEqual(orphan.last_seq, len(done))

    def test_nonsense_at_the_end(self) -> None:
        """A last segment of nonsense does not move the end of the chain."""
        spool = self.made()
        done = self.filled(spool, 2)
        spool._tape.spares[0].path.write_bytes(b"x" * LIMITS.segment_bytes)
        orphan = self.adopted(self.died(spool))
        self.assertEqual(orphan.last_seq, 2)
        self.assertEqual(self.flush(orphan), done)

    def test_half_made(self) -> None:
        """A segment whose making or beginning was cut is removed."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request))
        path = spool._directory.path
        (path / "00000008.seg").write_bytes(b"")
        (path / "00000009.seg").write_bytes(b"NZSPO" + bytes(1000))
        orphan = self.adopted(self.died(spool))
        self.assertEqual(len(orphan._directory.segments()), 2)
        self.assertEqual(len(orphan.open_intents()), 1)

    def test_another_version(self) -> None:
        """A spool of another version stays as it is, and free for a program that knows it."""
        path = self.died(self.made())
        body = bytearray(segments.header(segments.Header(uuid4(), 1, bytes(32), 1))[:72])
        body[7] = 2
        data = bytes(body) + crc32c(bytes(body)).to_bytes(4, "little") + bytes(4)
        (path / "00000001.seg").write_bytes(data)
        for _ in range(2):
            self.assertRaises(NotASegment, adopt, path)
        self.assertEqual((path / "00000001.seg").read_bytes(), data)

    def test_in_the_writers_own_room(self) -> None:
        """Every open call is completed in the room that was set aside, also at the limit."""
        spool = self.made(evolve(LIMITS, max_bytes=3 << 16))
        left = []
        while spool.denies is None:
            left.append(uuid4())
            spool.open(str(left[-1]), intent(left[-1], BIG))
        orphan = self.adopted(self.died(spool))
        before = len(orphan._directory.segments())
        for each in orphan.open_intents():
            each.complete(final(id_in(each.intent), BIG))
        self.assertLess(len(orphan._directory.segments()), before)
        self.assertEqual(self.flush(orphan), left)

    def test_more_room(self) -> None:
        """Where there is none left, a small segment is made, whatever the limit says."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request))
        self.disks.broken = True
        path = self.died(spool)
        for spare in spool._tape.spares:
            spare.path.unlink()
        os.truncate(spool._tape.used[0].path, spool._tape.used[0].end)
        orphan = self.adopted(path)
        (left,) = orphan.open_intents()
        self.assertRaises(OSError, left.complete, final(request))
        self.disks.broken = False
        left.complete(final(request))
        self.assertEqual(self.flush(orphan), [request])

    def test_no_room_to_be_had(self) -> None:
        """An end that cannot be written is an error, and the call stays open."""
        spool = self.made()
        request = uuid4()
        spool.open(str(request), intent(request))
        orphan = self.adopted(self.died(spool))

        def broken(_fd: int, _data: bytes, _offset: int) -> int:
            raise OSError("broken")

        orphan._tape._pwrite = broken
        before = orphan._directory.segments()
        for _ in range(3):
            self.assertRaises(OSError, orphan.open_intents()[0].complete, final(request))
        self.assertEqual(orphan._directory.segments(), before)
        self.end(orphan)
        self.assertEqual(len(self.adopted(orphan._directory.path).open_intents()), 1)

    def test_a_file_that_was_given_up(self) -> None:
        """What stands in a file that failed and again in the next is counted once."""
        self.durable = True
        spool = self.made()
        done = self.filled(spool, 3)
        ended = spool._tape.current
        self.threads.at_once = False
        self.clock.advance(0.005)
        self.disks.unsynced = True
        self.threads.work.pop(0)()
        self.disks.unsynced = False
        self.threads.run()
        self.assertIsNot(spool._tape.current, ended)
        orphan = self.adopted(self.died(spool))
        self.assertEqual(list(orphan.open_intents()), [])
        finals = orphan.finals(0, 9)
        self.assertEqual([each.seq for each in finals], [1, 2, 3])
        self.assertEqual([id_in(each.record) for each in finals], done)
        self.flushLoggedErrors(OSError)

    def test_power_loss(self) -> None:
        """What was not synced is gone and was shown to nobody: its call is open again."""
        self.durable = True
        spool = self.made()
        (done,) = self.filled(spool, 1)
        request = uuid4()
        slot = spool.open(str(request), intent(request))
        self.clock.advance(0.005)
        slot.complete(final(request))
        self.assertEqual(len(spool.finals(0, 9)), 1)
        (used,) = spool._tape.used
        used.path.write_bytes(used.path.read_bytes()[: used.synced].ljust(used.size, b"\0"))
        orphan = self.adopted(self.died(spool))
        (left,) = orphan.open_intents()
        left.complete(final(request))
        self.assertEqual(self.flush(orphan), [done, request])
