"""Files of lines that several processes append to."""

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.append_only import (
    Damaged,
    append,
    appending,
    items,
    last_item,
    line_of,
)


class AppendOnlyCase(SynchronousTestCase):
    def setUp(self) -> None:
        """A file that is not there yet."""
        self.path = Path(self.mktemp())

    def add(self, *values: str) -> None:
        """Append a line for each."""
        with appending(self.path) as descriptor:
            for value in values:
                append(descriptor, line_of(value=value))

    def values(self, until: int | None = None) -> list[object]:
        """What the lines say."""
        return list(items(self.path, lambda fields: fields["value"], until))

    def last(self) -> object:
        """What the last line says."""
        return last_item(self.path, lambda fields: fields["value"])


class ReadingTests(AppendOnlyCase):
    def test_lines(self) -> None:
        """What was appended is read back in its order, by its owner alone."""
        self.add("a", "b")
        self.add("c")
        self.assertEqual(self.values(), ["a", "b", "c"])
        self.assertEqual(self.last(), "c")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_until(self) -> None:
        """What was appended later is left out."""
        self.add("a")
        size = self.path.stat().st_size
        self.add("b")
        self.assertEqual(self.values(size), ["a"])

    def test_nothing(self) -> None:
        """An empty file has no last line."""
        self.add()
        self.assertEqual((self.values(), self.last()), ([], None))

    def test_damaged(self) -> None:
        """Lines that are not what they should be are told by their numbers."""
        self.path.write_bytes(b'{"value":"a"}\n\x00\n{}\n[]\nnull\n')
        self.assertEqual(self.values(), ["a", *map(Damaged, (2, 3, 4, 5))])
        self.assertIsNone(self.last())

    def test_end_of_one_who_died(self) -> None:
        """A line without an end says nothing, and goes when the next one comes."""
        self.add("a")
        with self.path.open("ab") as file:
            file.write(b'{"value":"b"}' + b" " * 10_000)
        self.assertEqual(self.values(), ["a"])
        self.add("c")
        self.assertEqual(self.values(), ["a", "c"])

    def test_no_line_at_all(self) -> None:
        """The same where there is no other line."""
        self.path.write_bytes(b"x" * 10_000)
        self.add("c")
        self.assertEqual(self.values(), ["c"])


class FullDiskTests(AppendOnlyCase):
    def setUp(self) -> None:
        """A file with one line."""
        super().setUp()
        self.add("a")

    def test_half_a_line(self) -> None:
        """A line for which there was no room leaves nothing."""
        write = os.write
        self.patch(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
        error = self.assertRaises(OSError, self.add, "b")
        self.assertEqual(error.errno, errno.ENOSPC)
        self.assertEqual(self.path.read_bytes(), line_of(value="a"))

    def test_fsync_fails(self) -> None:
        """A line that is not certain to be on disk leaves nothing."""

        def fail(_: int) -> None:
            raise OSError(errno.EIO, "no")

        self.patch(os, "fsync", fail)
        self.assertRaises(OSError, self.add, "b")
        self.assertEqual(self.path.read_bytes(), line_of(value="a"))
