"""A process that outlives the command that started it, and is found again by a later one.

Its pid file also holds when it was started: pids repeat, and a stranger's must never be signalled.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from attrs import frozen

from neuronetz_twisted.cli.output import Fault

_POLL_S = 0.05
_KILLED_WITHIN_S = 5.0
_TAIL_BYTES = 8192
_STATE_FIELD, _STARTED_FIELD = 0, 19  # of /proc/PID/stat, behind the name: proc(5) 3 and 22


@frozen
class BackgroundProcess:
    """One process by its name, with `NAME.pid` and `NAME.log` in a private directory."""

    name: str
    directory: Path

    @property
    def log(self) -> Path:
        """Where its output goes; empty at each start."""
        return self.directory / f"{self.name}.log"

    def start(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it in a session of its own, so that a Ctrl-C here is not for it."""
        with _private(self.log).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                arguments,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        record = {"pid": process.pid, "started": started(process.pid)}
        _private(self._pid_file).write_bytes(orjson.dumps(record))

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._pid() is not None

    def stop(self, patience_s: float) -> None:
        """End it, after `patience_s` seconds by force with all its group. Raises `Fault`."""
        pid = self._pid()
        if pid is not None:
            self._end(pid, patience_s)
        self._pid_file.unlink(missing_ok=True)

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    @property
    def _pid_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    def _pid(self) -> int | None:
        try:
            record = orjson.loads(self._pid_file.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        now = started(record["pid"])
        return record["pid"] if now is not None and now == record["started"] else None

    def _end(self, pid: int, patience_s: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if self._ended_within(patience_s):
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if not self._ended_within(_KILLED_WITHIN_S):
            raise Fault(f"the {self.name} process {pid} cannot be ended")

    def _ended_within(self, seconds: float) -> bool:
        give_up = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > give_up:
                return False
            time.sleep(_POLL_S)
        return True


def started(pid: int) -> str | None:
    """When a process was started, in the system's own words; None if it has ended."""
    if sys.platform != "linux":
        return _started_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = stat.rpartition(")")[2].split()
    return None if words[_STATE_FIELD] in {"Z", "X"} else words[_STARTED_FIELD]


def _started_by_ps(pid: int) -> str | None:
    done = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
        env={"LC_ALL": "C"},
    )
    state, _, moment = done.stdout.strip().partition(" ")
    return moment.strip() if state and not state.startswith("Z") else None


def _private(path: Path) -> Path:
    """An empty file that only its owner can read."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return path
