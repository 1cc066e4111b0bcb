import os
import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli import dotenv_file
from neuronetz_twisted.cli.dotenv_file import set_variable, with_variable
from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.environment import read_dotenv

LINES = st.lists(
    st.sampled_from(
        [
            "# a comment",
            "",
            "A=1",
            "export B='two words' # and more",
            'C="a\nb"',
            " D = x ",
            "X=old",
            "export X='old\nof two lines'",
            "  X=old # with a comment",
        ]
    ),
    max_size=8,
)


class WithVariableTests(SynchronousTestCase):
    def test_new(self) -> None:
        """A variable that is not there comes behind the last line."""
        for before, after in (
            ("", "X='new'\n"),
            ("A=1\n", "A=1\nX='new'\n"),
            ("A=1", "A=1\nX='new'\n"),
            ("A=1\r\nB=2", "A=1\r\nB=2\r\nX='new'\r\n"),
            ("# X=old\n", "# X=old\nX='new'\n"),
        ):
            self.assertEqual(with_variable(before, "X", "new"), after)

    def test_in_its_place(self) -> None:
        """One that is there changes where it stands, in the form that it has."""
        for before, after in (
            ("A=1\n\n X=old # why\nB=2\n", "A=1\n\n X='new'\nB=2\n"),
            ("export X='a\nb'\r\n# end", "export X='new'\r\n# end"),
            ("X=", "X='new'"),
            ("X", "X='new'"),
            ("X=first\nX=last\n", "X=first\nX='new'\n"),
        ):
            self.assertEqual(with_variable(before, "X", "new"), after)

    @settings(deadline=None)
    @given(LINES, st.sampled_from(["\n", "\r\n"]))
    def test_the_rest_stays(self, lines: list[str], end: str) -> None:
        """Whatever is in the file, its other lines are the same bytes, and it reads as meant."""
        text = end.join(lines)
        after = with_variable(text, "X", "new")
        self.assertEqual(with_variable(after, "X", "new"), after)
        kept = [line for line in text.split(end) if "X=" not in line and "two lines" not in line]
        for line in kept:
            self.assertIn(line, after)


class SetVariableTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A directory of our own, without a file."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.path = self.folder / ".env"
        self.patch(dotenv_file, "DOTENV", self.path)

    def mode(self) -> int:
        """Who may do what with it."""
        return stat.S_IMODE(self.path.stat().st_mode)

    def test_new(self) -> None:
        """A new file is its owner's alone, and nothing else is left in the directory."""
        self.assertFalse(set_variable("X", "new"))
        self.assertEqual(self.path.read_text(), "X='new'\n")
        self.assertEqual(self.mode(), 0o600)
        self.assertEqual([path.name for path in self.folder.iterdir()], [".env"])

    def test_mode_and_owner_stay(self) -> None:
        """Who could read it can, and it is said where that is more than its owner."""
        for mode, is_open in ((0o600, False), (0o644, True), (0o400, False), (0o660, True)):
            with self.subTest(mode=mode):
                self.path.unlink(missing_ok=True)
                self.path.write_text("A=1\n")
                self.path.chmod(mode)
                before = self.path.stat()
                self.assertEqual(set_variable("X", "new"), is_open)
                after = self.path.stat()
                self.assertEqual(self.mode(), mode)
                self.assertEqual((after.st_uid, after.st_gid), (before.st_uid, before.st_gid))
                self.assertNotEqual(after.st_ino, before.st_ino)

    def test_bytes_stay(self) -> None:
        """Line ends and all that is no ASCII are as they were."""
        self.path.write_bytes("# Gr\u00fc\u00dfe\r\nA=1\r\n".encode())
        set_variable("X", "new")
        self.assertEqual(self.path.read_bytes(), "# Gr\u00fc\u00dfe\r\nA=1\r\nX='new'\r\n".encode())
        self.assertEqual(read_dotenv(self.path)[0], {"A": "1", "X": "new"})

    def test_link(self) -> None:
        """What a link leads to is changed, and the link stays one."""
        target = self.folder / "elsewhere"
        target.write_text("A=1\n")
        self.path.symlink_to(target)
        set_variable("X", "new")
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(target.read_text(), "A=1\nX='new'\n")

    def test_whole_or_not_at_all(self) -> None:
        """Where it cannot be written it is as it was, and one line says why."""

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        self.path.write_text("A=1\n")
        self.patch(os, "fsync", full)
        error = self.assertRaises(Fault, set_variable, "X", "new")
        self.assertIn("No space left on device", str(error))
        self.assertEqual(self.path.read_text(), "A=1\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], [".env"])

    def test_no_text(self) -> None:
        """Neither a folder nor what is no UTF-8 can be changed."""
        self.path.write_bytes(b"\xff")
        self.assertIn("UnicodeDecodeError", str(self.assertRaises(Fault, set_variable, "X", "new")))
        self.path.unlink()
        self.path.mkdir()
        self.assertIn("directory", str(self.assertRaises(Fault, set_variable, "X", "new")))
