"""One gateway per state directory, and no server of a dead one left when the next begins.

Two locks, because they answer two questions. `lock` dies with the gateway process: is there
another gateway? `servers.lock` is inherited by every process of every server and thus free only
when the last one has ended: may a new server touch the data? Neither can go stale.
"""

import os
import signal
import time
from contextlib import suppress

import orjson
from attrs import define, field

from neuronetz_twisted.stores.embedded.errors import EmbeddedError, StateDirectoryInUse
from neuronetz_twisted.stores.embedded.layout import Layout, try_lock
from neuronetz_twisted.stores.embedded.processes import is_alive, read_pid, works_on

SERVER_NAMES = ("postgres", "valkey")

# Servers on Linux die with their gateway within a second; only what stays longer is killed.
_PATIENCE_S = 1.5
# One who merely looks (`owner_of`) holds the lock for microseconds.
_LOCK_TRIES = 5
_LOCK_PAUSE_S = 0.02


@define(eq=False)
class Ownership:
    """This process owns the state directory, until `release`."""

    layout: Layout
    lock: int
    servers_lock: int
    _since: float = field(factory=time.monotonic)

    @classmethod
    def take(cls, layout: Layout) -> "Ownership":
        """Become the owner. Raises StateDirectoryInUse, EmbeddedError or OSError."""
        layout.create()
        lock = layout.open_private(layout.home / "lock", os.O_RDWR)
        for _ in range(_LOCK_TRIES):
            if try_lock(lock):
                break
            time.sleep(_LOCK_PAUSE_S)
        else:
            os.close(lock)
            raise StateDirectoryInUse(
                f"another gateway owns {layout.home.parent} (pid {owner_of(layout)})"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        (layout.home / "ready").unlink(missing_ok=True)
        return cls(layout, lock, layout.open_private(layout.home / "servers.lock", os.O_RDWR))

    def others_gone(self) -> bool:
        """Whether no server of an earlier gateway is left; kills those that do not go.

        Ask again until it is true, then servers may be started.
        """
        if try_lock(self.servers_lock):
            self._forget_strangers()
            return True
        if time.monotonic() - self._since > _PATIENCE_S:
            for name in SERVER_NAMES:
                pid = read_pid(self.layout.pid_file(name))
                if pid is not None and works_on(pid, self.layout.home):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        return False

    def _forget_strangers(self) -> None:
        """Remove PostgreSQL's own lock files where their pid is a stranger's, or a zombie's.

        PostgreSQL would take it for another postmaster and not start; in containers pids repeat
        and zombies stay. All else is left to PostgreSQL's own checks, which also know a server
        that someone started on the directory by hand.
        """
        data = self.layout.home / "pg"
        for path in (data / "postmaster.pid", self.layout.run_dir() / ".s.PGSQL.5432.lock"):
            pid = read_pid(path)
            if pid is not None and is_alive(pid) and not works_on(pid, data):
                path.unlink(missing_ok=True)

    def announce(self, names: list[str]) -> None:
        """Tell those who attach which servers answer."""
        self.layout.write(self.layout.home / "ready", orjson.dumps(names).decode())

    def release(self) -> None:
        """Give the directory up, after the servers have ended."""
        (self.layout.home / "ready").unlink(missing_ok=True)
        for name in SERVER_NAMES:
            self.layout.pid_file(name).unlink(missing_ok=True)
        os.close(self.servers_lock)
        os.close(self.lock)


def owner_of(layout: Layout) -> int | None:
    """The pid of the living gateway that owns the directory, or None."""
    path = layout.home / "lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EmbeddedError(f"cannot use {layout.home}: {error.strerror}") from error
    try:
        # Shared, so that two who look at once do not see each other.
        return None if try_lock(descriptor, shared=True) else read_pid(path) or 0
    finally:
        os.close(descriptor)


def announced(layout: Layout) -> list[str] | None:
    """The servers that the owner says answer, or None while it is still starting."""
    try:
        names: list[str] = orjson.loads((layout.home / "ready").read_bytes())
    except FileNotFoundError:
        return None
    return names
