"""A server as a child process, and how a process that nobody waits for is recognised."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import orjson

from neuronetz_twisted.stores.embedded import stub
from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout

_LOG_TAIL_BYTES = 2048
_LOG_TAIL_LINES = 3
_LOG_LIMIT_BYTES = 1024 * 1024
_REASON = re.compile(r"FATAL|PANIC|could not|No space")

# The rest of the gateway's environment may hold secrets, and PG* variables would steer initdb.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class Server(Protocol):
    """What Postgres and Valkey have in common for whoever starts, watches and stops them."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def plan(self, parent: int) -> stub.Plan:
        """What the stub is told; makes the files that the server needs."""

    def ask(self) -> None:
        """Return once the server answers; raises psycopg.Error or OSError while it does not."""


def start(
    server: Server, layout: Layout, lock: int, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Fork a server that holds the inherited lock until the last of its processes has ended.

    Only from the main thread: the kernel's death signal follows the thread that forked.
    In a session of its own, since Ctrl-C in a terminal is for the gateway, which drains first.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("embedded servers are started from the main thread")
    try:
        process = _fork(server, layout, lock, environ)
        try:
            layout.write(layout.pid_file(server.name), str(process.pid))
        except OSError:
            # Nobody else would know of it.
            process.kill()
            process.wait()
            raise
    except OSError as error:
        raise EmbeddedError(f"cannot start {server.title}: {error}") from error
    return process


def _fork(
    server: Server, layout: Layout, lock: int, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    plan = server.plan(os.getpid())
    log = layout.open_private(layout.log(server.name), os.O_WRONLY | os.O_APPEND)
    try:
        return subprocess.Popen(  # noqa: S603 - our own stub, a program found by us
            [sys.executable, "-I", "-S", stub.__file__, orjson.dumps(plan).decode()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=layout.home,
            env={"LC_ALL": "C", **{k: environ[k] for k in _ENVIRONMENT if k in environ}},
            pass_fds=(lock,),
            start_new_session=True,
        )
    finally:
        os.close(log)


def bound_log(path: Path) -> None:
    """Empty a log that has grown too long; its writer appends and goes on at the start."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        os.truncate(path, 0)


def log_tail(path: Path) -> str:
    """The last words of a server, as one line; before them its last reason, where it gave one."""
    if not path.exists():
        return "its log is gone"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
        lines = file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    words = [line.strip() for line in lines if line.strip()]
    tail = words[-_LOG_TAIL_LINES:]
    reasons = [line for line in words if _REASON.search(line)]
    # initdb tidies up after its failure, and says so.
    if reasons and reasons[-1] not in tail:
        tail.insert(0, reasons[-1])
    return "; ".join(tail) or "it wrote nothing"


def describe_exit(status: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def works_on(pid: int, place: Path) -> bool:
    """Whether a living process was started on this directory, and is no stranger with its pid."""
    return str(place) in _command_of(pid)


def is_alive(pid: int) -> bool:
    """Whether any process has this pid."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _command_of(pid: int) -> str:
    if sys.platform == "linux":
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:  # it has ended
            return ""
    done = subprocess.run(  # noqa: S603
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
    )
    return done.stdout


def read_pid(path: Path) -> int | None:
    """The pid on the first line of a pid file, if there is one."""
    try:
        first = path.read_text(encoding="ascii").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return None
    return int(first) if first.isdecimal() else None
