"""Native frames of answers that say something, for the tests of what writers make of them."""

from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import strategies as st

from neuronetz_twisted.testing.upstream import CREATED_AT

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))

SPOKEN = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)
"""The content and the thinking of some frames."""


def message_frame(content: str, thinking: str = "") -> bytes:
    """A frame in the middle of a chat with both texts."""
    message = {"role": "assistant", "content": content}
    if thinking:
        message["thinking"] = thinking
    return _frame(message)


def calling(name: str, arguments: Mapping[str, Any]) -> bytes:
    """A frame with the call of a tool, as Ollama writes it."""
    function = {"index": 0, "name": name, "arguments": arguments}
    call = {"id": "call_1", "function": function}
    return _frame({"role": "assistant", "content": "", "tool_calls": [call]})


def final(reason: str = "stop", message: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A final frame, or the whole answer if it has a message."""
    said = {"role": "assistant", "content": ""} if message is None else message
    return {"model": "llama3", "message": said, "done": True, "done_reason": reason}


def events_of(data: bytes) -> list[Mapping[str, Any]]:
    """The data of each event, whose name is the one in it."""
    events = []
    for text in data.removesuffix(b"\n\n").split(b"\n\n"):
        name, _, rest = text.removeprefix(b"event: ").partition(b"\ndata: ")
        event = orjson.loads(rest)
        if event["type"] != name.decode():
            raise AssertionError(text)
        events.append(event)
    return events


def _frame(message: Mapping[str, Any]) -> bytes:
    return orjson.dumps(
        {"model": "llama3", "created_at": CREATED_AT, "message": message, "done": False}
    )
