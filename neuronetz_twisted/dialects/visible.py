"""What of a model host's frame a client may see: the known fields, in the order they came. Pure.

The fields are those of Ollama's `ChatResponse` and `GenerateResponse` (its `api/types.go`) but
`context`, `remote_*` and whatever it may have in the future (SPEC 2, R8).
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from neuronetz_twisted.dialects.nesting import is_deeper
from neuronetz_twisted.errors import UpstreamNonsense

_TEXTS = frozenset({"model", "created_at", "response", "thinking", "done_reason"})
_METRICS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
_NUMBERS = frozenset(_METRICS)
_HEAD = ("model", "created_at")
_END = ("done", "done_reason")
_CHAT_ORDER = (*_HEAD, "message", *_END, "logprobs", *_METRICS)
_GENERATE_ORDER = (*_HEAD, "response", "thinking", *_END, *_METRICS, "tool_calls", "logprobs")
_MESSAGE_ORDER = ("role", "content", "thinking", "tool_calls")
_MAX_NUMBER = 1 << 53
_DEEPEST = 64
_MESSAGE = frozenset({"role", "content", "thinking"})

# encoding/json escapes these for HTML's sake; inside JSON they can only occur in strings.
_ESCAPES = (
    (b"&", b"\\u0026"),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)

# The exponents that orjson writes and encoding/json may not.
_EXPONENTS = (b"e-6", b"e+")
_LEAST, _MOST = 1e-6, 1e21


def as_go_writes(value: Any) -> bytes:
    """A JSON value as Ollama would write it: compactly, with Go's escapes and Go's numbers."""
    encoded = orjson.dumps(value)
    if any(exponent in encoded for exponent in _EXPONENTS):
        encoded = orjson.dumps(_with_go_numbers(value))
    for raw, escaped in _ESCAPES:
        if raw in encoded:
            encoded = encoded.replace(raw, escaped)
    return encoded


def _with_go_numbers(value: Any) -> Any:
    """The same, its floats as encoding/json has them: digits only from 1e-6 up, and below 1e21."""
    if isinstance(value, dict):
        return {name: _with_go_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return list(map(_with_go_numbers, value))
    if isinstance(value, float) and _LEAST <= abs(value) < _MOST:
        digits = format(Decimal(repr(value)), "f").removesuffix(".0")
        return orjson.Fragment(digits.encode())
    return value


def visible(data: Mapping[str, Any]) -> dict[str, Any]:
    """The known fields of a frame. Counts and durations belong to a final one only.

    Raises `UpstreamNonsense` for a text that is none and for a tool call that is too deep; other
    fields of a wrong type fall away.
    """
    frame: dict[str, Any] = {}
    is_final = data.get("done")
    for name, value in data.items():
        if name in _TEXTS:
            if not isinstance(value, str):
                raise UpstreamNonsense(f"{name} is not text")
            frame[name] = value
        elif name in _NUMBERS:
            if is_final and type(value) is int and 0 <= value < _MAX_NUMBER:
                frame[name] = value
        elif name == "done":
            frame[name] = value
        elif name == "message" and isinstance(value, dict):
            frame[name] = _message(value)
        elif name in ("tool_calls", "logprobs"):
            _put_list(frame, name, value)
    return frame


def in_order(frame: Mapping[str, Any]) -> dict[str, Any]:
    """A frame in the order of Ollama's own types, what is not of theirs last."""
    order = _CHAT_ORDER if "message" in frame else _GENERATE_ORDER
    shown = {name: frame[name] for name in order if name in frame}
    if "message" in shown:
        message = shown["message"]
        shown["message"] = {name: message[name] for name in _MESSAGE_ORDER if name in message}
    return {**shown, **{name: frame[name] for name in frame if name not in shown}}


def tool_calls_of(frame: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The tool calls of a frame, each with a `function` that has a name and arguments."""
    message = frame.get("message")
    calls: Sequence[Mapping[str, Any]] = (frame if message is None else message).get(
        "tool_calls", ()
    )
    return calls


def logprobs_of(frame: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What a frame says of the likelihood of its tokens, as Ollama's `Logprob`."""
    logprobs: Sequence[Mapping[str, Any]] = frame.get("logprobs", ())
    return logprobs


def _message(value: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for name, part in value.items():
        if name in _MESSAGE:
            if isinstance(part, str):
                message[name] = part
        elif name == "tool_calls":
            _put_list(message, name, part)
    return message


def _put_list(target: dict[str, Any], name: str, value: Any) -> None:
    """Put the usable entries of a list into a frame; a list of none falls away."""
    if isinstance(value, list) and (known := _listed(value, _ENTRIES[name])):
        target[name] = known


def _listed(
    value: Sequence[Any], entry_of: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    entries = (entry_of(entry) for entry in value if isinstance(entry, dict))
    return [entry for entry in entries if entry]


def _tool_call(value: Mapping[str, Any]) -> dict[str, Any]:
    """One call; without a name it is none. The arguments are the model's own.

    Raises `UpstreamNonsense` for arguments so deep that nobody could write them out again.
    """
    function = value.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return {}
    arguments = function.get("arguments")
    if is_deeper(arguments, _DEEPEST):
        raise UpstreamNonsense("arguments are nested too deep")
    call: dict[str, Any] = {}
    if isinstance(value.get("id"), str):
        call["id"] = value["id"]
    call["function"] = {
        **({"index": function["index"]} if type(function.get("index")) is int else {}),
        "name": function["name"],
        "arguments": arguments if isinstance(arguments, dict) else {},
    }
    return call


def _logprob(value: Mapping[str, Any]) -> dict[str, Any]:
    shown = _token(value)
    if shown:
        _put_list(shown, "top_logprobs", value.get("top_logprobs"))
    return shown


def _token(value: Mapping[str, Any]) -> dict[str, Any]:
    token, logprob = value.get("token"), value.get("logprob")
    if not isinstance(token, str) or type(logprob) not in (int, float):
        return {}
    shown: dict[str, Any] = {"token": token, "logprob": logprob}
    raw = value.get("bytes")
    if isinstance(raw, list) and {int}.issuperset(map(type, raw)):
        shown["bytes"] = raw
    return shown


_ENTRIES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "tool_calls": _tool_call,
    "logprobs": _logprob,
    "top_logprobs": _token,
}
