"""One writer's directory on disk."""

import errno
import os
import subprocess
import sys
from fcntl import LOCK_NB
from uuid import uuid4

from twisted.logger import capturedLogs, formatEvent

from neuronetz_twisted.audit import directory as directory_module
from neuronetz_twisted.audit.directory import Directory, Disk, Segment, SpoolFull
from tests.unit.audit.spools import SpoolTestCase

SIZE = 1 << 16

TAKE = """
import sys
from pathlib import Path
from neuronetz_twisted.audit.directory import Directory, Disk
sys.exit(0 if Directory.take(Path(sys.argv[1]), Disk()) is None else 1)
"""


class DirectoryTests(SpoolTestCase):
    def new(self) -> Directory:
        """A new directory whose lock is ours."""
        directory = Directory.create(self.root, uuid4(), self.disks.disk())
        self.addCleanup(os.close, directory._lock)
        return directory

    def given_up(self) -> Directory:
        """A directory whose process is gone."""
        directory = Directory.create(self.root, uuid4(), self.disks.disk())
        os.close(directory._lock)
        return directory

    def test_allocated(self) -> None:
        """A segment is all zeros, of its whole size, and readable by its owner alone."""
        directory = self.new()
        segment = directory.allocate(3, SIZE + 7, None)
        self.addCleanup(segment.close)
        self.assertEqual(segment.path.read_bytes(), bytes(SIZE + 7))
        self.assertEqual(segment.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(directory.path.stat().st_mode & 0o777, 0o700)
        self.assertEqual(directory.segments(), [segment.path])

    def test_short_writes(self) -> None:
        """A disk that takes less at once gets the rest in further calls."""
        self.disks.part = 1000
        segment = self.new().allocate(1, SIZE, None)
        self.addCleanup(segment.close)
        self.assertEqual(self.disks.writes, -(-SIZE // 1000))

    def test_limit(self) -> None:
        """The limit is one over all writers, and what it refuses leaves nothing behind."""
        one, other = self.new(), self.new()
        self.addCleanup(one.allocate(1, SIZE, 2 * SIZE).close)
        self.addCleanup(other.allocate(1, SIZE, 2 * SIZE).close)
        self.assertRaises(SpoolFull, one.allocate, 2, SIZE, 2 * SIZE)
        self.assertEqual(len(one.segments()), 1)
        self.addCleanup(one.allocate(2, SIZE, None).close)

    def test_no_room(self) -> None:
        """A disk that has no room, or does not sync, leaves nothing behind."""
        directory = self.new()
        for fault in ("broken", "unsynced"):
            setattr(self.disks, fault, True)
            self.assertRaises(OSError, directory.allocate, 1, SIZE, None)
            setattr(self.disks, fault, False)
            self.assertEqual(directory.segments(), [])

    def test_too_large_a_file(self) -> None:
        """A size that no file may have is an error like any other."""
        directory = self.new()
        self.assertRaises(OSError, directory.allocate, 1, 1 << 62, None)
        self.assertEqual(directory.segments(), [])

    def test_removed_meanwhile(self) -> None:
        """Another process may remove its segments while they are counted."""
        directory = self.new()
        dangling = directory.path / "00000009.seg"
        dangling.symlink_to("gone")
        self.addCleanup(directory.allocate(1, SIZE, SIZE).close)

    def test_removed(self) -> None:
        """Segments are closed and removed; one that is gone already is no fault."""
        directory = self.new()
        segment = directory.allocate(1, SIZE, None)
        gone = Segment(2, directory.path / "00000002.seg", SIZE)
        directory.remove([segment, gone])
        self.assertEqual(directory.segments(), [])
        self.assertRaises(ValueError, getattr, segment, "file")

    def test_damaged(self) -> None:
        """A damaged segment is kept beside the directories, under no limit, and told of."""
        directory = self.new()
        segment = directory.allocate(1, SIZE, SIZE)
        segment.is_damaged = True
        self.disks.unsynced = True
        self.assertRaises(OSError, directory.remove, [segment])
        self.disks.unsynced = False
        with capturedLogs() as events:
            directory.remove([segment])
        self.assertEqual(directory.segments(), [])
        kept = self.root / f"{directory.writer}-00000001.damaged"
        self.assertEqual(kept.stat().st_size, SIZE)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [f"a damaged segment of the audit spool is kept as {kept}"],
        )
        directory.remove([directory.allocate(1, SIZE, SIZE)])

    def test_renewed(self) -> None:
        """Another file of the same name has the same bytes, down to the disk, and no more."""
        directory = self.new()
        segment = directory.allocate(1, SIZE, None)
        self.addCleanup(segment.close)
        os.pwrite(segment.file, b"x" * 5000, 0)
        self.disks.part, self.disks.synced = 1000, []
        directory.renew(segment.path, 5000)
        self.assertEqual(segment.path.read_bytes(), b"x" * 5000)
        found = segment.path.stat()
        self.assertEqual(found.st_mode & 0o777, 0o600)
        self.assertNotEqual(found.st_ino, os.fstat(segment.file).st_ino)
        self.assertEqual(self.disks.synced, [found.st_ino, directory.path.stat().st_ino])
        self.assertEqual(len(list(directory.path.iterdir())), 2)

    def test_not_renewed(self) -> None:
        """Where that fails the segment is as it was, and it can be tried again."""
        directory = self.new()
        segment = directory.allocate(1, SIZE, None)
        self.addCleanup(segment.close)
        for fault in ("broken", "unsynced"):
            setattr(self.disks, fault, True)
            self.assertRaises(OSError, directory.renew, segment.path, 9)
            setattr(self.disks, fault, False)
            self.assertEqual(segment.path.stat().st_size, SIZE)
        directory.renew(segment.path, 9)
        self.assertEqual(segment.path.stat().st_size, 9)

    def test_removed_while_it_is_renewed(self) -> None:
        """What was given up does not come back, and nothing of it stays."""
        self.removing = False
        directory = Directory.create(self.root, uuid4(), Disk(sync=self.unlink))
        segment = directory.allocate(1, SIZE, None)
        self.addCleanup(segment.close)
        self.removing = True
        self.removed = segment.path
        self.assertRaises(FileNotFoundError, directory.renew, segment.path, 9)
        self.assertEqual(directory.segments(), [])
        directory.close()
        self.assertFalse(directory.path.exists())

    def unlink(self, _fd: int) -> None:
        """A sync during which another thread removes the segment."""
        if self.removing:
            self.removed.unlink()

    def next_descriptors(self) -> list[int]:
        """The numbers of the next descriptors: one that is left open is not among them."""
        numbers = [os.open(self.root, os.O_RDONLY) for _ in range(5)]
        for number in numbers:
            os.close(number)
        return numbers

    def test_not_taken(self) -> None:
        """Whatever keeps a directory from being taken, its lock is not ours then."""
        directory = self.given_up()
        named = directory.path.rename(directory.path.with_name("nobody"))
        before = self.next_descriptors()
        self.assertRaises(ValueError, Directory.take, named, Disk())

        def no_lock(_fd: int, operation: int) -> None:
            if operation & LOCK_NB:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        self.patch(directory_module, "flock", no_lock)
        self.assertRaises(OSError, Directory.take, named, Disk())
        self.assertEqual(self.next_descriptors(), before)

    def test_a_living_writer(self) -> None:
        """A directory is taken neither by this process again nor by another one."""
        directory = self.new()
        self.assertIsNone(Directory.take(directory.path, Disk()))
        command = [sys.executable, "-c", TAKE, str(directory.path)]
        self.assertEqual(subprocess.run(command, check=False).returncode, 0)

    def test_a_dead_writer(self) -> None:
        """A directory whose writer is gone is taken, once."""
        path = self.given_up().path
        taken = Directory.take(path, Disk())
        assert taken is not None
        self.assertEqual(str(taken.writer), path.name)
        self.assertIsNone(Directory.take(path, Disk()))
        taken.close()
        self.assertIsNone(Directory.take(path, Disk()))

    def test_what_is_left(self) -> None:
        """A directory that has a segment stays, without its lock."""
        directory = self.given_up()
        taken = Directory.take(directory.path, Disk())
        assert taken is not None
        taken.allocate(1, SIZE, None).close()
        taken.close()
        self.assertEqual(len(directory.segments()), 1)
        again = Directory.take(directory.path, Disk())
        assert again is not None
        again.remove([Segment(1, again.segments()[0], SIZE)])
        again.close()
        self.assertFalse(directory.path.exists())
