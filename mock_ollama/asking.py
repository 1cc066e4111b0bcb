"""What a client asks for: Ollama's requests out of the fields that Go's decoder understood."""

from collections.abc import Mapping
from math import inf
from typing import Any

from attrs import frozen

from mock_ollama.godecode import UNSET
from mock_ollama.goduration import parse_duration
from mock_ollama.options import checked_options
from mock_ollama.refused import Refused

KEEP_ALIVE_S = 300.0

_MAX_TOP_LOGPROBS = 20


@frozen(kw_only=True)
class Ask:
    """One request to generate text.

    `prompts` are the texts that count as the prompt, in order; `needs` the capabilities that the
    request needs beyond completion; `unload` says that an empty request asked to unload.
    `options` are as they were sent, `think` and `shift` are None where the request leaves them out,
    `form` is the wanted format: None, "json" or a schema; `keep_alive` is in seconds, or None.
    """

    model: str
    prompts: tuple[str, ...]
    empty: bool
    stream: bool
    num_predict: int = -1
    stop: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    unload: bool = False
    options: Mapping[str, Any] = {}
    think: bool | str | None = None
    shift: bool | None = None
    truncate: bool = True
    tools: tuple[Mapping[str, Any], ...] = ()
    form: Any = None
    top_logprobs: int | None = None
    keep_alive: float | None = None
    render_only: bool = False
    images: int = 0


def chat_ask(body: Mapping[str, Any]) -> Ask:
    """Read the fields of `/api/chat`.

    Raises Refused where Ollama would refuse them.
    """
    messages = body.get("messages", [])
    images = sum(len(message.get("images") or ()) for message in messages)
    tools = tuple(body.get("tools", ()))
    return _ask(
        body,
        prompts=tuple(message.get("content", "") for message in messages),
        empty=not messages,
        needs=("tools",) if tools else (),
        images=images,
        tools=tools,
    )


def generate_ask(body: Mapping[str, Any]) -> Ask:
    """Read the fields of `/api/generate`.

    Raises Refused where Ollama would refuse them.
    """
    prompt, suffix = body.get("prompt", ""), body.get("suffix", "")
    if body.get("raw") and any(body.get(name) for name in ("template", "system", "context")):
        raise Refused(400, "raw mode does not support template, system, or context")
    texts = (body.get("system", ""), suffix, prompt)
    return _ask(
        body,
        prompts=tuple(text for text in texts if text),
        empty=not prompt,
        needs=("insert",) if suffix else (),
        images=len(body.get("images", ())),
    )


def embed_inputs(body: Mapping[str, Any]) -> list[str]:
    """Read the `input` of `/api/embed`: a text or a list of texts.

    Raises Refused (400) if it is anything else.
    """
    given = body.get("input")
    if isinstance(given, str):
        return [given] if given else []
    inputs = [] if given is None else given
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise Refused(400, "invalid input type")
    return inputs


def keep_alive_seconds(body: Mapping[str, Any]) -> float | None:
    """Read how long a model is to stay loaded, in seconds; None leaves it to the server."""
    given = body.get("keep_alive", UNSET)
    if given is UNSET:
        return None
    seconds = parse_duration(given) if isinstance(given, str) else float(given)
    return inf if seconds < 0 else seconds


def _ask(  # noqa: PLR0913 - what the two routes have of their own
    body: Mapping[str, Any],
    *,
    prompts: tuple[str, ...],
    empty: bool,
    needs: tuple[str, ...],
    images: int,
    tools: tuple[Mapping[str, Any], ...] = (),
) -> Ask:
    top = body.get("top_logprobs", 0)
    if not 0 <= top <= _MAX_TOP_LOGPROBS:
        raise Refused(400, "top_logprobs must be between 0 and 20")
    options = checked_options(body.get("options", {}))
    keep_alive = keep_alive_seconds(body)
    think = body.get("think")
    # Ollama's own default is to think where the model can, so only an explicit wish is a need.
    thinking = ("thinking",) if think else ()
    vision = ("vision",) if images else ()
    return Ask(
        model=body.get("model", ""),
        prompts=prompts,
        empty=empty,
        stream=body.get("stream", True),
        num_predict=options.get("num_predict", -1),
        stop=tuple(text for text in options.get("stop", ()) if text),
        needs=(*thinking, *needs, *vision),
        unload=empty and keep_alive == 0,
        options=options,
        think=think,
        shift=body.get("shift"),
        truncate=body.get("truncate", True),
        tools=tools,
        form=body.get("format") or None,
        top_logprobs=top if body.get("logprobs") else None,
        keep_alive=keep_alive,
        render_only=body.get("_debug_render_only", False),
        images=images,
    )
