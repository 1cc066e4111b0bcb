"""Which models are loaded, with what, and until when; and how often that cost a load."""

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from mock_ollama.asking import KEEP_ALIVE_S
from mock_ollama.options import RunnerOptions

# Go's longest duration, which stands for ever.
_LONGEST_S = 2**63 / 1e9


@define
class Runner:
    """One loaded model; `users` requests are using it, and it stays `keep_alive` seconds after."""

    options: RunnerOptions
    keep_alive: float = KEEP_ALIVE_S
    expires_at: float = 0.0
    users: int = 0

    def extend(self, now: float) -> None:
        """Begin the time after which it is dropped anew."""
        self.expires_at = now + min(self.keep_alive, _LONGEST_S)


@define
class Loads:
    """How often a model was loaded, and how many of those loads only changed its options."""

    loads: int = 0
    reloads: int = 0


@define
class Residency:
    """The loaded models by name; times are Unix times in seconds."""

    _runners: dict[str, Runner] = field(factory=dict)
    _loads: dict[str, Loads] = field(factory=dict)

    def runner(self, name: str, now: float) -> Runner | None:
        """Give a loaded model's runner, dropping it if its time is over."""
        runner = self._runners.get(name)
        if runner is not None and not runner.users and runner.expires_at <= now:
            del self._runners[name]
            return None
        return runner

    def load(self, name: str, options: RunnerOptions, now: float) -> Runner:
        """Load a model, in the place of the idle runner that it may have; ready at `now`."""
        counted = self._loads.setdefault(name, Loads())
        counted.loads += 1
        counted.reloads += name in self._runners
        self._runners[name] = runner = Runner(options)
        runner.extend(now)
        return runner

    def unload(self, name: str, now: float) -> None:
        """Drop a model from memory, as soon as nobody uses it."""
        runner = self.runner(name, now)
        if runner is not None:
            runner.keep_alive = 0.0
            runner.extend(now)

    def loaded(self, now: float) -> Iterator[tuple[str, Runner]]:
        """Give the loaded models, the one that stays longest first."""
        present = [(name, self.runner(name, now)) for name in list(self._runners)]
        runners = [(name, runner) for name, runner in present if runner is not None]
        return iter(sorted(runners, key=lambda pair: -pair[1].expires_at))

    def clear(self) -> None:
        """Drop all models, as when others are installed."""
        self._runners.clear()

    def forget(self) -> None:
        """Begin to count loads anew."""
        self._loads.clear()

    def as_json(self) -> dict[str, Any]:
        """Give the counts as `/mock/seen` shows them: the sums, and by model."""
        return {
            "loads": sum(one.loads for one in self._loads.values()),
            "reloads": sum(one.reloads for one in self._loads.values()),
            "models": {
                name: {"loads": one.loads, "reloads": one.reloads}
                for name, one in self._loads.items()
            },
        }
