import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded import processes
from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.stub import Plan


@frozen
class Program:
    """A server that is any command."""

    layout: Layout
    argv: list[str]

    name: ClassVar[str] = "program"
    title: ClassVar[str] = "Program"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def plan(self, parent: int) -> Plan:
        """The plain plan."""
        return Plan(
            parent=parent,
            death_signal=signal.SIGKILL,
            home=str(self.layout.home),
            owned=[],
            refuses_root=False,
            prepare=None,
            argv=self.argv,
        )

    def ask(self) -> None:
        """It never answers."""
        raise ConnectionError


class StartTests(SynchronousTestCase):
    """Forking a server."""

    def setUp(self) -> None:
        """A lock to inherit."""
        self.layout = Layout.of(Path(self.mktemp()))
        self.layout.create()
        self.lock = self.layout.open_private(self.layout.home / "servers.lock", os.O_RDWR)
        self.addCleanup(os.close, self.lock)

    def start(self, code: str) -> subprocess.Popen[bytes]:
        """A Python program as the server."""
        program = Program(self.layout, [sys.executable, "-c", code])
        environ = {"PATH": "/bin", "PGUSER": "x", "DATABASE_URL": "secret"}
        return processes.start(program, self.layout, self.lock, environ)

    def test_environment_and_descriptors(self) -> None:
        """A server gets only the needed variables, the lock, no input, and its own session."""
        process = self.start(
            f"import os, sys; os.fstat({self.lock}); "
            "print(sorted(os.environ), sys.stdin.read() == '', os.getsid(0) == os.getpid())"
        )
        self.assertEqual(process.wait(10), 0)
        said = processes.log_tail(self.layout.log("program"))
        self.assertIn("'LC_ALL'", said)
        self.assertIn("'PATH'", said)
        self.assertNotIn("PGUSER", said)
        self.assertNotIn("DATABASE_URL", said)
        self.assertTrue(said.endswith(" True True"))
        self.assertEqual(processes.read_pid(self.layout.pid_file("program")), process.pid)

    def test_log_is_appended_to(self) -> None:
        """The words of a server that ended stay when it is started again."""
        for word in ("one", "two"):
            self.assertEqual(self.start(f"print('{word}')").wait(10), 0)
        self.assertEqual(processes.log_tail(self.layout.log("program")), "one; two")

    def test_only_from_the_main_thread(self) -> None:
        """Another thread would take the servers with it when it ends, so it may not start any."""
        caught: list[RuntimeError] = []

        def start() -> None:
            try:
                self.start("")
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join(10)
        self.assertEqual(len(caught), 1)

    def test_disk_trouble(self) -> None:
        """What the system refuses is told as one line."""
        self.layout.log("program").mkdir()
        with self.assertRaisesRegex(EmbeddedError, "^cannot start Program: "):
            self.start("")

    def test_pid_that_cannot_be_noted(self) -> None:
        """A server of which nobody would know has ended when the error is told."""
        forked: list[subprocess.Popen[bytes]] = []
        fork = processes._fork

        def noting(*arguments: Any) -> subprocess.Popen[bytes]:
            forked.append(fork(*arguments))
            return forked[-1]

        self.patch(processes, "_fork", noting)
        self.layout.pid_file("program").mkdir()
        with self.assertRaisesRegex(EmbeddedError, "^cannot start Program: "):
            self.start("input()")
        (process,) = forked
        self.assertEqual(process.returncode, -signal.SIGKILL)


class LogTests(SynchronousTestCase):
    """What servers wrote."""

    def setUp(self) -> None:
        """A log that does not exist yet."""
        self.log = Path(self.mktemp())

    def test_tail(self) -> None:
        """The last three lines that say something, as one line, whatever the bytes are."""
        self.assertEqual(processes.log_tail(self.log), "its log is gone")
        self.log.write_bytes(b" \n")
        self.assertEqual(processes.log_tail(self.log), "it wrote nothing")
        self.log.write_bytes(b"x" * 10_000 + b"\na\n\nb\xff\n\n c\n")
        self.assertEqual(processes.log_tail(self.log), "a; b\ufffd; c")

    def test_reason(self) -> None:
        """The last reason that a server gave is told, though it tidied up after that."""
        for reason in (
            'FATAL:  could not write to file "pg_wal/xlogtemp.1": No space left on device',
            "PANIC:  something",
            "initdb: error: could not create directory",
        ):
            with self.subTest(reason=reason):
                after = "child process exited with exit code 1\ninitdb: removing\nfailed with 1\n"
                self.log.write_text(f"FATAL:  older\n{reason}\n{after}")
                told = f"{reason}; {after.strip()}".replace("\n", "; ")
                self.assertEqual(processes.log_tail(self.log), told)
        self.log.write_text("LOG:  a\nFATAL:  b\n")
        self.assertEqual(processes.log_tail(self.log), "LOG:  a; FATAL:  b")

    def test_bound(self) -> None:
        """A log is left alone until it is too long, then its writer goes on at the start."""
        processes.bound_log(self.log)
        with self.log.open("ab", buffering=0) as file:
            file.write(b"x" * 1024 * 1024)
            processes.bound_log(self.log)
            self.assertEqual(self.log.stat().st_size, 1024 * 1024)
            file.write(b"x")
            processes.bound_log(self.log)
            file.write(b"y")
        self.assertEqual(self.log.read_bytes(), b"y")


class PidTests(SynchronousTestCase):
    """Recognising processes."""

    def test_describe_exit(self) -> None:
        """A signal and a status read differently."""
        self.assertEqual(processes.describe_exit(-9), "was killed by signal 9")
        self.assertEqual(processes.describe_exit(1), "ended with status 1")

    def test_read_pid(self) -> None:
        """The first line counts; what is no pid is none."""
        path = Path(self.mktemp())
        self.assertIsNone(processes.read_pid(path))
        for content, pid in ((b"12\n13\n", 12), (b"", None), (b"-3", None), (b"\xff", None)):
            path.write_bytes(content)
            self.assertEqual(processes.read_pid(path), pid)

    def test_alive_and_at_work(self) -> None:
        """A process is known by the directory in its command line, while it lives."""
        process = subprocess.Popen(
            [sys.executable, "-c", "print('up', flush=True); input()", "/some/place/pg"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()  # its command line can be read by now
        self.assertTrue(processes.works_on(process.pid, Path("/some/place")))
        self.assertFalse(processes.works_on(process.pid, Path("/some/other")))
        self.assertTrue(processes.is_alive(process.pid))
        process.communicate(b"\n")
        self.assertFalse(processes.works_on(process.pid, Path("/some/place")))
        self.assertFalse(processes.is_alive(process.pid))
