"""The demo's directory: what one `demo` command leaves behind for the next (SPEC 13).

.demo/        0700, in the directory where the command was given
  demo.json   0600: the gateway's variables, the mock's URL, the key
  *.pid *.log of the mock and the gateway
  state/      the gateway's own
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson
from attrs import asdict, evolve, field, frozen

from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.config import variables
from neuronetz_twisted.stores.embedded.binaries import PG_VARIABLE, REDIS_VARIABLE

_PRIVATE = 0o700


@frozen(kw_only=True)
class DemoState:
    """What is remembered: enough to find the gateway again and to call it.

    `environment` holds the variables of SPEC 10 and no others. `mock_url` is None with a real
    Ollama, `key` until one was made.
    """

    environment: Mapping[str, str] = field(repr=False)
    mock_url: str | None
    key: str | None = field(repr=False)

    def with_key(self, key: str) -> "DemoState":
        """The same with a key."""
        return evolve(self, key=key)


@frozen
class DemoHome:
    """A demo's directory, which need not exist."""

    path: Path

    @classmethod
    def here(cls) -> "DemoHome":
        """That of the current directory."""
        return cls(Path.cwd() / ".demo")

    @property
    def state_dir(self) -> Path:
        """The gateway's state directory, unless the caller names another."""
        return self.path / "state"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other `demo` commands away from this directory. Raises `Fault`."""
        # The parent, since the directory itself comes and goes.
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Fault(f"another demo command is at work in {self.path.parent}") from None
        finally:
            os.close(descriptor)

    def create(self) -> None:
        """Make the directory, for its owner only."""
        self.path.mkdir(mode=_PRIVATE, exist_ok=True)
        self.path.chmod(_PRIVATE)

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.path)

    def load(self) -> DemoState | None:
        """What was remembered, None if nothing was."""
        try:
            return DemoState(**orjson.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return None

    def save(self, state: DemoState) -> None:
        """Remember, whole or not at all."""
        new = self._file.with_suffix(".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(asdict(state)))
        new.replace(self._file)

    @property
    def _file(self) -> Path:
        return self.path / "demo.json"


def gateway_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of a caller's variables that the gateway reads (SPEC 10)."""
    names = {PG_VARIABLE, REDIS_VARIABLE}
    for _, known in variables():
        names |= {known.name, f"{known.name}_FILE"}
    return {name: value for name, value in environ.items() if name in names}


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether a variable has a value, of its own or in a file."""
    return bool(environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip())


def with_remembered(environ: Mapping[str, str], state: DemoState) -> dict[str, str]:
    """A caller's environment in which the gateway's variables are the demo's alone."""
    own = gateway_variables(environ)
    others = {name: value for name, value in environ.items() if name not in own}
    return {**others, **state.environment}
