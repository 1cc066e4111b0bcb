"""Bodies of Ollama's own `/api/chat`, `/api/generate` and `/api/show` as checked requests (SPEC 4).

What each field may hold is in dialects/native_fields.py; here is what they make together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from neuronetz_twisted.dialects.fields import apply, read_object
from neuronetz_twisted.dialects.images import check_images
from neuronetz_twisted.dialects.native_fields import CHAT, GENERATE, MESSAGE, OPTIONS, SHOW
from neuronetz_twisted.dialects.tools import read_tool_calls, read_tools
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

CHAT_PATH = "/api/chat"
GENERATE_PATH = "/api/generate"
MAX_MODEL_NAME = 512

MESSAGE_BYTES = 12
"""What a model's template adds to each message, for the estimate of a prompt."""

_AS_THEY_ARE = ("think", "format", "truncate", "logprobs", "top_logprobs")
_TEXTS = ("content", "thinking", "tool_name")
_PROMPT = ("prompt", "system", "suffix")
_OF_GENERATE = (*_PROMPT, "images", "raw")


def required_model(clean: Mapping[str, Any]) -> str:
    """The model that a request names, as the client wrote it."""
    name = clean.get("model")
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequest("model is required", param="model")
    if len(name) > MAX_MODEL_NAME:
        raise InvalidRequest(f"model is longer than {MAX_MODEL_NAME} characters", param="model")
    return name


def capped_predict(
    options: dict[str, Any], cap: int, ignored: list[str], name: str = "num_predict"
) -> None:
    """Set `num_predict` to a number of tokens from 1 to `cap`; name it where that lowers it.

    To Ollama's runner everything below 1 means "without end".
    """
    wanted = options.get("num_predict")
    if wanted is None or not 1 <= wanted <= cap:
        options["num_predict"] = cap
        if wanted is not None:
            ignored.append(name)


def bytes_of_chat(body: Mapping[str, Any]) -> int:
    """The UTF-8 length of all text in a native chat, for the estimate of its prompt (SPEC 7).

    Tools, calls of them and a format count as the JSON that a model reads. Without messages a model
    is loaded and reads nothing.
    """
    if not body["messages"]:
        return 0
    return sum(map(_bytes_of_message, body["messages"])) + sum(
        _bytes_of_json(body[name]) for name in ("tools", "format") if name in body
    )


def images_of_chat(messages: Sequence[Mapping[str, Any]], name: str = "images") -> int:
    """The number of images in native messages, once all have been looked at.

    `name` is the client's own for them. Raises `InvalidRequest` (dialects/images.py).
    """
    encoded = [image for message in messages for image in message.get("images", ())]
    return check_images(encoded, name)


def parse_chat(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /api/chat`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(CHAT, read_object(raw), ignored)
    messages = [_message(message, ignored) for message in clean.get("messages", ())]
    body: dict[str, Any] = {"messages": messages}
    if tools := read_tools(clean.get("tools", ()), ignored):
        body["tools"] = tools
    body |= _asked(clean, max_predict, ignored)
    return NativeRequest(
        path=CHAT_PATH,
        model=required_model(clean),
        body=body,
        stream=clean.get("stream", True),
        ignored=tuple(ignored),
        prompt_bytes=bytes_of_chat(body),
        images=images_of_chat(messages),
        predict_name=_predict_name(clean),
    )


def parse_generate(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /api/generate`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(GENERATE, read_object(raw), ignored)
    body: dict[str, Any] = {name: clean[name] for name in _OF_GENERATE if clean.get(name)}
    body |= _asked(clean, max_predict, ignored)
    return NativeRequest(
        path=GENERATE_PATH,
        model=required_model(clean),
        body=body,
        stream=clean.get("stream", True),
        ignored=tuple(ignored),
        prompt_bytes=_bytes_of_generate(body),
        images=check_images(body.get("images", ())),
        predict_name=_predict_name(clean),
    )


def parse_show(raw: bytes) -> str:
    """The model that a body of `POST /api/show` names. Raises `InvalidRequest`."""
    clean = apply(SHOW, read_object(raw), [])
    if not clean.get("model"):
        clean["model"] = clean.get("name")
    return required_model(clean)


def _message(message: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    clean = apply(MESSAGE, message, ignored)
    if "role" not in clean:
        raise InvalidRequest("messages need a role", param="messages")
    if "tool_calls" in clean:
        clean["tool_calls"] = read_tool_calls(clean["tool_calls"], ignored)
    return {name: value for name, value in clean.items() if value != []}


def _bytes_of_message(message: Mapping[str, Any]) -> int:
    return (
        MESSAGE_BYTES
        + sum(len(message.get(name, "").encode()) for name in _TEXTS)
        + _bytes_of_json(message.get("tool_calls", ""))
    )


def _bytes_of_generate(body: Mapping[str, Any]) -> int:
    if "prompt" not in body:
        return 0
    return sum(len(body.get(name, "").encode()) for name in _PROMPT) + _bytes_of_json(
        body.get("format", "")
    )


def _bytes_of_json(value: Any) -> int:
    """The length of tools, calls or a schema as JSON; of nothing, or of "json", none."""
    return 0 if isinstance(value, str) else len(orjson.dumps(value))


def _asked(clean: Mapping[str, Any], max_predict: int, ignored: list[str]) -> dict[str, Any]:
    """What both routes have besides their prompt."""
    options = apply(OPTIONS, clean.get("options", {}), ignored)
    capped_predict(options, max_predict, ignored)
    asked: dict[str, Any] = {"options": options}
    return asked | {name: clean[name] for name in _AS_THEY_ARE if clean.get(name) is not None}


def _predict_name(clean: Mapping[str, Any]) -> str | None:
    return "num_predict" if "num_predict" in clean.get("options", {}) else None
