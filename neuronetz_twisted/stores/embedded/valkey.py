"""An embedded Valkey (or Redis): its configuration, and how it is asked whether it answers.

Nothing is kept on disk: what the gateway keeps in Redis is rebuilt from PostgreSQL (SPEC 7).
"""

import signal
import socket
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.stub import Plan

_ROLE = "valkey"
_ASK_TIMEOUT_S = 2.0
_EXPECTED = b"+OK\r\n+PONG\r\n"


def socket_path(layout: Layout) -> Path:
    """Where the server listens."""
    return layout.run_dir() / "valkey.sock"


def url(layout: Layout) -> str:
    """`unix://:PASSWORD@/absolute/path.sock`; neither part needs percent-encoding."""
    return f"unix://:{layout.password(_ROLE)}@{socket_path(layout)}"


@frozen
class Valkey:
    """One Valkey on a Unix socket, with a generated password."""

    layout: Layout
    program: Path

    name: ClassVar[str] = "valkey"
    title: ClassVar[str] = "Valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    # It has nothing to save, and this one works even while it is stopped or busy in a script.
    death_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def plan(self, parent: int) -> Plan:
        """What the stub is told; the password goes by the configuration file only."""
        config = self.layout.home / "valkey.conf"
        lines = (
            "port 0",
            f"unixsocket {socket_path(self.layout)}",
            "unixsocketperm 700",
            f"requirepass {self.layout.password(_ROLE)}",
            'save ""',
            "appendonly no",
            "maxmemory-policy noeviction",
            "daemonize no",
            # The command line stays as started: by it a later gateway knows what it may stop.
            "set-proc-title no",
        )
        self.layout.write(config, "\n".join(lines) + "\n")
        home = str(self.layout.home)
        return Plan(
            parent=parent,
            death_signal=self.death_signal,
            home=home,
            owned=[],
            refuses_root=False,
            prepare=None,
            argv=[str(self.program), str(config)],
        )

    def ask(self) -> None:
        """AUTH and PING; blocks for seconds at most.

        Raises OSError while the server does not answer, also where it answers anything else.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASK_TIMEOUT_S)
            connection.connect(str(socket_path(self.layout)))
            connection.sendall(f"AUTH {self.layout.password(_ROLE)}\r\nPING\r\n".encode())
            answer = b""
            while len(answer) < len(_EXPECTED):
                received = connection.recv(len(_EXPECTED) - len(answer))
                if not received:
                    raise ConnectionError("closed before its answer")
                answer += received
        if answer != _EXPECTED:
            raise ConnectionError("no +OK +PONG to AUTH and PING")
