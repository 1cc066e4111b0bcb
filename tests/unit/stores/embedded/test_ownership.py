import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded import ownership as module
from neuronetz_twisted.stores.embedded.errors import StateDirectoryInUse
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.ownership import Ownership, announced, owner_of


class OwnershipTests(SynchronousTestCase):
    """The two locks, without servers."""

    def setUp(self) -> None:
        """A state directory that nobody owns."""
        state_dir = Path(tempfile.mkdtemp(prefix="nz-test-"))  # short enough for sockets
        self.addCleanup(shutil.rmtree, state_dir)
        self.layout = Layout.of(state_dir)

    def take(self) -> Ownership:
        """Own it, for as long as the test runs."""
        ownership = Ownership.take(self.layout)
        self.addCleanup(ownership.release)
        return ownership

    def program(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Some other living process, with these words in its command line."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; print('up', flush=True); sys.stdin.read()",
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.wait)
        assert process.stdin is not None
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        process.stdout.readline()
        return process

    def test_one_owner(self) -> None:
        """A second owner is refused with the pid of the first, until that has released."""
        self.assertIsNone(owner_of(self.layout))
        first = Ownership.take(self.layout)
        self.assertEqual(owner_of(self.layout), os.getpid())
        with self.assertRaisesRegex(StateDirectoryInUse, rf"\(pid {os.getpid()}\)$"):
            Ownership.take(self.layout)
        first.release()
        self.assertIsNone(owner_of(self.layout))
        self.take()

    def test_announcement(self) -> None:
        """What the owner announces is seen, and gone with him; an older one is not believed."""
        ownership = Ownership.take(self.layout)
        self.assertIsNone(announced(self.layout))
        ownership.announce(["valkey"])
        self.assertEqual(announced(self.layout), ["valkey"])
        ownership.release()
        self.assertIsNone(announced(self.layout))

        self.layout.write(self.layout.home / "ready", '["valkey"]')
        self.take()
        self.assertIsNone(announced(self.layout))

    def test_servers_left_over(self) -> None:
        """While a server of a dead gateway lives, others are not gone; past patience it is killed.

        The program with the directory in its command line is that server; another one, whose
        pid a stale file names, is left alone.
        """
        ownership = self.take()
        server = self.program(str(self.layout.home / "pg"))
        stranger = self.program("elsewhere")
        self.layout.pid_file("postgres").write_text(str(server.pid))
        self.layout.pid_file("valkey").write_text(str(stranger.pid))
        held = os.open(self.layout.home / "servers.lock", os.O_RDWR)
        fcntl.flock(held, fcntl.LOCK_EX)
        self.assertFalse(ownership.others_gone())
        self.assertIsNone(server.poll())

        self.patch(module, "_PATIENCE_S", 0.0)
        self.assertFalse(ownership.others_gone())
        self.assertEqual(server.wait(5), -9)
        self.assertIsNone(stranger.poll())
        os.close(held)
        self.assertTrue(ownership.others_gone())

    def test_lock_files_of_strangers(self) -> None:
        """PostgreSQL's lock files are removed only where a living stranger has their pid."""
        ownership = self.take()
        data = self.layout.home / "pg"
        data.mkdir()
        files = (data / "postmaster.pid", self.layout.run_dir() / ".s.PGSQL.5432.lock")
        stranger, postmaster = self.program("elsewhere"), self.program(str(data))
        dead = self.program()
        dead.kill()
        dead.wait(10)
        for process, kept in ((stranger, False), (postmaster, True), (dead, True)):
            for file in files:
                file.write_text(f"{process.pid}\nmore\n")
            self.assertTrue(ownership.others_gone())
            self.assertEqual([file.exists() for file in files], [kept, kept])
