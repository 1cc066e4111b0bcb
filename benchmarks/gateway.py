"""The gateway with everything on that this version has: key, embedded PostgreSQL and Valkey."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.programs import Missing, Program, ask
from benchmarks.targets import NO_LIMIT, Place, Running, version_of

NAME = "gateway"
LABEL = "neuronetz-gateway"
UNRECORDED = "unrecorded"
UNLIMITED = "unlimited"

_PROGRAMS = Path(sys.executable).parent
TWISTD = (str(_PROGRAMS / "twistd"),)
_OK = 200

_LARGEST = "2147483647"
_PLENTY = ("--rpm", _LARGEST, "--tpm", _LARGEST, "--concurrent", _LARGEST)
"""Limits that are counted and never reached."""


@frozen
class Gateway:
    """The target that all this is about. `program` is what takes twistd's words."""

    name: str = NAME
    label: str = LABEL
    program: tuple[str, ...] = TWISTD
    most_streams: int = NO_LIMIT

    def start(self, place: Place) -> Running:
        """Start it with an empty state directory, and make a key with its command line."""
        _command(place, "migrate")
        program = launch(place, self.program)
        running = Running(
            name=self.name,
            label=self.label,
            program=program,
            port=place.port,
            most_streams=self.most_streams,
        )
        try:
            _command(place, "create-tenant", "--name", "bench", "--allow-all-models", *_PLENTY)
            words = ["create-key", "--tenant", "bench", "--name", "bench", "--scopes", "chat"]
            key = _command(place, *words)["key"]
        except BaseException:
            program.stop()
            raise
        running.headers = [f"Authorization: Bearer {key}"]
        running.version = version_of([str(_PROGRAMS / "neuronetz-gateway"), "--version"])
        return running


def without_record() -> Gateway:
    """The same, but nothing is recorded."""
    return Gateway(
        name=UNRECORDED,
        label=f"{LABEL} without its record",
        program=(sys.executable, "-m", "benchmarks.unrecorded"),
        most_streams=0,
    )


def without_limits() -> Gateway:
    """The same, but Redis is not asked who may run."""
    return Gateway(
        name=UNLIMITED,
        label=f"{LABEL} without its limits",
        program=(sys.executable, "-m", "benchmarks.unlimited"),
        most_streams=0,
    )


def cost_of_records(place: Place) -> Sequence[Mapping[str, float]]:
    """What a record costs by itself, by part, in each batch; beside a gateway that runs here.

    Raises `Missing` where that cannot be told.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.records"],
        env=os.environ | environ(place),
        cwd=place.scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing("the cost of records is not known", done.stderr.strip())
    return [json.loads(line) for line in done.stdout.splitlines()]


def launch(place: Place, program: Sequence[str]) -> Program:
    """Start the process; returns once it is ready."""
    started = Program(
        [*program, "-n", "--pidfile=", "neuronetz"],
        place.scratch / "gateway.log",
        environ(place),
    )
    try:
        started.wait_until(lambda: ask(place.port, "/readyz")[0] == _OK)
    except BaseException:
        started.stop()
        raise
    return started


def environ(place: Place) -> dict[str, str]:
    """The gateway's environment. Its caps are above what a run asks for, its costs are defaults."""
    return {
        "PYTHONPATH": str(place.root),
        "DATABASE_URL": "embedded:",
        "REDIS_URL": "embedded:",
        "GATEWAY_STATE_DIR": str(place.scratch / "state"),
        "GATEWAY_BIND_HOST": "127.0.0.1",
        "GATEWAY_BIND_PORT": str(place.port),
        "GATEWAY_MAX_CONNECTIONS": "8192",
        "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": "8192",
        "OLLAMA_BASE_URL": place.upstream,
        "OLLAMA_MAX_CONNECTIONS": "4096",
    }


def _command(place: Place, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(_PROGRAMS / "neuronetz-gateway"), *words, "--json"],
        env=environ(place),
        cwd=place.scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Missing(f"{words[0]} failed", done.stderr.strip())
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
