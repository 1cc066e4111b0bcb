"""The plugin, in processes of their own: it takes the global reactor."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import tap
from tests.processes import Program, eventually

ROOT = Path(tap.__file__).parent.parent
RUN = "from twisted.scripts.twistd import run; run()"
TWISTD = ["-P", "-c", RUN]
# Whatever runs the tests may have its children ignore some signals.
HEARING = (
    "from signal import SIG_DFL, SIGHUP, SIGINT, signal\n"
    f"signal(SIGHUP, SIG_DFL), signal(SIGINT, SIG_DFL)\n{RUN}\n"
)
PID_FILE = "twistd.pid"
CANNOT_START = "the gateway cannot start"

# Nothing that it asks is there; that does not keep a gateway from starting.
ALONE = {
    "DATABASE_URL": "postgresql://gateway@127.0.0.1:1/gateway",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "OLLAMA_BASE_URL": "http://127.0.0.1:1",
    "GATEWAY_TRUSTED_PROXIES": "",
    "GATEWAY_BIND_HOST": "127.0.0.1",
    "GATEWAY_BIND_PORT": "0",
}
CANNOT_LISTEN = {**ALONE, "GATEWAY_ENDPOINT": "unix:/nowhere/to/be/found"}


class TapTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """An empty directory, and nothing of our environment but what Python needs."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "GATEWAY_STATE_DIR": str(self.directory / "state"),
        }

    def run_python(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run Python until it ends."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class ConfigurationTests(TapTestCase):
    def test_unusable_environment(self) -> None:
        """Every fault is a line that reads as the command line's, and no value is quoted."""
        environ = {"GATEWAY_BIND_PORT": "canary", "REDIS_URL": "canary"}
        command = "from neuronetz_twisted.cli import main; main()"
        done = self.run_python(*TWISTD, "-n", "neuronetz", **environ)
        other = self.run_python("-c", command, "config", **environ)
        self.assertEqual((done.returncode, other.returncode), (2, 2))
        self.assertEqual(done.stderr, other.stderr)
        words = [line.split(":")[:2] for line in done.stderr.splitlines()]
        self.assertEqual({program for program, _ in words}, {"neuronetz-gateway"})
        named = sorted(name.strip() for _, name in words)
        self.assertEqual(named, ["DATABASE_URL", "GATEWAY_BIND_PORT", "REDIS_URL"])
        self.assertNotIn("canary", done.stderr + done.stdout)

    def test_unreadable_dotenv(self) -> None:
        """A .env that is no text is a line too."""
        (self.directory / ".env").write_bytes(b"\xff")
        done = self.run_python(*TWISTD, "-n", "neuronetz", **ALONE)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(
            done.stderr, "neuronetz-gateway: .env: cannot be read: UnicodeDecodeError\n"
        )

    def test_background_without_a_log(self) -> None:
        """What would be neither seen nor heard is refused in one line."""
        for options in ([], ["--logfile=-"]):
            done = self.run_python(*TWISTD, *options, "neuronetz", **ALONE)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn("twistd -n neuronetz", done.stderr)
            self.assertFalse((self.directory / PID_FILE).exists())

    def test_log_that_cannot_be_written(self) -> None:
        """A wrong --logfile is one line."""
        done = self.run_python(*TWISTD, "-n", "--logfile=missing/log", "neuronetz", **ALONE)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
        self.assertIn("--logfile: cannot be written", done.stderr)

    def test_reactor_is_monotonic(self) -> None:
        """Making the service puts timers on a clock that is never stepped; nothing starts yet."""
        program = (
            "import time\n"
            "from neuronetz_twisted.tap import Options, makeService\n"
            "options = Options()\n"
            "options.parseOptions(['--migrate'])\n"
            "service = makeService(options)\n"
            "from twisted.internet import reactor\n"
            "assert reactor.seconds is time.monotonic\n"
            "assert abs(reactor.callLater(5, int).getTime() - time.monotonic() - 5) < 1\n"
            "assert not service.running\n"
            "print(service.name)\n"
        )
        done = self.run_python("-c", program, DATABASE_URL="embedded:")
        self.assertEqual((done.stdout, done.stderr), ("gateway\n", ""))


class StartTests(TapTestCase):
    def test_failed(self) -> None:
        """A gateway that cannot listen says why, and leaves status 1 and no pid file."""
        done = self.run_python(*TWISTD, "-n", "neuronetz", **CANNOT_LISTEN)
        self.assertEqual(done.returncode, 1)
        self.assertIn(CANNOT_START, done.stdout)
        self.assertRegex(done.stderr, rf"\Aneuronetz-gateway: {CANNOT_START}[^\n]*\n\Z")
        self.assertFalse((self.directory / PID_FILE).exists())

    def test_background(self) -> None:
        """With a log to write to it may leave the foreground, and the log has our lines."""
        self.addCleanup(self.end_background)
        done = self.run_python(*TWISTD, "--logfile=log", "neuronetz", **CANNOT_LISTEN)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        log = self.directory / "log"
        eventually(lambda: CANNOT_START in log.read_text())
        eventually(lambda: not (self.directory / PID_FILE).exists())
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertIn("critical", {line["level"] for line in lines})

    def end_background(self) -> None:
        """End a process that has not ended by itself."""
        pid_file = self.directory / PID_FILE
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGKILL)

    def test_log_of_twistd(self) -> None:
        """An observer that the operator names is the log."""
        options = ["-n", "--logger=twisted.logger.STDLibLogObserver"]
        done = self.run_python(*TWISTD, *options, "neuronetz", **CANNOT_LISTEN)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(CANNOT_START, done.stderr)


class RunningTests(TapTestCase):
    def start(self) -> Program:
        """A gateway that listens, without anything else."""
        arguments = [sys.executable, "-P", "-c", HEARING, "-n", "--pidfile=", "neuronetz"]
        program = Program(arguments, {**self.environ, **ALONE}, self.directory / "log")
        self.addCleanup(program.end)
        eventually(lambda: "listening on" in program.output, 30.0)
        return program

    def test_hangup(self) -> None:
        """SIGHUP is a stop, with status 0, not a death."""
        program = self.start()
        os.kill(program.pid, signal.SIGHUP)
        self.assertEqual(program.wait(), 0)
        self.assertIn("SIGHUP: stopping", program.output)

    def test_quiet(self) -> None:
        """What a start and a stop log is about the gateway, not about Twisted's objects."""
        program = self.start()
        self.assertEqual(program.terminate(), 0)
        for line in map(json.loads, program.output.splitlines()):
            self.assertTrue(line["namespace"].startswith("neuronetz_twisted."), line)
            self.assertNotIn(" object at 0x", line["message"])

    def test_again(self) -> None:
        """Whoever asks a stopping gateway to stop is told so; nothing fails."""
        program = self.start()
        port = int(program.output.partition("listening on http://127.0.0.1:")[2].split('"')[0])
        with socket.create_connection(("127.0.0.1", port)) as client:
            # Answers that are not read keep their connection from being closed at once. When no
            # more can be sent, they stand in the gateway.
            client.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                while True:
                    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            os.kill(program.pid, signal.SIGTERM)
            eventually(lambda: "SIGTERM: stopping" in program.output)
            os.kill(program.pid, signal.SIGTERM)
            eventually(lambda: "SIGTERM: already stopping" in program.output)
            os.kill(program.pid, signal.SIGINT)
            eventually(lambda: "SIGINT: already stopping" in program.output)
        self.assertEqual(program.wait(), 0)
        levels = {json.loads(line)["level"] for line in program.output.splitlines()}
        self.assertNotIn("critical", levels)


class PluginTests(SynchronousTestCase):
    def test_found(self) -> None:
        """`twistd neuronetz` is known, and made of our module."""
        makers: dict[str, Any] = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        self.assertEqual(makers["neuronetz"].module, "neuronetz_twisted.tap")
