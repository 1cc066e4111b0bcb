"""What a run measures: something with a port that relays to the model host."""

import subprocess
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from benchmarks.proc import Process, descendants, processes, split
from benchmarks.programs import Missing, Program

STORES = frozenset({"postgres", "valkey-server"})
"""Names of processes below the gateway that are its database and its Redis."""

NO_LIMIT = 1_000_000


class Surface(Enum):
    """How a target is asked; the value is the path."""

    OPENAI = "/v1/chat/completions"
    NATIVE = "/api/chat"


@frozen(kw_only=True)
class Place:
    """Where a target lives: the checkout, a directory of its own, its port and the upstream's."""

    root: Path
    scratch: Path
    port: int
    upstream_port: int

    @property
    def installed(self) -> Path:
        """What `peers/install.sh` made."""
        return self.root / ".bench" / "peers"

    @property
    def upstream(self) -> str:
        """The model host as a base URL."""
        return f"http://127.0.0.1:{self.upstream_port}"


@define(kw_only=True)
class Running:
    """A target that runs. `headers` are what a client sends, as lines."""

    name: str
    label: str
    program: Program
    port: int
    headers: Sequence[str] = ()
    version: str = ""
    most_streams: int = NO_LIMIT
    idle_kib: int = field(default=0, init=False)

    def processes(self) -> tuple[list[Process], list[Process]]:
        """Its own processes, and those of its stores."""
        return split(descendants(processes(), self.program.pid), STORES)

    def pids(self) -> list[int]:
        """The ids of its own processes."""
        own, _ = self.processes()
        return [process.pid for process in own]


class Target(Protocol):
    """Something that can be started."""

    @property
    def name(self) -> str:
        """Its name on the command line and in the results."""
        ...

    @property
    def label(self) -> str:
        """Its name for people."""
        ...

    def start(self, place: Place) -> Running:
        """Start it; returns once it answers. Raises `Missing` where it cannot be had."""
        ...


def version_of(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """The first line that a program says of itself. Raises `Missing` where there is none."""
    try:
        done = subprocess.run(
            list(arguments), env=environ, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"{arguments[0]} does not run: {type(error).__name__}") from None
    return (done.stdout + done.stderr).strip().partition("\n")[0]
