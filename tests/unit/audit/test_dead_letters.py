"""Dead letters: on the disk before anything else, once, and readable for ever."""

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.dead_letters import DeadLetters, Letter, read_letters
from neuronetz_twisted.audit.record import Final
from tests.unit.audit.flushing import OTHER, WRITER, finals_of


def letter(final: Final) -> Letter:
    """A refusal of this record."""
    return Letter(final=final, reason="StringDataRightTruncation")


class Letters(SynchronousTestCase):
    """One directory that is not there at first."""

    def setUp(self) -> None:
        """No file yet."""
        self.directory = Path(self.mktemp()) / "dead-letter"
        self.directory.parent.mkdir()
        self.letters = DeadLetters(self.directory)

    def test_kept_to_the_byte(self) -> None:
        """What is read is what was kept, also where the record is no text at all."""
        final = Final(writer=WRITER, seq=7, chain_hash=b"\x00" * 32, record=b'\x00\xff"\n\xed')
        self.letters.keep([letter(final)])
        self.assertEqual(list(read_letters(self.directory)), [letter(final)])

    def test_nobody_else_reads_them(self) -> None:
        """They hold records, so neither file nor directory is open to others."""
        self.letters.keep([letter(final) for final in finals_of(WRITER, 1)])
        for path in (self.directory, self.directory / f"{WRITER}.jsonl"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_a_batch_that_is_tried_again(self) -> None:
        """A letter that was kept is not written once more; new ones of the same batch are."""
        first, second = finals_of(WRITER, 2)
        self.letters.keep([letter(first)])
        self.letters.keep([letter(first)])
        self.letters.keep([letter(first), letter(second)])
        lines = (self.directory / f"{WRITER}.jsonl").read_bytes().splitlines()
        self.assertEqual(len(lines), 2)

    def test_another_process_tries_again(self) -> None:
        """What two processes have kept is one letter to the reader, in the chain's order."""
        first, second = finals_of(WRITER, 2)
        self.letters.keep([letter(second)])
        DeadLetters(self.directory).keep([letter(first), letter(second)])
        self.assertEqual(
            list(read_letters(self.directory)), [letter(final) for final in (first, second)]
        )

    def test_two_writers(self) -> None:
        """Each has a file of its own."""
        ours, theirs = finals_of(WRITER, 1) + finals_of(OTHER, 1)
        self.letters.keep([letter(theirs)])
        self.letters.keep([letter(ours)])
        self.assertEqual(list(read_letters(self.directory)), [letter(ours), letter(theirs)])

    def test_half_a_line(self) -> None:
        """What a dying process left of a line costs that line alone."""
        first, second = finals_of(WRITER, 2)
        self.letters.keep([letter(first)])
        path = self.directory / f"{WRITER}.jsonl"
        with path.open("ab") as file:
            file.write(b'{"writer":"1111')
        self.letters.keep([letter(second)])
        self.assertEqual(
            list(read_letters(self.directory)), [letter(final) for final in (first, second)]
        )

    def test_lines_that_are_none(self) -> None:
        """Whatever else is in the file is passed over."""
        self.letters.keep([letter(final) for final in finals_of(WRITER, 1)])
        path = self.directory / f"{WRITER}.jsonl"
        whole = path.read_bytes()
        spoilt = (
            b"\xff\n",
            b"[]\n",
            b"{}\n",
            whole.replace(b"11111111-", b"1-"),
            whole.replace(b'"seq":"1"', b'"seq":null'),
            whole.replace(b'"record":"', b'"record":"!'),
        )
        for line in spoilt:
            path.write_bytes(line)
            self.assertEqual(list(read_letters(self.directory)), [], line)

    def test_no_directory(self) -> None:
        """Without letters there is nothing to read."""
        self.assertEqual(list(read_letters(self.directory)), [])

    def test_directory_of_somebody_else(self) -> None:
        """A directory that may not be read is told, and not taken for one without letters."""

        def refuse(_: object) -> None:
            raise PermissionError(errno.EACCES, "denied")

        self.patch(os, "scandir", refuse)
        self.assertRaises(PermissionError, list, read_letters(self.directory))

    def test_files_beside_letters(self) -> None:
        """A file of another name is none of ours."""
        self.letters.keep([letter(final) for final in finals_of(WRITER, 1)])
        path = self.directory / f"{WRITER}.jsonl"
        path.with_name("copy.txt").write_bytes(path.read_bytes())
        self.assertEqual(len(list(read_letters(self.directory))), 1)

    def test_on_the_disk_before_it_returns(self) -> None:
        """The file is synced last, once its name and its directory's are sure to stay."""
        synced: list[str] = []

        def note(descriptor: int) -> None:
            synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

        self.patch(os, "fsync", note)
        self.letters.keep([letter(final) for final in finals_of(WRITER, 1)])
        parent = self.directory.parent.resolve().name
        self.assertEqual(synced, [parent, "dead-letter", f"{WRITER}.jsonl"])

    def test_no_room(self) -> None:
        """Where they cannot be kept, whoever asked is told, and a later try writes them."""

        def fail(_: int) -> None:
            raise OSError("no room")

        finals = finals_of(WRITER, 1)
        self.letters.keep([letter(final) for final in finals_of(OTHER, 1)])
        with_fault = self.patch(os, "fsync", fail)
        self.assertRaises(OSError, self.letters.keep, [letter(finals[0])])
        with_fault.restore()
        self.letters.keep([letter(finals[0])])
        self.assertIn(letter(finals[0]), list(read_letters(self.directory)))
