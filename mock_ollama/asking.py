"""What a client asked for: Ollama's request bodies, checked as far as its Go decoder would."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from attrs import frozen

_T = TypeVar("_T")
_ZERO_KEEP_ALIVE = frozenset({"0", "0s", "0m", "0h"})


class Refused(Exception):  # noqa: N818 - an answer of the twin, not a failure in it
    """A request that gets an error object: `status` is the HTTP status, `text` the `error`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@frozen(kw_only=True)
class Ask:
    """One request to generate text.

    `prompts` are the texts that count as the prompt, in order; `needs` the capabilities that the
    request needs beyond completion; `unload` says that an empty request asked to unload.
    """

    model: str
    prompts: tuple[str, ...]
    empty: bool
    stream: bool
    num_predict: int
    stop: tuple[str, ...]
    needs: tuple[str, ...]
    unload: bool


def read_object(raw: bytes) -> dict[str, Any]:
    """Decode a request body.

    Raises Refused (400) if it is missing, no JSON or no object.
    """
    if not raw.strip():
        raise Refused(400, "missing request body")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"invalid character in JSON: {error.msg}") from None
    if not isinstance(body, dict):
        raise Refused(400, "json: cannot unmarshal value into Go value of type api.Request")
    return body


def field(body: Mapping[str, Any], key: str, kind: type[_T], default: _T) -> _T:
    """Give a field of a body, or the default where it is absent or null.

    Raises Refused (400) if it has another type.
    """
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise Refused(400, f"json: cannot unmarshal value into Go struct field .{key}")
    return value


def chat_ask(body: Mapping[str, Any]) -> Ask:
    """Read the body of `/api/chat`.

    Raises Refused (400) where Ollama would.
    """
    texts = []
    messages = field(body, "messages", list, [])
    for message in messages:
        if not isinstance(message, dict):
            raise Refused(400, "json: cannot unmarshal value into Go struct field .messages")
        texts.append(field(message, "content", str, ""))
    needs = ("tools",) if field(body, "tools", list, []) else ()
    return _ask(body, prompts=tuple(texts), empty=not messages, needs=needs)


def generate_ask(body: Mapping[str, Any]) -> Ask:
    """Read the body of `/api/generate`.

    Raises Refused (400) where Ollama would.
    """
    prompt = field(body, "prompt", str, "")
    suffix = field(body, "suffix", str, "")
    texts = (field(body, "system", str, ""), suffix, prompt)
    return _ask(
        body,
        prompts=tuple(text for text in texts if text),
        empty=not prompt,
        needs=("insert",) if suffix else (),
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


def _ask(
    body: Mapping[str, Any], *, prompts: tuple[str, ...], empty: bool, needs: tuple[str, ...]
) -> Ask:
    options = field(body, "options", dict, {})
    stop = options.get("stop") or []
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise Refused(400, 'option "stop" must be of an array of strings')
    num_predict = options.get("num_predict", -1)
    if isinstance(num_predict, bool) or not isinstance(num_predict, int | float):
        raise Refused(400, 'option "num_predict" must be of type integer')
    # Ollama's own default is to think where the model can, so only an explicit wish is a need.
    thinking = ("thinking",) if body.get("think") else ()
    return Ask(
        model=field(body, "model", str, ""),
        prompts=prompts,
        empty=empty,
        stream=field(body, "stream", bool, True),  # noqa: FBT003 - a default value, not a flag
        num_predict=int(num_predict),
        stop=tuple(text for text in stop if text),
        needs=(*needs, *thinking),
        unload=_is_zero(body.get("keep_alive")),
    )


def _is_zero(keep_alive: Any) -> bool:
    return keep_alive in _ZERO_KEEP_ALIVE if isinstance(keep_alive, str) else keep_alive == 0
