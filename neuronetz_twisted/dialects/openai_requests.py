"""Bodies of OpenAI's `/v1/chat/completions` as native requests. Pure."""

from collections.abc import Mapping
from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    NEUTRAL_LIST,
    FieldTable,
    apply,
    read_object,
    taken_as,
    unread,
)
from neuronetz_twisted.dialects.native_fields import MAX_TOP_LOGPROBS, MODEL
from neuronetz_twisted.dialects.native_requests import (
    CHAT_PATH,
    bytes_of_chat,
    images_of_chat,
    required_model,
)
from neuronetz_twisted.dialects.openai_fields import (
    EFFORT,
    EFFORTS,
    MAX_COMPLETION_TOKENS,
    SAMPLING,
    STREAM,
    STREAM_OPTIONS,
    only_one,
    options_of,
    predict_name,
    wants_usage,
)
from neuronetz_twisted.dialects.openai_messages import (
    FUNCTION,
    IMAGE_URL,
    MESSAGE,
    PART,
    TOOL_CALL,
    read_messages,
)
from neuronetz_twisted.dialects.schemas import json_schema
from neuronetz_twisted.dialects.tools import CHOSEN, TOOL, read_tools
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

_EFFORT = taken_as(fields.one_of("", *EFFORTS), EFFORT)


@fields.check("string or object", CHOSEN)
def _tool_choice(value: Any, name: str) -> str:
    if isinstance(value, dict):
        return "named"
    return str(fields.text(value, name))


JSON_SCHEMA = FieldTable(
    taken={
        "schema": taken_as(json_schema, "becomes `format`"),
        "name": unread(fields.text),
        "description": unread(fields.text),
        "strict": taken_as(fields.flag, "has no meaning here: every schema is kept to"),
    }
)

RESPONSE_FORMAT = FieldTable(
    taken={
        "type": taken_as(
            fields.one_of("text", "json_object", "json_schema"),
            '`json_object` becomes `format: "json"`, `text` no `format`',
        ),
        "json_schema": taken_as(fields.mapping_of(JSON_SCHEMA), "its `schema` becomes `format`"),
    }
)

REASONING = FieldTable(taken={"effort": _EFFORT})

CHAT = FieldTable(
    taken={
        "model": MODEL,
        "messages": taken_as(fields.objects_of(MESSAGE), "become Ollama's messages"),
        **STREAM,
        **SAMPLING,
        "max_completion_tokens": MAX_COMPLETION_TOKENS,
        "tools": fields.objects_of(TOOL),
        "tool_choice": _tool_choice,
        "response_format": taken_as(fields.mapping_of(RESPONSE_FORMAT), "becomes `format`"),
        "reasoning_effort": _EFFORT,
        "reasoning": taken_as(
            fields.mapping_of(REASONING), "its `effort` wins over `reasoning_effort`"
        ),
        "logprobs": fields.flag,
        "top_logprobs": taken_as(
            fields.whole_in(0, MAX_TOP_LOGPROBS), "passed on where `logprobs` is true"
        ),
        "n": only_one,
    },
    refused={
        "functions": NEUTRAL_LIST,
        "function_call": ("none", "auto"),
        "modalities": (["text"],),
        "_debug_render_only": NEUTRAL_FLAG,
    },
    dropped=frozenset(
        {
            "audio",
            "logit_bias",
            "metadata",
            "parallel_tool_calls",
            "prediction",
            "prompt_cache_key",
            "safety_identifier",
            "service_tier",
            "store",
            "user",
            "verbosity",
            "web_search_options",
        }
    ),
)

TABLES: tuple[tuple[str, FieldTable], ...] = (
    ("`POST /v1/chat/completions`", CHAT),
    ("`POST /v1/chat/completions`: a message", MESSAGE),
    ("`POST /v1/chat/completions`: a part of `content`", PART),
    ("`POST /v1/chat/completions`: `image_url`", IMAGE_URL),
    ("`POST /v1/chat/completions`: a tool call", TOOL_CALL),
    ("`POST /v1/chat/completions`: `function` of a tool call", FUNCTION),
    ("`POST /v1/chat/completions`: `response_format`", RESPONSE_FORMAT),
    ("`POST /v1/chat/completions`: `json_schema`", JSON_SCHEMA),
    ("`POST /v1/chat/completions`: `reasoning`", REASONING),
    ("`POST /v1/chat/completions`: `stream_options`", STREAM_OPTIONS),
)


def parse_chat_completion(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /v1/chat/completions`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(CHAT, read_object(raw), ignored)
    model = required_model(clean)
    messages = read_messages(clean.get("messages", ()), ignored)
    own = {
        "messages": messages,
        "tools": _tools(clean, ignored) or None,
        "format": _format(clean, ignored),
        "think": _think(clean, ignored),
        **_logprobs(clean, ignored),
    }
    body = {name: value for name, value in own.items() if value is not None}
    return NativeRequest(
        path=CHAT_PATH,
        model=model,
        body={**body, "options": options_of(clean, max_predict, ignored)},
        stream=clean.get("stream", False),
        include_usage=wants_usage(clean, ignored),
        ignored=tuple(ignored),
        prompt_bytes=bytes_of_chat(body),
        images=images_of_chat(messages, "image_url"),
        predict_name=predict_name(clean),
    )


def _tools(clean: Mapping[str, Any], ignored: list[str]) -> list[dict[str, Any]]:
    choice = clean.get("tool_choice", "auto")
    if choice == "none":
        return []
    if choice != "auto":
        ignored.append("tool_choice")
    return read_tools(clean.get("tools", ()), ignored)


def _format(clean: Mapping[str, Any], ignored: list[str]) -> Any:
    """Ollama's `format`, None where the answer is plain text."""
    asked = apply(RESPONSE_FORMAT, clean.get("response_format", {}), ignored)
    kind = asked.get("type", "text")
    if kind != "json_schema":
        return "json" if kind == "json_object" else None
    schema = apply(JSON_SCHEMA, asked.get("json_schema", {}), ignored).get("schema")
    if schema is None:
        raise InvalidRequest("response_format needs a schema", param="response_format")
    return schema


def _think(clean: Mapping[str, Any], ignored: list[str]) -> bool | str | None:
    """Ollama's `think`, None where that is the model's own."""
    effort = clean.get("reasoning_effort", "")
    reasoning = apply(REASONING, clean.get("reasoning", {}), ignored)
    return EFFORTS.get(reasoning.get("effort", effort))


def _logprobs(clean: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    most = clean.get("top_logprobs", 0)
    if clean.get("logprobs"):
        return {"logprobs": True, "top_logprobs": most} if most else {"logprobs": True}
    if most:
        ignored.append("top_logprobs")
    return {}
