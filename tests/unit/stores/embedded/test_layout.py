import os
import shutil
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import LONGEST_RUN_DIR, Layout


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return stat.S_IMODE(path.lstat().st_mode)


class LayoutTests(SynchronousTestCase):
    """Private files in a private folder."""

    def setUp(self) -> None:
        """Make a layout in this test's directory."""
        self.layout = Layout.of(Path(self.mktemp()))
        self.layout.create()

    def test_folder_is_private(self) -> None:
        """The folder is closed to others, also where it was open before."""
        self.assertEqual(mode(self.layout.home), 0o700)
        self.layout.home.chmod(0o755)
        self.layout.create()
        self.assertEqual(mode(self.layout.home), 0o700)

    def test_unusable_state_directory(self) -> None:
        """A state directory that cannot be one is told in a line that names the variable."""
        path = Path(self.mktemp())
        path.touch()
        with self.assertRaisesRegex(EmbeddedError, "^cannot use .* below GATEWAY_STATE_DIR: "):
            Layout.of(path).create()

    def test_password_is_made_once(self) -> None:
        """A role's password is long, stays the same, and is another one for another role."""
        self.assertFalse(self.layout.has_password("a"))
        password = self.layout.password("a")
        self.assertRegex(password, "^[0-9a-f]{64}$")
        self.assertEqual(self.layout.password("a"), password)
        self.assertNotEqual(self.layout.password("b"), password)
        self.assertTrue(self.layout.has_password("a"))
        file = self.layout.password_file("a")
        self.assertEqual((file.read_text(), mode(file)), (password, 0o600))

    def test_write_after_a_death_in_the_middle(self) -> None:
        """A half-written file of a killed process is no obstacle and never seen."""
        path = self.layout.home / "file"
        path.with_name("file.new").write_text("hal")
        path.with_name("file.new").chmod(0o644)
        self.layout.write(path, "whole")
        self.assertEqual((path.read_text(), mode(path)), ("whole", 0o600))
        self.assertFalse(path.with_name("file.new").exists())


class RunDirTests(SynchronousTestCase):
    """Where the sockets go."""

    def layout_at(self, state_dir: Path) -> Layout:
        """A layout that exists."""
        layout = Layout.of(state_dir)
        layout.create()
        return layout

    def short_run_dir(self, layout: Layout) -> Path:
        """The layout's fallback, removed with the test."""
        run = layout.run_dir()
        self.addCleanup(shutil.rmtree, run, ignore_errors=True)
        self.assertFalse(run.is_relative_to(layout.home))
        return run

    def test_beside_the_data(self) -> None:
        """A short plain path has its sockets in the state directory itself."""
        state_dir = Path(tempfile.mkdtemp(prefix="nz-test-"))
        self.addCleanup(shutil.rmtree, state_dir)
        layout = self.layout_at(state_dir)
        self.assertEqual(layout.run_dir(), layout.home / "run")
        self.assertEqual(mode(layout.run_dir()), 0o700)

    def test_long_path(self) -> None:
        """A path too long for a socket is replaced by a short private one, which is remembered."""
        layout = self.layout_at(Path(self.mktemp()) / ("x" * 100))
        run = self.short_run_dir(layout)
        self.assertLessEqual(len(os.fsencode(run)), LONGEST_RUN_DIR)
        self.assertEqual(mode(run), 0o700)
        self.assertEqual(layout.run_dir(), run)

    def test_awkward_path(self) -> None:
        """A path that libpq would take apart at its comma is replaced too."""
        layout = self.layout_at(Path(self.mktemp()) / "a,b")
        self.assertRegex(str(self.short_run_dir(layout)), "^[A-Za-z0-9/._-]+$")

    def test_remembered_directory_is_gone(self) -> None:
        """A short directory that was cleaned away is made anew."""
        layout = self.layout_at(Path(self.mktemp()) / "a,b")
        self.short_run_dir(layout).rmdir()
        self.assertTrue(self.short_run_dir(layout).is_dir())

    def test_remembered_directory_is_not_ours(self) -> None:
        """What others could have put in its place is not trusted: a link, or an open directory."""
        layout = self.layout_at(Path(self.mktemp()) / "a,b")
        first = self.short_run_dir(layout)
        first.chmod(0o755)
        second = self.short_run_dir(layout)
        self.assertNotEqual(second, first)
        second.rmdir()
        second.symlink_to(first)
        self.addCleanup(second.unlink)
        self.assertNotIn(self.short_run_dir(layout), (first, second))
