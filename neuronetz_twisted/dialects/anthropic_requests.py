"""Bodies of Anthropic's `/v1/messages` as native requests.

The translation is the one of Ollama's own layer (its `anthropic/anthropic.go`), and carries schemas
for the answer beside.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from neuronetz_twisted.dialects import anthropic_blocks, fields
from neuronetz_twisted.dialects.anthropic_blocks import (
    block_of,
    blocks_of,
    joined,
    text_and_images,
)
from neuronetz_twisted.dialects.conversations import Conversation
from neuronetz_twisted.dialects.fields import FieldTable, apply, read_object, taken_as, unread
from neuronetz_twisted.dialects.native_fields import CAPPED, MODEL, OPTION, STREAM
from neuronetz_twisted.dialects.native_requests import capped_predict, required_model
from neuronetz_twisted.dialects.schemas import json_schema
from neuronetz_twisted.dialects.tools import (
    CHOSEN,
    PARAMETERS,
    described,
    described_tools,
    guarded_tools,
    tool_name,
)
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

_CUSTOM = "custom"
_FREE_CHOICES = ("auto", "none")


@fields.check("string, or list of text blocks", "a message before all others")
def _system(value: Any, name: str) -> Any:
    return value if isinstance(value, str) else fields.objects(value, name)


@fields.check("whole number above 0; required", CAPPED)
def _max_tokens(value: Any, name: str) -> int:
    checked: int = fields.whole(value, name)
    if checked < 1:
        raise InvalidRequest(f"{name} must be above 0", param=name)
    return checked


MESSAGE = FieldTable(
    taken={"role": fields.one_of("user", "assistant", "system"), "content": blocks_of}
)

TOOL = FieldTable(
    taken={
        "type": unread(fields.one_of(_CUSTOM)),
        "name": tool_name,
        "description": fields.text,
        "input_schema": taken_as(PARAMETERS, f"becomes `parameters`: {PARAMETERS.then}"),
    },
    dropped=frozenset({"cache_control", "strict"}),
)

TOOL_CHOICE = FieldTable(
    taken={
        "type": taken_as(
            fields.one_of(*_FREE_CHOICES, "any", "tool"),
            CHOSEN,
        ),
        "name": unread(fields.text),
    },
    dropped=frozenset({"disable_parallel_tool_use"}),
)

THINKING = FieldTable(
    taken={
        "type": taken_as(
            fields.one_of("enabled", "adaptive", "disabled"),
            "`disabled` becomes `think: false`, all else leaves it to the model",
        )
    },
    dropped=frozenset({"budget_tokens", "display"}),
)

OUTPUT_FORMAT = FieldTable(
    taken={
        "type": unread(fields.one_of("json_schema")),
        "schema": taken_as(json_schema, "becomes `format`"),
    }
)

OUTPUT_CONFIG = FieldTable(
    taken={"format": taken_as(fields.mapping_of(OUTPUT_FORMAT), "its `schema` becomes `format`")},
    dropped=frozenset({"effort"}),
)

_MESSAGES = evolve(
    fields.objects_of(MESSAGE), says="list of objects; required", then="become Ollama's messages"
)

MESSAGES = FieldTable(
    taken={
        "model": MODEL,
        "max_tokens": _max_tokens,
        "messages": _MESSAGES,
        "system": _system,
        "stream": STREAM,
        "temperature": taken_as(fields.number, OPTION),
        "top_p": taken_as(fields.number, OPTION),
        "top_k": taken_as(fields.whole_in(0, 100_000), OPTION),
        "stop_sequences": taken_as(fields.stops, "the option `stop`"),
        "tools": described(TOOL, _CUSTOM),
        "tool_choice": taken_as(fields.mapping_of(TOOL_CHOICE), "read by the gateway"),
        "thinking": taken_as(fields.mapping_of(THINKING), "its `type` becomes `think`"),
        "output_config": taken_as(
            fields.mapping_of(OUTPUT_CONFIG), "its `format` becomes `format`"
        ),
    },
    dropped=frozenset(
        {"metadata", "service_tier", "cache_control", "container", "mcp_servers", "betas"}
    ),
)

TABLES: tuple[tuple[str, FieldTable], ...] = (
    ("`POST /v1/messages`", MESSAGES),
    ("`POST /v1/messages`: a message", MESSAGE),
    *anthropic_blocks.TABLES,
    ("`POST /v1/messages`: a tool", TOOL),
    ("`POST /v1/messages`: `tool_choice`", TOOL_CHOICE),
    ("`POST /v1/messages`: `thinking`", THINKING),
    ("`POST /v1/messages`: `output_config`", OUTPUT_CONFIG),
    ("`POST /v1/messages`: `format` of `output_config`", OUTPUT_FORMAT),
)

_AS_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
}


def parse_messages(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /v1/messages`. Raises `InvalidRequest`."""
    talk = Conversation()
    clean = apply(MESSAGES, read_object(raw), talk.ignored)
    model = required_model(clean)
    options = _options(clean, max_predict, talk.ignored)
    if "messages" not in clean:
        raise InvalidRequest("messages is required", param="messages")
    if clean.get("system"):
        _add_system(clean["system"], talk)
    for message in clean["messages"]:
        _add(message, talk)
    tools = _tools(clean, talk.ignored)
    beside = {"think": _think(clean, talk.ignored), "format": _format(clean, talk.ignored)}
    return talk.request(
        model=model,
        options=options,
        tools=tools,
        beside=beside,
        stream=clean.get("stream", False),
        predict_name="max_tokens",
    )


def _options(clean: Mapping[str, Any], max_predict: int, ignored: list[str]) -> dict[str, Any]:
    if "max_tokens" not in clean:
        raise InvalidRequest("max_tokens is required", param="max_tokens")
    options = {_AS_OPTIONS[name]: clean[name] for name in _AS_OPTIONS if name in clean}
    options["num_predict"] = clean["max_tokens"]
    capped_predict(options, max_predict, ignored, "max_tokens")
    return options


def _add_system(system: Any, talk: Conversation) -> None:
    text, images = text_and_images(system, talk.ignored)
    if images:
        raise InvalidRequest("system takes text only", param="system")
    talk.say("system", text)


def _add(message: Mapping[str, Any], talk: Conversation) -> None:
    """Add one message; what tools gave goes before what the user says to it."""
    clean = apply(MESSAGE, message, talk.ignored)
    if "role" not in clean:
        raise InvalidRequest("messages need a role", param="messages")
    content = clean.get("content", "")
    if isinstance(content, str):
        talk.say(clean["role"], content)
        return
    blocks = [block_of(block, talk.ignored) for block in content]
    results = [block for block in blocks if block["type"] == "tool_result"]
    for result in results:
        given = text_and_images(result.get("content", ""), talk.ignored)
        talk.give(result["tool_use_id"], *given)
    said, images = joined(blocks, "text"), [block["data"] for block in blocks if "data" in block]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    if said or images or calls or not results:
        thinking = joined(blocks, "thinking")
        talk.call(talk.say(clean["role"], said, thinking=thinking, images=images), calls)


def _tools(clean: Mapping[str, Any], ignored: list[str]) -> list[dict[str, Any]]:
    choice = apply(TOOL_CHOICE, clean.get("tool_choice", {}), ignored).get("type", "auto")
    if choice not in _FREE_CHOICES:
        ignored.append("tool_choice")
    functions = described_tools(clean.get("tools", ()), _CUSTOM, TOOL, ignored)
    for function in functions:
        if "input_schema" in function:
            function["parameters"] = function.pop("input_schema")
    return [] if choice == "none" else guarded_tools(functions, ignored)


def _think(clean: Mapping[str, Any], ignored: list[str]) -> bool | None:
    """Models that can think do unless told not to; others refuse to be told to.

    So Ollama's own layer asks for it, and forgets that where the model cannot.
    """
    kind = apply(THINKING, clean.get("thinking", {}), ignored).get("type")
    return False if kind == "disabled" else None


def _format(clean: Mapping[str, Any], ignored: list[str]) -> dict[str, Any] | None:
    config = apply(OUTPUT_CONFIG, clean.get("output_config", {}), ignored)
    schema: dict[str, Any] | None = apply(OUTPUT_FORMAT, config.get("format", {}), ignored).get(
        "schema"
    )
    return schema
