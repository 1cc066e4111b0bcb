"""The plugin, in processes of their own: it takes the global reactor."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import tap

ROOT = Path(tap.__file__).parent.parent


class TapTests(SynchronousTestCase):
    def run_python(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run Python in an empty directory, with nothing of our environment but these."""
        directory = self.mktemp()
        Path(directory).mkdir()
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=directory,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_unusable_environment(self) -> None:
        """Every fault is a line, the status is 2, and no value is quoted."""
        done = self.run_python(
            "-m", "twisted", "neuronetz", GATEWAY_BIND_PORT="canary", REDIS_URL="canary"
        )
        self.assertEqual(done.returncode, 2)
        named = sorted(line.partition(":")[0] for line in done.stderr.splitlines())
        self.assertEqual(named, ["DATABASE_URL", "GATEWAY_BIND_PORT", "REDIS_URL"])
        self.assertNotIn("canary", done.stderr + done.stdout)

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

    def test_start_that_fails(self) -> None:
        """A gateway that cannot listen ends with status 1, and its log says why."""
        done = self.run_python(
            "-c",
            "from twisted.scripts.twistd import run; run()",
            "-n",
            "neuronetz",
            DATABASE_URL="postgresql://gateway@127.0.0.1:1/gateway",
            REDIS_URL="redis://127.0.0.1:1/0",
            OLLAMA_BASE_URL="http://127.0.0.1:1",
            GATEWAY_TRUSTED_PROXIES="",
            GATEWAY_ENDPOINT="unix:/nowhere/to/be/found",
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("the gateway cannot start", done.stdout)


class PluginTests(SynchronousTestCase):
    def test_found(self) -> None:
        """`twistd neuronetz` is known, and made of our module."""
        makers: dict[str, Any] = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
        self.assertEqual(makers["neuronetz"].module, "neuronetz_twisted.tap")
