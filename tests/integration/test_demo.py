"""The demo for real: its processes, its five commands, its end.

Everything runs in a directory of its own, on a free port, as separate processes that `--down`
ends; should a test fail half way, its cleanup does.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from neuronetz_twisted.config import variables

PROGRAM = [sys.executable, "-c", "from neuronetz_twisted.cli import main; main()"]
WITHIN_S = 100


class DemoTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An empty directory, and no variable of the gateway but what makes tests quick."""
        self.directory = Path(tempfile.mkdtemp(prefix="nz"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        names = {known.name for _, known in variables()}
        self.environ = {name: text for name, text in os.environ.items() if name not in names}
        self.environ |= {"DEMO_PORT": "0", "ARGON2_MEMORY_COST_KIB": "64", "ARGON2_TIME_COST": "1"}
        self.addCleanup(self.run_demo, "--down")

    def run_demo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a `demo` command did."""
        return subprocess.run(
            [*PROGRAM, "demo", *arguments],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def up(self) -> dict[str, Any]:
        """A demo that runs, as its last line tells."""
        done = self.run_demo("--json")
        if "programs found" in done.stderr or "server found" in done.stderr:
            raise SkipTest(done.stderr.splitlines()[-1])
        self.assertEqual(done.returncode, 0, done.stderr)
        record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return record

    def processes(self) -> list[psutil.Process]:
        """Whatever works in the directory, or was started for it."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = [process.cwd(), *process.cmdline()]
                if any(str(self.directory) in word for word in words):
                    found.append(process)
        return found

    def pid(self, name: str) -> int:
        """The pid of one of the demo's processes."""
        pid: int = json.loads((self.directory / ".demo" / f"{name}.pid").read_bytes())["pid"]
        return pid

    def test_up_again_and_down(self) -> None:
        """A second run finds the same gateway and key; --down leaves no process and no file."""
        first = self.up()
        self.assertEqual(
            set(first),
            {"base_url", "key", "key_prefix", "playground_url", "mock_url", "state_dir"},
        )
        self.assertTrue(first["key"].startswith(first["key_prefix"]))
        self.assertEqual(first["state_dir"], str(self.directory / ".demo" / "state"))
        pid = self.pid("gateway")
        self.assertEqual(self.up(), first)
        self.assertEqual(self.pid("gateway"), pid)
        self.assertGreaterEqual(len(self.processes()), 4)
        down = self.run_demo("--down", "--json")
        self.assertEqual(json.loads(down.stdout), {"removed": True}, down.stderr)
        self.assertEqual(self.processes(), [])
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assertEqual(json.loads(self.run_demo("--down", "--json").stdout), {"removed": False})

    def test_the_printed_commands(self) -> None:
        """Each of the five does in a shell what the line above it says."""
        if shutil.which("curl") is None:
            raise SkipTest("curl is not installed")
        self.up()
        shown = self.run_demo()
        self.assertIn("running already", shown.stderr)
        lines = [line for line in shown.stdout.splitlines() if line.startswith("curl ")]
        answers = [
            subprocess.run(
                ["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True
            ).stdout
            for line in lines
        ]
        events, ndjson, models, wrong, pull = answers
        self.assertTrue(events.startswith("data: {"))
        self.assertTrue(events.rstrip().endswith("data: [DONE]"))
        self.assertTrue(json.loads(ndjson.splitlines()[-1])["done"])
        self.assertEqual(json.loads(models)["object"], "list")
        self.assertIn(" 401 ", wrong.splitlines()[0])
        self.assertIn(" 403 ", pull.splitlines()[0])

    def test_commands_against_the_demo(self) -> None:
        """`demo cli` sees the demo's database, and a revoked key is replaced at the next run."""
        first = self.up()
        listed = json.loads(self.run_demo("cli", "list-keys", "--json").stdout)
        self.assertEqual([key["prefix"] for key in listed], [first["key_prefix"]])
        revoked = self.run_demo("cli", "revoke-key", "--prefix", first["key_prefix"], "--yes")
        self.assertEqual(revoked.returncode, 0, revoked.stderr)
        second = self.up()
        self.assertNotEqual(second["key"], first["key"])
        self.assertEqual(self.up(), second)

    def test_after_a_crash(self) -> None:
        """What was killed is started again: the mock where it was, the gateway with its data."""
        first = self.up()
        os.kill(self.pid("mock"), signal.SIGKILL)
        self.assertEqual(self.up(), first)
        for name in ("gateway", "mock"):
            os.kill(self.pid(name), signal.SIGKILL)
        second = self.up()
        self.assertEqual(second["key"], first["key"])

    def test_a_failed_start_leaves_nothing_running(self) -> None:
        """The last lines of the log, one line with the reason, and no process."""
        self.environ["GATEWAY_PG_BIN"] = "/nowhere"
        done = self.run_demo("--json")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/nowhere", done.stderr)
        self.assertIn("the gateway has ended", done.stderr.splitlines()[-1])
        self.assertEqual(self.processes(), [])

    def test_without_a_demo(self) -> None:
        """`demo cli` says that there is none."""
        done = self.run_demo("cli", "list-keys")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no demo", done.stderr)
