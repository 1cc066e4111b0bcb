"""A Redis or Valkey that belongs to one test, which may stop, kill and start it as it likes."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest

from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.stores.embedded import EmbeddedError
from neuronetz_twisted.stores.embedded.binaries import find_redis
from tests.waiting import until


class KillableRedis:
    """A real server on a Unix socket in a directory of its own, without anything on disk.

    `extra` is more of its configuration, in lines.
    """

    def __init__(self, password: str = "", extra: str = "") -> None:
        self.password = password
        self._extra = extra
        self._home = Path(tempfile.mkdtemp(prefix="nz-redis-"))
        self._socket = self._home / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def target(self, **changes: str | int | None) -> RedisTarget:
        """Where it is and how to log in."""
        known = {"path": str(self._socket), "password": self.password or None}
        return RedisTarget(**known | changes)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._spawn()
        await until(self._answers)

    def stop(self) -> None:
        """Stop it from running, without ending it."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would. Ending it twice is no error."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def clean_up(self) -> None:
        """End it and remove its directory."""
        self.kill()
        shutil.rmtree(self._home)

    def _spawn(self) -> None:
        config = (
            f"port 0\nunixsocket {self._socket}\nunixsocketperm 700\n"
            f"dir {self._home}\nsave ''\nappendonly no\nlogfile redis.log\n{self._extra}"
        )
        if self.password:
            config += f"requirepass {self.password}\n"
        # By standard input: the arguments of a process are everybody's to read.
        process = subprocess.Popen(
            [_program(), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._process = process
        if process.stdin is None:
            raise AssertionError("no pipe to the server")
        process.stdin.write(config.encode())
        process.stdin.close()

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise AssertionError("the server does not run")
        self._process.send_signal(number)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(7) in {b"+PONG\r\n", b"-NOAUTH"}
            except OSError:
                return False


def _program() -> Path:
    try:
        return find_redis(os.environ)
    except EmbeddedError as error:
        raise SkipTest(str(error)) from error
