"""The items that an answer of OpenAI's `/v1/responses` is made of, as JSON values. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen

COMPLETED, INCOMPLETE, IN_PROGRESS = "completed", "incomplete", "in_progress"


@frozen(kw_only=True)
class TextKind:
    """An item that holds text, and the names of the events that tell of it.

    `prefix` is of its id, `own` are fields of the item beside its parts, which are under `parts`;
    `part` is one without its text, `index` the name under which parts are counted. `extra` is what
    an event has beside a text.
    """

    prefix: str
    own: Mapping[str, str]
    parts: str
    part: Mapping[str, Any]
    part_event: str
    text_event: str
    index: str
    extra: Mapping[str, Any]

    def item(self, id: str, status: str, *texts: Any) -> dict[str, Any]:  # noqa: A002 - its name
        """The item; `texts` are strings or fragments of JSON."""
        parts = [self.part_with(text) for text in texts]
        return {"id": id, **self.own, "status": status, self.parts: parts}

    def part_with(self, text: Any) -> dict[str, Any]:
        """A part with its text."""
        return {**self.part, "text": text}


MESSAGE = TextKind(
    prefix="msg",
    own={"type": "message", "role": "assistant"},
    parts="content",
    part={"type": "output_text", "annotations": [], "logprobs": []},
    part_event="response.content_part",
    text_event="response.output_text",
    index="content_index",
    extra={"logprobs": []},
)

REASONING = TextKind(
    prefix="rs",
    own={"type": "reasoning"},
    parts="summary",
    part={"type": "summary_text"},
    part_event="response.reasoning_summary_part",
    text_event="response.reasoning_summary_text",
    index="summary_index",
    extra={},
)


def function_call(id: str, index: int, function: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
    """A call of the answer `id`, its `index`-th item.

    Its ids are ours: Ollama's are not unique.
    """
    return {
        "id": f"fc_{id}_{index}",
        "type": "function_call",
        "status": COMPLETED,
        "call_id": f"call_{id}_{index}",
        "name": function["name"],
        "arguments": orjson.dumps(function["arguments"]).decode(),
    }
