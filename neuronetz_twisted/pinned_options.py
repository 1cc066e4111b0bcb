"""OLLAMA_PINNED_OPTIONS: what the operator sets for a model, whatever a client asks (SPEC 4, 10).

Pure. It is the place for what clients may not set, since it reloads or resizes a model that all
share: `num_ctx`, `num_gpu`, `keep_alive`. The length of answers is MAX_NUM_PREDICT's.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
from attrs import field, frozen

from neuronetz_twisted.model_names import canonical_name

ALL = "*"
"""Stands for every model; what a model's own entry says goes before."""

EMBED_PATH = "/api/embed"

_DURATION = re.compile(r"-?(?:\d{1,9}(?:\.\d{1,9})?(?:ns|us|ms|s|m|h))+")
_LARGEST = 1 << 31
_MOST_STOPS = 16

Pins = Mapping[str, Any]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < _LARGEST


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _are_stops(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_STOPS
        and all(isinstance(stop, str) and stop for stop in value)
    )


def _is_lifetime(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, str) and bool(_DURATION.fullmatch(value)))


def _is_thinking(value: Any) -> bool:
    return _is_flag(value) or value in ("low", "medium", "high")


_Rule = tuple[Callable[[Any], bool], str]
_WHOLE: _Rule = (_is_whole, "a whole number")
_NUMBER: _Rule = (_is_number, "a number")
_FLAG: _Rule = (_is_flag, "true or false")

_OPTIONS: Mapping[str, _Rule] = {
    **dict.fromkeys(
        (
            "num_ctx",
            "num_batch",
            "num_gpu",
            "main_gpu",
            "num_thread",
            "draft_num_predict",
            "num_keep",
            "seed",
            "top_k",
            "repeat_last_n",
            "mirostat",
        ),
        _WHOLE,
    ),
    **dict.fromkeys(
        (
            "temperature",
            "top_p",
            "min_p",
            "typical_p",
            "repeat_penalty",
            "presence_penalty",
            "frequency_penalty",
            "mirostat_tau",
            "mirostat_eta",
            "tfs_z",
        ),
        _NUMBER,
    ),
    **dict.fromkeys(("use_mmap", "penalize_newline"), _FLAG),
    "stop": (_are_stops, f"a list of at most {_MOST_STOPS} texts"),
}
_FIELDS: Mapping[str, _Rule] = {
    "keep_alive": (_is_lifetime, "a number of seconds or a duration such as 30m"),
    "shift": _FLAG,
    "truncate": _FLAG,
    "think": (_is_thinking, "true, false, low, medium or high"),
}
"""What stands beside `options` in a request."""

_OF_EMBED = frozenset({"keep_alive", "truncate"})


@frozen(eq=False)
class PinnedOptions:
    """What is set for each model, by canonical name or `*`; `str` gives it as JSON."""

    _by_model: Mapping[str, Pins]
    _pins_of: Callable[[str, str], tuple[Pins, Pins]] = field(init=False, repr=False)

    @_pins_of.default
    def _make_pins_of(self) -> Callable[[str, str], tuple[Pins, Pins]]:
        # Models come from the catalogue, which is bounded.
        return cache(self._select)

    def __str__(self) -> str:
        return orjson.dumps(self._by_model).decode()

    def applied(self, model: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A native request's body with what is pinned for a model, by its canonical name."""
        options, beside = self._pins_of(model, path)
        if not options and not beside:
            return body
        changed = {**body, **beside}
        if options:
            changed["options"] = {**body.get("options", {}), **options}
        return changed

    def _select(self, model: str, path: str) -> tuple[Pins, Pins]:
        """The options of a model, and what stands beside them, on one of our paths."""
        pins = {**self._by_model.get(ALL, {}), **self._by_model.get(model, {})}
        options = {name: value for name, value in pins.items() if name in _OPTIONS}
        taken = _OF_EMBED if path == EMBED_PATH else frozenset(_FIELDS)
        return options, {name: value for name, value in pins.items() if name in taken}


NOTHING_PINNED = PinnedOptions({})


def parse_pinned(text: str) -> PinnedOptions:
    """What the JSON object says. Raises `ValueError` that names every fault."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("must be JSON") from None
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object of models")  # noqa: TRY004 - as all faults
    faults: list[str] = []
    by_model: dict[str, Pins] = {}
    for name, pins in found.items():
        model = name if name == ALL else canonical_name(name)
        if model is None:
            faults.append(f"{_shown(name)} is no name of a local model")
        elif model in by_model:
            faults.append(f"{_shown(name)} stands for a model that is there already")
        elif not isinstance(pins, dict):
            faults.append(f"{model}: must be an object of options")
        else:
            faults += [f"{model}: {fault}" for fault in _faults_of(pins)]
            by_model[model] = pins
    if faults:
        raise ValueError("; ".join(faults))
    return PinnedOptions(by_model)


def _faults_of(pins: Pins) -> list[str]:
    rules = {**_OPTIONS, **_FIELDS}
    faults = []
    for name, value in pins.items():
        if name == "num_predict":
            faults.append("num_predict is MAX_NUM_PREDICT's to set")
        elif name not in rules:
            faults.append(f"{_shown(name)} is no option that can be pinned")
        elif not rules[name][0](value):
            faults.append(f"{name} must be {rules[name][1]}")
    return faults


def _shown(name: str) -> str:
    return ascii(name[:64])
