"""Native frames of answers that say something, for the tests of what writers make of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from attrs import frozen
from hypothesis import strategies as st

from mock_ollama.gojson import go_json
from neuronetz_twisted.testing.upstream import CREATED_AT
from neuronetz_twisted.vocabulary import Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))

ODD_TEXT = '<&>\u2028\x00\x7f"\\/é😀'
"""Much of what JSON may escape, and Go does."""

DUMPS = st.sampled_from([go_json, orjson.dumps])
"""How a model host writes JSON."""


@frozen
class Spoken:
    """Frames, and what they say in all."""

    lines: Sequence[bytes]
    content: str
    thinking: str

    @classmethod
    def of(
        cls, said: Sequence[tuple[str, str]], dumps: Callable[[Any], bytes] = go_json
    ) -> "Spoken":
        """A frame for each pair of a content and a thinking."""
        return cls(
            [dumps(orjson.loads(message_frame(*pair))) for pair in said],
            "".join(content for content, _ in said),
            "".join(thinking for _, thinking in said),
        )


SPOKEN = st.builds(Spoken.of, st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), DUMPS)


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


def final(reason: str = "stop", **message: Any) -> dict[str, Any]:
    """A final frame, or the whole answer if something is said in it."""
    said = {"role": "assistant", "content": "", **message}
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
