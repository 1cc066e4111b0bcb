"""The two tools in C, compiled where their source is newer, and what they tell."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.programs import Missing, Program, ask, listens

SOURCES = Path(__file__).parent / "native"

_POLL_S = 0.1


def build(directory: Path) -> None:
    """Compile `mock` and `load` into a directory. Raises `Missing` where that cannot be."""
    if sys.platform != "linux":
        raise Missing("the benchmarks need Linux: epoll, and /proc for CPU time and memory")
    compiler = shutil.which("cc")
    if compiler is None:
        raise Missing("no C compiler: on Debian and Ubuntu, install the package gcc")
    directory.mkdir(parents=True, exist_ok=True)
    newest = max(source.stat().st_mtime for source in SOURCES.iterdir())
    for name in ("mock", "load"):
        program = directory / name
        if program.exists() and program.stat().st_mtime > newest:
            continue
        source = SOURCES / f"{name}.c"
        subprocess.run([compiler, "-O2", "-Wall", "-o", program, source], check=True)


class Mock:
    """The model host."""

    def __init__(self, program: Path, port: int, scratch: Path) -> None:
        self.port = port
        self.program = Program([str(program), str(port)], scratch / "mock.log")
        try:
            self.program.wait_until(lambda: listens(port))
        except BaseException:
            self.program.stop()
            raise

    def reset(self) -> None:
        """Forget what was counted, and hang up on answers that nobody waits for any more."""
        ask(self.port, "/control/reset", "POST")

    def asked(self) -> set[int]:
        """The labels of the requests that came."""
        _, body = ask(self.port, "/control/asked")
        return set(json.loads(body))

    def gone(self) -> dict[int, int]:
        """For each label of an answer whose client went: when, in microseconds (monotonic)."""
        _, body = ask(self.port, "/control/gone")
        return {entry["id"]: entry["at_us"] for entry in json.loads(body)}


def load(
    program: Path, arguments: Sequence[str], within_s: float, watch: Callable[[], None]
) -> Mapping[str, Any]:
    """Run `load` and give its report; `watch` is called every now and then meanwhile.

    Raises `Missing` where there is none in time.
    """
    with subprocess.Popen(
        [str(program), *arguments], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        give_up = time.monotonic() + within_s
        try:
            while process.poll() is None and time.monotonic() < give_up:
                watch()
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
        output, _ = process.communicate()
    if process.returncode != 0:
        raise Missing(f"load gave no report: status {process.returncode}")
    report: Mapping[str, Any] = json.loads(output)
    return report
