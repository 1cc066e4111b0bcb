"""Both drives under atheris for a minute each; part of `./test.sh long`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.wire import agent_drive, channel_drive
from tests.wire.atheris_target import is_available, write_inputs

ROOT = Path(__file__).parents[2]
FUZZ_S = 60
_STOP_S = 60
_OPTIONS = (f"-max_total_time={FUZZ_S}", "-timeout=20", "-max_len=20000", "-seed=9112")


class GuidedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A directory for what is found."""
        if not is_available():
            raise SkipTest("atheris is not installed")
        self.home = Path(tempfile.mkdtemp(prefix="nz"))
        self.addCleanup(shutil.rmtree, self.home)

    def fuzz(self, module: str, seeds: tuple[bytes, ...]) -> None:
        """Run one module; it ends by itself, and without a finding."""
        inputs = self.home / "inputs"
        write_inputs(inputs, seeds)
        artifacts = f"-artifact_prefix={self.home}/"
        done = subprocess.run(
            [sys.executable, "-m", module, *_OPTIONS, artifacts, str(inputs)],
            cwd=ROOT,
            capture_output=True,
            timeout=FUZZ_S + _STOP_S,
            check=False,
        )
        said = done.stderr.decode(errors="replace")
        found = [path.read_bytes() for path in self.home.iterdir() if path.is_file()]
        self.assertEqual((done.returncode, found), (0, []), said[-5000:])
        self.assertIn("INITED", said)

    def test_channel(self) -> None:
        """Clients that do anything."""
        self.fuzz("tests.wire.fuzz_channel", channel_drive.SEEDS)

    def test_agent(self) -> None:
        """Model hosts that do anything."""
        self.fuzz("tests.wire.fuzz_agent", agent_drive.SEEDS)
