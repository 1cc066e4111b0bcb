"""Programs that a run starts, and that end with it."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from neuronetz_twisted.stores.embedded.stub import die_with

START_S = 60.0
STOP_S = 20.0

_STEP_S = 0.005


class Missing(Exception):  # noqa: N818 - states what is the matter
    """Something cannot be had on this machine; the text says what and, where known, from where.

    `detail` is what a program said, for whoever looks into it; it may name this machine's files.
    """

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Program:
    """One process with its output in a file."""

    def __init__(
        self, arguments: Sequence[str], output: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                list(arguments),
                env={**os.environ, **(environ or {})},
                cwd=output.parent,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches this process only, which then ends its programs in order.
                start_new_session=True,
                # This process has one thread, and a program must not outlive it.
                preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def last_words(self) -> str:
        """The last lines of its output."""
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-5:])

    def wait_until(self, condition: Callable[[], bool], within_s: float = START_S) -> None:
        """Return once the condition holds. Raises `Missing` if the program ends or is too slow."""
        give_up = time.monotonic() + within_s
        while not condition():
            if self._process.poll() is not None:
                raise Missing(f"it ended with {self._process.returncode}", self.last_words())
            if time.monotonic() > give_up:
                raise Missing(f"it was not ready within {within_s:.0f} s", self.last_words())
            time.sleep(_STEP_S)

    def stop(self) -> None:
        """End it, by force where that is needed."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of an answer of 127.0.0.1; status 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
