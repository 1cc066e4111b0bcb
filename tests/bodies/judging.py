"""What holds for every request that reaches the model host, whatever the client has sent (SPEC 4).

The twin records beside the JSON that it was sent what Ollama's own types would have made of it.
Both must be the same, and hold nothing but what the contract names: then the gateway has checked
what Ollama acts on.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.bodies.entry import ABSENT, CHAT, EMBED, GENERATE, Entry

MOST_PREDICT = 4096
"""MAX_NUM_PREDICT by default (SPEC 10)."""

_COMMON = frozenset(
    {"model", "stream", "options", "format", "think", "truncate", "logprobs", "top_logprobs"}
)
_TAKEN: Mapping[str, frozenset[str]] = {
    CHAT: _COMMON | {"messages", "tools"},
    GENERATE: _COMMON | {"prompt", "suffix", "system", "images"},
    EMBED: frozenset({"model", "input", "truncate", "dimensions", "options"}),
}
_OPTIONS = frozenset(
    {
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "repeat_last_n",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "stop",
        "num_predict",
        "num_keep",
        "penalize_newline",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "tfs_z",
    }
)
_MESSAGE = frozenset(
    {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}
)
_CALL = frozenset({"id", "function"})
_CALLED = frozenset({"index", "name", "arguments"})
_TOOL = frozenset({"type", "function"})
_OFFERED = frozenset({"name", "description", "parameters"})
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_HEADERS = frozenset(
    {"host", "content-type", "content-length", "accept", "connection", "accept-encoding"}
)

GENERATIONS = frozenset(_TAKEN)
"""The paths of the model host to which bodies of clients lead."""


def faults(asked: Mapping[str, Any], *, raw_allowed: bool = False) -> list[str]:
    """What is wrong with a request that the twin has recorded, in words."""
    body, path = asked["body"], asked["path"]
    if not isinstance(body, dict):
        return [f"{path}: no object"]
    found = [*_foreign(f"{path} header", asked["headers"], _HEADERS)]
    taken = _TAKEN[path] | {"raw"} if raw_allowed else _TAKEN[path]
    found += _foreign(path, body, taken)
    found += _foreign("options", body.get("options", {}), _OPTIONS)
    if asked.get("cloud") or "cloud" in str(body.get("model")):
        found.append(f"a model of the cloud: {body.get('model')}")
    if path != EMBED:
        found += _of_generation(body)
    return [*found, *_misunderstood(body, asked["decoded"])]


def missing(entry: Entry, body: Mapping[str, Any]) -> list[str]:
    """Which fields that an entry wants to be sent are not, in words."""
    wrong = []
    for path, wanted in entry.sent.items():
        value: Any = body
        for step in path.split("."):
            if isinstance(value, list):
                value = value[int(step)] if int(step) < len(value) else ABSENT
            else:
                value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
        if value is not wanted and (value is ABSENT or not _same(value, wanted)):
            wrong.append(f"{path} is {value}, not {wanted}")
    return wrong


def _misunderstood(body: Mapping[str, Any], decoded: Mapping[str, Any] | None) -> Iterator[str]:
    """Where a body is another one to Ollama; parameters of tools may be what it refuses whole."""
    if decoded is None:
        if not body.get("tools"):
            yield f"refused: {body}"
    elif not _same(_without_parameters(body), _without_parameters(decoded)):
        yield f"understood otherwise: {body} as {decoded}"


def _of_generation(body: Mapping[str, Any]) -> Iterator[str]:
    predict = body.get("options", {}).get("num_predict")
    if type(predict) is not int or not 1 <= predict <= MOST_PREDICT:
        yield f"num_predict is {predict}"
    if body.get("stream") is not True:
        yield "not streamed"
    for message in body.get("messages", []):
        yield from _foreign("message", message, _MESSAGE)
        if message.get("role") not in _ROLES:
            yield f"role {message.get('role')}"
        for call in message.get("tool_calls", []):
            yield from _foreign("call", call, _CALL)
            yield from _foreign("called function", call["function"], _CALLED)
    for tool in body.get("tools", []):
        if tool.get("type") != "function":
            yield f"a tool of type {tool.get('type')}"
        yield from _foreign("tool", tool, _TOOL)
        yield from _foreign("offered function", tool["function"], _OFFERED)


def _foreign(where: str, found: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    return [f"{where} {name}" for name in found if name not in known]


def _without_parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    """All but the parameters of tools: of such a schema Go keeps the keywords that it knows."""
    tools = [
        {**tool, "function": {**tool["function"], "parameters": None}}
        for tool in body.get("tools", [])
    ]
    return {**body, "tools": tools}


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are one to Go, which reads numbers of options as floats."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one) in (int, float) and type(other) in (int, float):
        return float(one) == float(other)
    return type(one) is type(other) and bool(one == other)
