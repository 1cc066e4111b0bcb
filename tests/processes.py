"""Programs under test as processes, and how a blocking test waits for what they do."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from neuronetz_twisted.stores.embedded.stub import die_with

STOP_S = 30.0

_STEP_S = 0.01


def eventually(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Return as soon as the condition holds; fails the test when it does not in time."""
    give_up = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {within_s} s: {condition}")
        # Polled, since processes, files and servers tell nobody here when they change.
        time.sleep(_STEP_S)


class Program:
    """One process with its output in a file."""

    def __init__(self, arguments: list[str], environ: dict[str, str], output: Path) -> None:
        self._output = output
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                arguments,
                env=environ,
                cwd=output.parent,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Nothing of a test run may outlive it, also when that is killed. The one thread
                # that starts programs is the main one, which the kernel watches.
                preexec_fn=partial(die_with, os.getpid(), signal.SIGKILL),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """All that it has said so far."""
        return self._output.read_text(encoding="utf-8")

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self, within_s: float = STOP_S) -> int:
        """The exit status, once it has ended by itself."""
        return self._process.wait(within_s)

    def terminate(self) -> int:
        """End it as an operator does, by SIGTERM; gives the exit status."""
        self._process.terminate()
        return self.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End it, by force where that is needed."""
        self._process.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
