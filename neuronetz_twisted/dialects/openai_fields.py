"""Fields that the bodies of OpenAI's surface have in common, and the options they become. Pure.

The translation is the one of Ollama's own layer (its `openai/openai.go`), with what that layer
forgets: `max_completion_tokens`, `n` > 1 (SPEC 3).
"""

from collections.abc import Mapping
from typing import Any

from neuronetz_twisted.dialects import fields, native_fields
from neuronetz_twisted.dialects.fields import Check, FieldTable, apply, taken_as
from neuronetz_twisted.dialects.native_fields import CAPPED, OPTION
from neuronetz_twisted.dialects.native_requests import capped_predict
from neuronetz_twisted.errors import InvalidRequest

EFFORTS: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "ultra": "max",
    "max": "max",
}
"""OpenAI's scale, and what clients add to it, as the nearest of Ollama's: as its layer has it."""

EFFORT = "becomes `think`: `none` false, `minimal` low, `xhigh` and `ultra` max, others as they are"
"""What becomes of a word of `EFFORTS`, for the documents."""

_LENGTHS = ("max_completion_tokens", "max_tokens")
_AS_THEY_ARE = ("seed", "stop", "frequency_penalty", "presence_penalty")


@fields.check("1", "has no other meaning here")
def only_one(value: Any, name: str) -> int:
    """One answer is all that a request can have."""
    if fields.whole(value, name) != 1:
        raise InvalidRequest(f"{name} must be 1", param=name)
    return 1


STREAM_OPTIONS = FieldTable(
    taken={"include_usage": taken_as(fields.flag, "adds a chunk with the usage")},
    dropped=frozenset({"include_obfuscation"}),
)

STREAM: Mapping[str, Check] = {
    "stream": native_fields.STREAM,
    "stream_options": taken_as(fields.mapping_of(STREAM_OPTIONS), "read by the gateway"),
}

SAMPLING: Mapping[str, Check] = {
    "temperature": taken_as(fields.number, f"{OPTION}; 1 where absent"),
    "top_p": taken_as(fields.number, f"{OPTION}; 1 where absent"),
    "frequency_penalty": taken_as(fields.number, OPTION),
    "presence_penalty": taken_as(fields.number, OPTION),
    "seed": taken_as(fields.whole, OPTION),
    "stop": taken_as(fields.stops, OPTION),
    "max_tokens": taken_as(fields.whole, CAPPED),
}

MAX_COMPLETION_TOKENS = taken_as(fields.whole, "the same as `max_tokens`, and wins over it")


def options_of(clean: Mapping[str, Any], max_predict: int, ignored: list[str]) -> dict[str, Any]:
    """Ollama's options of checked fields; at most `max_predict` tokens are asked for."""
    options: dict[str, Any] = {name: clean[name] for name in _AS_THEY_ARE if name in clean}
    # Ollama's own layer sets these two where the client does not, whatever the model's file says.
    options["temperature"] = clean.get("temperature", 1.0)
    options["top_p"] = clean.get("top_p", 1.0)
    name = predict_name(clean)
    if name is not None:
        options["num_predict"] = clean[name]
    capped_predict(options, max_predict, ignored, name or "")
    return options


def predict_name(clean: Mapping[str, Any]) -> str | None:
    """The field that says how long the answer may be."""
    return next((name for name in _LENGTHS if name in clean), None)


def wants_usage(clean: Mapping[str, Any], ignored: list[str]) -> bool:
    """Whether a stream shall tell its usage."""
    asked = apply(STREAM_OPTIONS, clean.get("stream_options", {}), ignored)
    return bool(asked.get("include_usage", False))
