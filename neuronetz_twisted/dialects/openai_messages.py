"""Messages of OpenAI's chat as Ollama's: roles, parts, images, tool calls. Pure.

The translation is the one of Ollama's own layer (its `openai/openai.go`), which makes a message of
each part; here a message stays one where it can.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.conversations import arguments_of
from neuronetz_twisted.dialects.fields import KIND, FieldTable, apply, taken_as, unread
from neuronetz_twisted.dialects.images import of_data_url
from neuronetz_twisted.dialects.tools import IDENTIFIER, read_tool_calls
from neuronetz_twisted.errors import InvalidRequest

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_BETWEEN_TEXTS = "\n\n"
"""What Ollama's templates put between messages of one role that follow each other."""


@fields.check("string, or list of parts", "parts become `content` and `images`")
def _content(value: Any, name: str) -> str | list[dict[str, Any]]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidRequest(f"{name} must be a string or a list of parts", param=name)
    parts: list[dict[str, Any]] = fields.objects(value, name)
    return parts


@fields.check("object with `url`, or that as a string", "an image, which must be in the URL itself")
def _image_url(value: Any, name: str) -> dict[str, Any]:
    wrapped: dict[str, Any] = {"url": value} if isinstance(value, str) else value
    return dict(fields.mapping(wrapped, name))


@fields.check("string of JSON, an object", "read as that")
def _arguments(value: Any, name: str) -> dict[str, Any]:
    return arguments_of(fields.text(value, name), name)


IMAGE_URL = FieldTable(
    taken={"url": taken_as(fields.text, "its base64 becomes one of `images`")},
    dropped=frozenset({"detail"}),
)

PART = FieldTable(
    taken={
        "type": taken_as(fields.one_of("text", "image_url"), KIND.then),
        "text": taken_as(fields.text, "joined with the others by an empty line"),
        "image_url": evolve(_image_url, inner=IMAGE_URL),
    },
    refused={"input_audio": (), "file": ()},
)

FUNCTION = FieldTable(taken={"name": IDENTIFIER, "arguments": _arguments})

TOOL_CALL = FieldTable(
    taken={
        "id": IDENTIFIER,
        "type": unread(fields.one_of("function")),
        "function": fields.mapping_of(FUNCTION),
    },
    dropped=frozenset({"index"}),
)

MESSAGE = FieldTable(
    taken={
        "role": taken_as(fields.one_of(*_ROLES), "`developer` becomes `system`"),
        "content": evolve(_content, inner=PART),
        "reasoning": taken_as(fields.text, "becomes `thinking`"),
        "tool_calls": fields.objects_of(TOOL_CALL),
        "tool_call_id": taken_as(IDENTIFIER, "passed on in a `tool` message, else dropped"),
        "name": taken_as(IDENTIFIER, "becomes `tool_name` of a `tool` message, else dropped"),
    },
    refused={"function_call": (), "audio": ()},
    dropped=frozenset({"refusal", "annotations"}),
)


def read_messages(
    messages: Iterable[Mapping[str, Any]], ignored: list[str]
) -> list[dict[str, Any]]:
    """Write messages anew, and name in `ignored` what was left out. Raises `InvalidRequest`."""
    native = [part for message in messages for part in _native(message, ignored)]
    _name_tools(native)
    return native


def _native(message: Mapping[str, Any], ignored: list[str]) -> list[dict[str, Any]]:
    clean = apply(MESSAGE, message, ignored)
    if "role" not in clean:
        raise InvalidRequest("messages need a role", param="messages")
    head = {"role": _ROLES[clean["role"]], **_tool_result(clean, ignored)}
    native = [{**head, **run.fields()} for run in _runs(clean.get("content", ""), ignored)]
    if clean.get("reasoning"):
        native[-1]["thinking"] = clean["reasoning"]
    if clean.get("tool_calls"):
        calls = [_tool_call(call, ignored) for call in clean["tool_calls"]]
        native[-1]["tool_calls"] = read_tool_calls(calls, ignored)
    return native


def _tool_result(clean: Mapping[str, Any], ignored: list[str]) -> dict[str, str]:
    """What a message of a tool says of it."""
    if clean["role"] != "tool":
        ignored.extend(name for name in ("name", "tool_call_id") if name in clean)
        return {}
    native = {"tool_name": clean.get("name"), "tool_call_id": clean.get("tool_call_id")}
    return {name: value for name, value in native.items() if value}


@frozen
class _Run:
    """Parts that one native message can have: it shows images before its text."""

    texts: list[str] = field(factory=list)
    images: list[str] = field(factory=list)

    def fields(self) -> dict[str, Any]:
        """As fields of a message."""
        content = {"content": _BETWEEN_TEXTS.join(self.texts)}
        return {**content, "images": self.images} if self.images else content


def _runs(content: str | list[dict[str, Any]], ignored: list[str]) -> list[_Run]:
    """Content as runs: one, or where there are several images one for each text before an image.

    So each image keeps its place among the words that speak of it.
    """
    if isinstance(content, str):
        return [_Run([content])]
    parts = [apply(PART, part, ignored) for part in content]
    kinds = [part.get("type") for part in parts]
    runs = [_Run()]
    for part, kind in zip(parts, kinds, strict=True):
        if kind is None or kind not in part:
            raise InvalidRequest("a part needs a type, and a field of that name", param="content")
        if kind == "text":
            runs[-1].texts.append(part["text"])
        else:
            if runs[-1].texts and kinds.count(kind) > 1:
                runs.append(_Run())
            runs[-1].images.append(_image(part["image_url"], ignored))
    return runs


def _image(image_url: Mapping[str, Any], ignored: list[str]) -> str:
    url = apply(IMAGE_URL, image_url, ignored).get("url")
    if url is None:
        raise InvalidRequest("image_url needs a url", param="image_url")
    return of_data_url(url, "image_url")


def _tool_call(call: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    """One call as Ollama has it, to be checked."""
    clean = apply(TOOL_CALL, call, ignored)
    native = {"function": apply(FUNCTION, clean.get("function", {}), ignored)}
    return {"id": clean["id"], **native} if clean.get("id") else native


def _name_tools(messages: Sequence[dict[str, Any]]) -> None:
    """Give each result the name of the tool whose call it answers; of two calls the last counts."""
    names = {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls", ())
        if "id" in call
    }
    for message in messages:
        called = names.get(message.get("tool_call_id"))
        if called is not None:
            message.setdefault("tool_name", called)
