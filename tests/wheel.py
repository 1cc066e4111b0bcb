"""The wheel as it would be published, built once in a process from this tree."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SkipTest

PROJECT = Path(__file__).parent.parent
BUILD_S = 120
_UNREACHABLE = ("No matching distribution found", "Could not find a version")


@cache
def built_wheel() -> Path:
    """The wheel's path. Skips the test where the build's own requirements are not to be had."""
    folder = Path(tempfile.mkdtemp(prefix="nzwheel"))
    atexit.register(shutil.rmtree, folder)
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(PROJECT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def pip(python: str, *words: str) -> None:
    """Run pip. Skips the test where it cannot reach what it has to fetch."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode != 0:
        said = done.stdout + done.stderr
        if any(words in said for words in _UNREACHABLE):
            raise SkipTest("pip cannot fetch what it needs")
        raise AssertionError(said)
