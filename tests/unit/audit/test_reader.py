"""Finals read out of segments."""

import os
from pathlib import Path
from uuid import UUID

from attrs import define, evolve, field

from neuronetz_twisted.audit import segments
from neuronetz_twisted.audit.entries import Extent
from neuronetz_twisted.audit.reader import NO_SEQ, Damage, Reader
from neuronetz_twisted.audit.segments import HEADER_BYTES, Header, Kind, Span
from tests.unit.audit.spools import SpoolTestCase

WRITER = UUID("0191d4b7-0000-7000-8000-000000000001")


@define
class Listed:
    """Files as they are listed; so many are `given_up` as soon as they were."""

    listed: list[Extent] = field(factory=list)
    given_up: int = 0
    spoilt: list[Path] = field(factory=list)

    def extents(self) -> list[Extent]:
        """The extents."""
        listed = list(self.listed)
        del self.listed[: self.given_up]
        return listed

    def spoil(self, path: Path) -> None:
        """Note it."""
        self.spoilt.append(path)


class ReaderTests(SpoolTestCase):
    def setUp(self) -> None:
        """Make a reader of no files."""
        super().setUp()
        self.files = Listed()
        self.extents = self.files.listed
        self.renewed: list[tuple[Path, int]] = []
        self.reader = Reader(WRITER, self.files, self.renew, self.disks.disk().sync)

    def renew(self, path: Path, end: int) -> None:
        """Note it, or fail."""
        if self.disks.broken:
            raise OSError("broken")
        self.renewed.append((path, end))

    def segment(self, *seqs: int) -> Path:
        """Add a segment with these finals."""
        number = len(self.extents) + 1
        path = Path(self.mktemp())
        links = [segments.link(b"%d" % seq, seq, bytes(32)) for seq in seqs]
        data = segments.header(Header(WRITER, seqs[0], bytes(32), number))
        data += b"".join(segments.frame(Kind.FINAL, link) for link in links)
        path.write_bytes(data + bytes(100))
        self.extents.append(Extent(number, path, seqs[0], len(data)))
        return path

    def read(self, after: int, limit: int) -> list[int]:
        """The sequence numbers of a batch."""
        return [each.seq for each in self.reader.finals(after, limit)]

    def test_no_more_files_than_needed(self) -> None:
        """A batch reads no file behind its end."""
        self.segment(1, 2)
        self.segment(3).unlink()
        self.assertEqual(self.read(0, 2), [1, 2])
        self.assertRaises(FileNotFoundError, self.reader.finals, 0, 3)

    def test_goes_on(self) -> None:
        """The next batch begins where the last one ended, in whichever file that was."""
        self.segment(1, 2)
        self.segment(3)
        self.assertEqual(self.read(0, 2), [1, 2])
        self.assertEqual(self.read(2, 2), [3])
        self.assertEqual(self.read(3, 2), [])

    def test_a_number_without_a_place(self) -> None:
        """What PostgreSQL could never take holds up nothing: it is reported and passed over."""
        path = self.segment(1, NO_SEQ, 2)
        frame = len(segments.frame(Kind.FINAL, segments.link(b"1", 1, bytes(32))))
        begin = HEADER_BYTES + frame
        end = self.extents[0].end - frame
        self.assertEqual(self.read(0, 9), [1, 2])
        self.assertEqual(list(self.reader.damaged), [Damage(path, Span(begin, end))])

    def test_only_what_is_synced(self) -> None:
        """A file that cannot be synced gives nothing until another one is in its place."""
        path = self.segment(1)
        end = self.extents[0].end
        self.disks.unsynced = True
        self.assertRaises(OSError, self.reader.finals, 0, 9)
        self.disks.unsynced = False
        self.assertEqual((list(self.reader.failed), self.reader.has_failed), ([1], True))
        self.disks.broken = True
        self.assertRaises(OSError, self.reader.finals, 0, 9)
        self.disks.broken = False
        self.assertEqual(self.read(0, 9), [1])
        self.assertEqual((self.renewed, list(self.reader.failed)), ([(path, end)], []))
        self.assertFalse(self.reader.has_failed)

    def test_not_synced_and_still_written(self) -> None:
        """A file that its writer has not left yet is not replaced, nor read."""
        self.segment(1)
        self.extents[0] = evolve(self.extents[0], is_current=True)
        self.disks.unsynced = True
        self.assertRaises(OSError, self.reader.finals, 0, 9)
        self.disks.unsynced = False
        self.assertRaises(OSError, self.reader.finals, 0, 9)
        self.extents[0] = evolve(self.extents[0], is_current=False)
        self.assertEqual(self.read(0, 9), [1])

    def test_synced_by_the_writer(self) -> None:
        """Files that show only what is on disk are not synced again."""
        self.segment(1)
        reader = Reader(WRITER, self.files, self.renew, None)
        self.disks.unsynced = True
        self.assertEqual(len(reader.finals(0, 9)), 1)

    def test_a_file_that_grows(self) -> None:
        """What is appended is read from where the reading stopped."""
        path = self.segment(1)
        self.read(0, 9)
        extent = self.extents[0]
        data = segments.frame(Kind.NOTE, segments.link(b"2", 2, bytes(32)))
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), b"x" * HEADER_BYTES + data, extent.end - HEADER_BYTES)
        self.extents[0] = Extent(1, path, 1, extent.end + len(data))
        self.assertEqual(self.read(1, 9), [2])
        self.assertEqual(self.reader.damaged, ())

    def test_written_again(self) -> None:
        """What a later segment has again is read there."""
        self.segment(1, 2, 3)
        self.segment(2)
        self.assertEqual(self.read(0, 9), [1, 2])

    def test_damaged_end(self) -> None:
        """A record that was whole when it was written is missed, also at the end."""
        path = self.segment(1, 2)
        extent = self.extents[0]
        data = bytearray(path.read_bytes())
        data[extent.end - 1] ^= 1
        path.write_bytes(data)
        self.assertEqual(self.read(0, 9), [1])
        end = segments.scan(bytes(data)).end
        self.assertEqual(self.reader.damaged, (Damage(path, Span(end, extent.end)),))
        self.assertEqual(self.files.spoilt, [path])

    def test_given_up_meanwhile(self) -> None:
        """A segment that goes between the listing and the reading holds up nothing behind it."""
        self.segment(1).unlink()
        self.segment(2, 3)
        self.files.given_up = 1
        self.assertEqual(self.read(1, 9), [2, 3])
