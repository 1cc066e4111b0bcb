"""Bodies of OpenAI's `/v1/chat/completions` as native requests.

The translation is the one of Ollama's own layer (its `openai/openai.go`), with what that layer
forgets: `max_completion_tokens`, `n` > 1 (SPEC 3).
"""

from collections.abc import Mapping
from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    NEUTRAL_LIST,
    FieldTable,
    apply,
    read_object,
)
from neuronetz_twisted.dialects.native_requests import (
    CHAT_PATH,
    MESSAGE_BYTES,
    capped_predict,
    required_model,
)
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@fields.check("string, or list of parts")
def _content(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    parts = [apply(PART, part, []) for part in fields.objects(value, name)]
    return "".join(part["text"] for part in parts if "text" in part)


@fields.check("1")
def _only_one(value: Any, name: str) -> int:
    if fields.whole(value, name) != 1:
        raise InvalidRequest(f"{name} must be 1", param=name)
    return 1


PART = FieldTable(
    taken={"type": fields.one_of("text"), "text": fields.text},
    refused={"image_url": (), "input_audio": (), "file": ()},
)

MESSAGE = FieldTable(
    taken={"role": fields.one_of(*_ROLES), "content": _content},
    refused={"tool_calls": NEUTRAL_LIST, "function_call": (), "audio": ()},
)

CHAT = FieldTable(
    taken={
        "model": fields.text,
        "messages": fields.objects,
        "stream": fields.flag,
        "stream_options": fields.mapping,
        "temperature": fields.number,
        "top_p": fields.number,
        "frequency_penalty": fields.number,
        "presence_penalty": fields.number,
        "seed": fields.whole,
        "stop": fields.stops,
        "max_tokens": fields.whole,
        "max_completion_tokens": fields.whole,
        "n": _only_one,
    },
    refused={
        "tools": NEUTRAL_LIST,
        "functions": NEUTRAL_LIST,
        "response_format": ({"type": "text"},),
        "logprobs": NEUTRAL_FLAG,
    },
)

STREAM_OPTIONS = FieldTable(taken={"include_usage": fields.flag})

_AS_OPTIONS = ("seed", "stop", "frequency_penalty", "presence_penalty")


def parse_chat_completion(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /v1/chat/completions`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(CHAT, read_object(raw), ignored)
    model = required_model(clean)
    messages = [_message(message, ignored) for message in clean.get("messages", [])]
    asked = clean.get("stream_options")
    usage = apply(STREAM_OPTIONS, asked, ignored) if asked else {}
    return NativeRequest(
        path=CHAT_PATH,
        model=model,
        body={"messages": messages, "options": _options(clean, max_predict, ignored)},
        stream=clean.get("stream", False),
        include_usage=usage.get("include_usage", False),
        ignored=tuple(ignored),
        prompt_bytes=sum(len(message["content"].encode()) + MESSAGE_BYTES for message in messages),
        predict_name=_predict_name(clean),
    )


def _message(message: Mapping[str, Any], ignored: list[str]) -> dict[str, str]:
    clean = apply(MESSAGE, message, ignored)
    if "role" not in clean:
        raise InvalidRequest("messages need a role", param="messages")
    return {"role": _ROLES[clean["role"]], "content": clean.get("content", "")}


def _options(clean: Mapping[str, Any], max_predict: int, ignored: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {name: clean[name] for name in _AS_OPTIONS if name in clean}
    # Ollama's own layer sets these two where the client does not, whatever the model's file says.
    options["temperature"] = clean.get("temperature", 1.0)
    options["top_p"] = clean.get("top_p", 1.0)
    name = _predict_name(clean)
    if name is not None:
        options["num_predict"] = clean[name]
    capped_predict(options, max_predict, ignored, name or "")
    return options


def _predict_name(clean: Mapping[str, Any]) -> str | None:
    """The field that says how long the answer may be."""
    return next((name for name in ("max_completion_tokens", "max_tokens") if name in clean), None)
