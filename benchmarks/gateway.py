"""The gateway with everything on that this version has: key, embedded PostgreSQL and Valkey."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.programs import Missing, Program, ask
from benchmarks.targets import Place, Running, version_of

NAME = "gateway"
LABEL = "neuronetz-gateway"

_PROGRAMS = Path(sys.executable).parent
_OK = 200


@frozen
class Gateway:
    """The target that all this is about."""

    name: str = NAME
    label: str = LABEL

    def start(self, place: Place) -> Running:
        """Start it with an empty state directory, and make a key with its command line."""
        _command(place, "migrate")
        program = launch(place)
        running = Running(name=self.name, label=self.label, program=program, port=place.port)
        try:
            _command(place, "create-tenant", "--name", "bench", "--allow-all-models")
            words = ["create-key", "--tenant", "bench", "--name", "bench", "--scopes", "chat"]
            key = _command(place, *words)["key"]
        except BaseException:
            program.stop()
            raise
        running.headers = [f"Authorization: Bearer {key}"]
        running.version = version_of([str(_PROGRAMS / "neuronetz-gateway"), "--version"])
        return running


def launch(place: Place) -> Program:
    """Start the process; returns once it is ready."""
    program = Program(
        [str(_PROGRAMS / "twistd"), "-n", "--pidfile=", "neuronetz"],
        place.scratch / "gateway.log",
        environ(place),
    )
    try:
        program.wait_until(lambda: ask(place.port, "/readyz")[0] == _OK)
    except BaseException:
        program.stop()
        raise
    return program


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
