"""Bodies of Ollama's own `/api/chat`, `/api/generate` and `/api/show` as checked requests.

This version carries text. Fields that would change the meaning of an answer and are not carried
(tools, images, schemas) are refused by name; the others are dropped and named (SPEC 4).
"""

from collections.abc import Mapping
from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    NEUTRAL_LIST,
    NEUTRAL_TEXT,
    FieldTable,
    apply,
    read_object,
)
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

CHAT_PATH = "/api/chat"
GENERATE_PATH = "/api/generate"
MAX_MODEL_NAME = 512

MESSAGE_BYTES = 12
"""What a model's template adds to each message, for the estimate of a prompt."""

_DROPPED = frozenset({"keep_alive", "shift", "truncate", "logprobs", "top_logprobs"})

OPTIONS = FieldTable(
    taken={
        "temperature": fields.number,
        "top_k": fields.whole_in(0, 100_000),
        "top_p": fields.number,
        "min_p": fields.number,
        "typical_p": fields.number,
        "repeat_last_n": fields.whole_in(-1, 32_768),
        "repeat_penalty": fields.number,
        "presence_penalty": fields.number,
        "frequency_penalty": fields.number,
        "seed": fields.whole,
        "stop": fields.stops,
        "num_predict": fields.whole,
        "num_keep": fields.whole_in(-1, 32_768),
        "penalize_newline": fields.flag,
        "mirostat": fields.whole_in(0, 2),
        "mirostat_tau": fields.number,
        "mirostat_eta": fields.number,
        "tfs_z": fields.number,
    },
    dropped=frozenset(
        {
            "num_ctx",
            "num_batch",
            "num_gpu",
            "main_gpu",
            "use_mmap",
            "num_thread",
            "draft_num_predict",
        }
    ),
)


@fields.check("boolean, or one of `low`, `medium`, `high`")
def _think(value: Any, name: str) -> bool | str:
    if isinstance(value, bool):
        return value
    return str(fields.one_of("low", "medium", "high")(value, name))


@fields.check('`"json"`')
def _format(value: Any, name: str) -> str | None:
    if value in ("", "json"):
        return value or None
    raise InvalidRequest(f'{name} must be "json"', param=name)


MESSAGE = FieldTable(
    taken={
        "role": fields.one_of("system", "user", "assistant"),
        "content": fields.text,
        "thinking": fields.text,
    },
    refused={"images": NEUTRAL_LIST, "tool_calls": NEUTRAL_LIST},
    dropped=frozenset({"tool_name", "tool_call_id"}),
)

CHAT = FieldTable(
    taken={
        "model": fields.text,
        "messages": fields.objects,
        "stream": fields.flag,
        "options": fields.mapping,
        "think": _think,
        "format": _format,
    },
    refused={"tools": NEUTRAL_LIST, "_debug_render_only": NEUTRAL_FLAG},
    dropped=_DROPPED,
)

GENERATE = FieldTable(
    taken={
        "model": fields.text,
        "prompt": fields.text,
        "system": fields.text,
        "stream": fields.flag,
        "options": fields.mapping,
        "think": _think,
        "format": _format,
        "raw": fields.flag,
    },
    refused={
        "template": NEUTRAL_TEXT,
        "context": NEUTRAL_LIST,
        "images": NEUTRAL_LIST,
        "suffix": NEUTRAL_TEXT,
        "_debug_render_only": NEUTRAL_FLAG,
    },
    dropped=_DROPPED,
)

SHOW = FieldTable(
    taken={"model": fields.text, "name": fields.text},
    dropped=frozenset({"verbose", "system", "template", "options"}),
)


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


def parse_chat(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /api/chat`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(CHAT, read_object(raw), ignored)
    messages = [apply(MESSAGE, message, ignored) for message in clean.get("messages", [])]
    for message in messages:
        if "role" not in message:
            raise InvalidRequest("messages need a role", param="messages")
    prompt_bytes = sum(
        len(message.get(name, "").encode())
        for message in messages
        for name in ("content", "thinking")
    ) + MESSAGE_BYTES * len(messages)
    own = {"messages": messages, "options": _options(clean, max_predict, ignored)}
    return _native(CHAT_PATH, clean, own, prompt_bytes, ignored)


def parse_generate(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /api/generate`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(GENERATE, read_object(raw), ignored)
    own: dict[str, Any] = {name: clean[name] for name in ("prompt", "system") if name in clean}
    if clean.get("raw"):
        own["raw"] = True
    own["options"] = _options(clean, max_predict, ignored)
    prompt_bytes = sum(len(clean.get(name, "").encode()) for name in ("prompt", "system"))
    return _native(GENERATE_PATH, clean, own, prompt_bytes, ignored)


def parse_show(raw: bytes) -> str:
    """The model that a body of `POST /api/show` names. Raises `InvalidRequest`."""
    clean = apply(SHOW, read_object(raw), [])
    if not clean.get("model"):
        clean["model"] = clean.get("name")
    return required_model(clean)


def _options(clean: Mapping[str, Any], max_predict: int, ignored: list[str]) -> dict[str, Any]:
    options = apply(OPTIONS, clean.get("options", {}), ignored)
    capped_predict(options, max_predict, ignored)
    return options


def _native(
    path: str,
    clean: Mapping[str, Any],
    own: dict[str, Any],
    prompt_bytes: int,
    ignored: list[str],
) -> NativeRequest:
    shared = {name: clean[name] for name in ("think", "format") if clean.get(name) is not None}
    return NativeRequest(
        path=path,
        model=required_model(clean),
        body={**own, **shared},
        stream=clean.get("stream", True),
        ignored=tuple(ignored),
        prompt_bytes=prompt_bytes,
        predict_name="num_predict" if "num_predict" in clean.get("options", {}) else None,
    )
