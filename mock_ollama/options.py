"""A request's `options` as Ollama puts them over its defaults, and what of them a runner holds."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from mock_ollama.refused import Refused

CONTEXT_LENGTH = 4096
TRAINED_CONTEXT = 131_072
SMALLEST_CONTEXT = 4
VISION_CONTEXT = 2048

_SERVER_ERROR = 500
_OUT_OF_RANGE = 2**63
_RUNNER_INTS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"}
)
_RUNNER = _RUNNER_INTS | {"use_mmap"}
_INTS = _RUNNER_INTS | {"num_keep", "seed", "num_predict", "top_k", "repeat_last_n"}
_FLOATS = frozenset(
    {"top_p", "min_p", "typical_p", "temperature", "repeat_penalty"}
    | {"presence_penalty", "frequency_penalty"}
)


@frozen(kw_only=True)
class RunnerOptions:
    """What a model is loaded with; a request that asks for other values makes Ollama reload it."""

    num_ctx: int = CONTEXT_LENGTH
    num_batch: int = 512
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int = 0
    draft_num_predict: int = 0
    shift: bool = True

    def suits(self, wanted: "RunnerOptions") -> bool:
        """Say whether a runner with these options serves a request that wants the others.

        A negative `num_gpu` leaves the choice to Ollama, so it suits every runner.
        """
        return self == (evolve(wanted, num_gpu=self.num_gpu) if wanted.num_gpu < 0 else wanted)


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options that Ollama knows, converted as it converts them; null ones are left out.

    Raises Refused in Ollama's words, with 500 as it does.
    """
    checked: dict[str, Any] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key in _INTS:
            checked[key] = _integer(_number(key, value, "integer"))
        elif key in _FLOATS:
            checked[key] = float(_number(key, value, "float32"))
        elif key == "use_mmap":
            if not isinstance(value, bool):
                raise _mistyped(key, "of type boolean")
            checked[key] = value
        elif key == "stop":
            checked[key] = _texts(key, value)
    return checked


def runner_options(
    options: Mapping[str, Any], *, shift: bool | None, vision: bool
) -> RunnerOptions:
    """Give what of the checked options belongs to the runner, with Ollama's bounds."""
    wanted = {name: options[name] for name in _RUNNER if name in options}
    if "num_ctx" in wanted:
        wanted["num_ctx"] = min(max(wanted["num_ctx"], SMALLEST_CONTEXT), TRAINED_CONTEXT)
    if vision:
        wanted["num_ctx"] = max(wanted.get("num_ctx", CONTEXT_LENGTH), VISION_CONTEXT)
    return RunnerOptions(**wanted, shift=shift is not False)


def _integer(number: float) -> int:
    """Cut a number to an integer as Go does on most machines: out of range is the least one."""
    return int(number) if -_OUT_OF_RANGE <= number < _OUT_OF_RANGE else -_OUT_OF_RANGE


def _number(key: str, value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mistyped(key, f"of type {kind}")
    return value


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _mistyped(key, "of type array")
    if not all(isinstance(text, str) for text in value):
        raise _mistyped(key, "of an array of strings")
    return tuple(value)


def _mistyped(key: str, kind: str) -> Refused:
    return Refused(_SERVER_ERROR, f'option "{key}" must be {kind}')
