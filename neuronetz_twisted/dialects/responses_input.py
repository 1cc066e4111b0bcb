"""The input items of OpenAI's `/v1/responses`: a conversation, in pieces. Pure.

What a model thought, said and called in one turn comes as items of their own; the turn is one
message to Ollama, behind which come what the tools gave. The order is the one of Ollama's own layer
(its `openai/responses.go`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.conversations import Conversation, arguments_of
from neuronetz_twisted.dialects.fields import KIND, FieldTable, apply, taken_as, unread
from neuronetz_twisted.dialects.images import of_data_url
from neuronetz_twisted.dialects.tools import IDENTIFIER
from neuronetz_twisted.errors import InvalidRequest

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@fields.check("string, or list of parts", "texts are joined, pictures become `images`")
def _content(value: Any, name: str) -> Any:
    return value if isinstance(value, str) else fields.objects(value, name)


# What clients give back of an answer: its ids and states say nothing to the model.
_GIVEN_BACK = {"type": KIND, "id": unread(fields.text), "status": unread(fields.text)}

_JOINED = taken_as(fields.text, "joined with the others")
_TEXT_PART = FieldTable(taken={"type": KIND, "text": _JOINED})

PARTS: Mapping[str, FieldTable] = {
    "input_text": _TEXT_PART,
    "output_text": FieldTable(
        taken={
            **_TEXT_PART.taken,
            "annotations": unread(fields.objects),
            "logprobs": unread(fields.objects),
        }
    ),
    "refusal": FieldTable(taken={"type": KIND, "refusal": _JOINED}),
    "summary_text": _TEXT_PART,
    "reasoning_text": _TEXT_PART,
    "input_image": FieldTable(
        taken={
            "type": KIND,
            "image_url": taken_as(fields.text, "its base64 becomes one of `images`"),
        },
        dropped=frozenset({"detail"}),
    ),
}

ITEMS: Mapping[str, FieldTable] = {
    "message": FieldTable(
        taken={
            **_GIVEN_BACK,
            "role": taken_as(fields.one_of(*_ROLES), "`developer` becomes `system`"),
            "content": _content,
        }
    ),
    "function_call": FieldTable(
        taken={
            **_GIVEN_BACK,
            "call_id": taken_as(IDENTIFIER, "becomes `id` of the call"),
            "name": IDENTIFIER,
            "arguments": evolve(fields.text, says="string of JSON, an object", then="read as that"),
        }
    ),
    "function_call_output": FieldTable(
        taken={
            **_GIVEN_BACK,
            "call_id": taken_as(IDENTIFIER, "becomes `tool_call_id`, and says whose result it is"),
            "output": taken_as(_content, "becomes `content` of a `tool` message, and `images`"),
        }
    ),
    "reasoning": FieldTable(
        taken={
            **_GIVEN_BACK,
            "summary": taken_as(fields.objects, "becomes `thinking` where there is no `content`"),
            "content": taken_as(fields.objects, "becomes `thinking`"),
        },
        dropped=frozenset({"encrypted_content"}),
    ),
}


TABLES: tuple[tuple[str, FieldTable], ...] = (
    *((f"`POST /v1/responses`: an item of type `{kind}`", table) for kind, table in ITEMS.items()),
    *((f"`POST /v1/responses`: a part of type `{kind}`", table) for kind, table in PARTS.items()),
)


@define
class InputReader:
    """Writes items into a conversation."""

    _talk: Conversation
    _thinking: str = field(default="", init=False)
    """What the model thought before what it says or calls next."""

    def read(self, raw: Mapping[str, Any]) -> None:
        """Take one item. Raises `InvalidRequest`."""
        kind = raw.get("type") or "message"
        if not isinstance(kind, str) or kind not in ITEMS:
            known = ", ".join(ITEMS)
            raise InvalidRequest(f"the type of an input item must be one of {known}", param="input")
        _READ[kind](self, apply(ITEMS[kind], raw, self._talk.ignored))

    def finish(self) -> None:
        """Take thoughts behind which nothing was said."""
        if self._thinking:
            self._turn()

    def message(self, item: Mapping[str, Any]) -> None:
        """Something that was said; by an assistant, it belongs to the calls that wait."""
        if "role" not in item:
            raise InvalidRequest("messages need a role", param="input")
        role = _ROLES[item["role"]]
        text, images = self._texts(item.get("content", ""))
        if role != "assistant":
            self._talk.say(role, text, images=images)
            return
        turn = self._turn(lambda last: "tool_calls" in last)
        turn["content"] += text
        if images:
            turn["images"] = images

    def function_call(self, item: Mapping[str, Any]) -> None:
        """A call, which belongs to what the assistant said just before."""
        call = {
            "id": _required(item, "call_id"),
            "name": _required(item, "name"),
            "arguments": arguments_of(item.get("arguments", ""), "arguments"),
        }
        self._talk.call(self._turn(lambda _: True), [call])

    def function_call_output(self, item: Mapping[str, Any]) -> None:
        """What a call gave."""
        self._talk.give(_required(item, "call_id"), *self._texts(item.get("output", "")))

    def reasoning(self, item: Mapping[str, Any]) -> None:
        """Thoughts, or a summary of them, which belong to what is said or called next."""
        self._thinking += self._texts(item.get("content") or item.get("summary", ()))[0]

    def _turn(
        self, goes_on: Callable[[Mapping[str, Any]], bool] = lambda _: False
    ) -> dict[str, Any]:
        """The assistant's message: the last one if it is his and goes on, else a new one."""
        last = self._talk.messages[-1] if self._talk.messages else None
        thinking, self._thinking = self._thinking, ""
        if last is None or last["role"] != "assistant" or not goes_on(last):
            return self._talk.say("assistant", "", thinking=thinking)
        if thinking:
            last["thinking"] = last.get("thinking", "") + thinking
        return last

    def _texts(self, content: Any) -> tuple[str, list[str]]:
        """The text and the images of content."""
        if isinstance(content, str):
            return content, []
        parts = [self._part(raw) for raw in content]
        text = "".join(part.get("text", part.get("refusal", "")) for part in parts)
        return text, [part["data"] for part in parts if "data" in part]

    def _part(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        kind = raw.get("type")
        if not isinstance(kind, str) or kind not in PARTS:
            raise InvalidRequest(
                f"the type of a part must be one of {', '.join(PARTS)}", param="type"
            )
        part = apply(PARTS[kind], raw, self._talk.ignored)
        if kind == "input_image":
            part["data"] = of_data_url(_required(part, "image_url"), "image_url")
        return part


def _required(item: Mapping[str, Any], name: str) -> str:
    value: str = item.get(name, "")
    if not value:
        raise InvalidRequest(f"an input item needs {name}", param=name)
    return value


_READ: Mapping[str, Callable[[InputReader, Mapping[str, Any]], None]] = {
    "message": InputReader.message,
    "function_call": InputReader.function_call,
    "function_call_output": InputReader.function_call_output,
    "reasoning": InputReader.reasoning,
}
