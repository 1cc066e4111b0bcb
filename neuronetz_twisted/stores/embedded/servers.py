"""The embedded servers together: begin, ask, see what ended, end.

Everything but `start_blocking` and `stop_blocking` returns at once, so that the service can
drive it from the reactor; the blocking pair is the same steps in a loop, for the command line.
"""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
from attrs import define

from neuronetz_twisted.stores.embedded.binaries import find_postgres, find_redis
from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.ownership import Ownership
from neuronetz_twisted.stores.embedded.postgres import Postgres
from neuronetz_twisted.stores.embedded.processes import (
    Server,
    bound_log,
    describe_exit,
    log_tail,
    start,
)
from neuronetz_twisted.stores.embedded.urls import EmbeddedUrls
from neuronetz_twisted.stores.embedded.valkey import Valkey

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 10.0
_POLL_S = 0.01


@define(eq=False)
class _Seat:
    """One server's place: the process that fills it, and whether that process has answered."""

    server: Server
    process: subprocess.Popen[bytes] | None = None
    answered: bool = False
    question: Future[None] | None = None
    trouble: str = "no answer yet"

    def fill(self, process: subprocess.Popen[bytes]) -> None:
        """Put a new process here, of which nothing is known yet."""
        self.process, self.answered, self.question = process, False, None

    def status(self) -> int | None:
        """How the process ended, None while it runs or before it was started."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self.process is not None:
            self.process.send_signal(number)

    def has_answered(self, asking: ThreadPoolExecutor) -> bool:
        """Whether the process has answered; asks again if the last question failed."""
        if self.question is not None and self.question.done():
            error = self.question.exception()
            if error is not None and not isinstance(error, (OSError, psycopg.Error)):
                raise error
            self.answered = error is None
            self.trouble = " ".join(str(error).split())
            self.question = None
        if self.process is not None and not self.answered and self.question is None:
            self.question = asking.submit(self.server.ask)
        return self.answered


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Tell what the system refuses, such as space on the disk, as one line."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(f"cannot start the embedded servers: {error}") from error


class EmbeddedServers:
    """PostgreSQL and Valkey as children of this process, below one state directory.

    `environ` is searched for the programs (see `binaries`); they get only its search paths. Steps:
    `spawn`, then `started` until it is true; `exited` and `restart` while they run; `terminate`,
    `running` until it is false (`kill` past a deadline), `close`.
    """

    def __init__(
        self, *, state_dir: Path, postgres: bool, redis: bool, environ: Mapping[str, str]
    ) -> None:
        self._layout = Layout.of(state_dir)
        self._postgres = postgres
        self._redis = redis
        self._environ = environ
        self._seats: dict[str, _Seat] = {}
        self._ownership: Ownership | None = None
        self._asking: ThreadPoolExecutor | None = None

    def start_blocking(self, deadline_s: float = START_DEADLINE_S) -> EmbeddedUrls:
        """Start the servers and return once both answer, from the main thread only.

        Raises StateDirectoryInUse at once, EmbeddedError when a server ends or stays silent for
        `deadline_s` seconds; nothing runs then.
        """
        try:
            self.spawn()
            self._await_start(deadline_s)
        except BaseException:
            self.stop_blocking()
            raise
        return self.urls()

    def stop_blocking(self) -> None:
        """End the servers, by force after ten seconds, and give the directory up."""
        self.terminate()
        give_up = time.monotonic() + STOP_DEADLINE_S
        while self.running():
            if time.monotonic() > give_up:
                self.kill()
            time.sleep(_POLL_S)
        self.close()

    def urls(self) -> EmbeddedUrls:
        """Where the servers are reached; complete once `started` was true."""
        return EmbeddedUrls.of(self._layout, postgres=self._postgres, redis=self._redis)

    def spawn(self) -> None:
        """Take the state directory and begin, from the main thread only.

        Raises StateDirectoryInUse, or EmbeddedError where programs or permissions are missing.
        """
        servers: list[Server] = []
        if self._postgres:
            servers.append(Postgres(self._layout, find_postgres(self._environ)))
        if self._redis:
            servers.append(Valkey(self._layout, find_redis(self._environ)))
        with _plain_errors():
            self._ownership = Ownership.take(self._layout)
            self._asking = ThreadPoolExecutor(len(servers) or 1, "embedded-ask")
            self._seats = {server.name: _Seat(server) for server in servers}
            for name in self._seats:
                self._layout.write(self._layout.log(name), "")
            self._begin()

    def started(self) -> bool:
        """Whether all servers answer; ask until it is true.

        Raises EmbeddedError when one ended before it ever answered.
        """
        with _plain_errors():
            self._begin()
            for name in self.exited():
                raise EmbeddedError(self.obituary(name))
            return self.ready()

    def ready(self) -> bool:
        """Whether each server has answered since its last start; asks them in a thread."""
        if self._ownership is None or self._asking is None:
            return False
        answers = [seat.has_answered(self._asking) for seat in self._seats.values()]
        if not all(answers):
            return False
        self._ownership.announce(list(self._seats))
        return True

    def exited(self) -> list[str]:
        """The names of servers that have ended since they were started."""
        return [name for name, seat in self._seats.items() if seat.status() is not None]

    def obituary(self, name: str) -> str:
        """One line on how an ended server ended."""
        seat = self._seats[name]
        status = seat.status()
        how = "has not ended" if status is None else describe_exit(status)
        return f"embedded {seat.server.title} {how}: {log_tail(self._layout.log(name))}"

    def overdue(self, deadline_s: float) -> EmbeddedError:
        """The error for servers that took too long to answer."""
        silent = "; ".join(
            f"{seat.server.title}: {seat.trouble}"
            for seat in self._seats.values()
            if not seat.answered
        )
        return EmbeddedError(f"embedded servers not ready after {deadline_s:g} s ({silent})")

    def restart(self, name: str) -> None:
        """Start a server that has ended, from the main thread only. Raises EmbeddedError."""
        if self._ownership is not None:
            seat, lock = self._seats[name], self._ownership.servers_lock
            seat.fill(start(seat.server, self._layout, lock, self._environ))

    def bound_logs(self) -> None:
        """Keep the servers' logs from growing without end."""
        for name in self._seats:
            bound_log(self._layout.log(name))

    def terminate(self) -> None:
        """Ask the servers to end; PostgreSQL ends its sessions and writes a checkpoint."""
        for seat in self._seats.values():
            seat.signal(seat.server.stop_signal)

    def kill(self) -> None:
        """End the servers by force; PostgreSQL recovers at its next start."""
        for seat in self._seats.values():
            seat.signal(signal.SIGKILL)

    def running(self) -> bool:
        """Whether a server has been started and has not ended yet."""
        return any(
            seat.process is not None and seat.status() is None for seat in self._seats.values()
        )

    def close(self) -> None:
        """Give the state directory up, once no server is running."""
        if self._asking is not None:
            self._asking.shutdown(wait=False, cancel_futures=True)
            self._asking = None
        if self._ownership is not None:
            self._ownership.release()
            self._ownership = None
        self._seats = {}

    def _await_start(self, deadline_s: float) -> None:
        give_up = time.monotonic() + deadline_s
        while not self.started():
            if time.monotonic() > give_up:
                raise self.overdue(deadline_s)
            time.sleep(_POLL_S)

    def _begin(self) -> None:
        """Start what was never started, as soon as no server of a dead gateway is left."""
        unborn = [name for name, seat in self._seats.items() if seat.process is None]
        if unborn and self._ownership is not None and self._ownership.others_gone():
            for name in unborn:
                self.restart(name)
