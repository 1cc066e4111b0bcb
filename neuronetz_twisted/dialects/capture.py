"""What an answer says, heard on its way to the client, for the prompt log (SPEC 9). Pure.

Writers in front of the answer's own one, so that only the answers of keys with a prompt log pay
for it: for all others nothing stands in the way of a token.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field

from neuronetz_twisted.dialects.frames import said_in, text_of
from neuronetz_twisted.dialects.visible import tool_calls_of
from neuronetz_twisted.dialects.writers import StreamWriter, Writer
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.vocabulary import Usage

MAX_ANSWER_BYTES = 64 * 1024
"""What is kept of one answer, its thinking and its tool calls included, in bytes of UTF-8."""


@define
class Heard:
    """The first `limit` bytes of what an answer says. A tool call is kept as a line of JSON."""

    _left: int = field(default=MAX_ANSWER_BYTES, alias="limit")
    is_cut: bool = field(default=False, init=False)
    _content: list[str] = field(factory=list, init=False)
    _thinking: list[str] = field(factory=list, init=False)
    _tool_calls: list[str] = field(factory=list, init=False)

    def hear(self, content: str, thinking: str, frame: Mapping[str, Any] | None) -> None:
        """Take what one frame says; without `frame` it calls no tools."""
        # A model thinks before it speaks, and speaks before it calls.
        calls = () if frame is None else tool_calls_of(frame)
        for said, kept in (
            (thinking, self._thinking),
            (content, self._content),
            *((f"{orjson.dumps(call).decode()}\n", self._tool_calls) for call in calls),
        ):
            text = said.encode()
            if len(text) > self._left:
                self.is_cut = True
                said = text[: self._left].decode("utf-8", "ignore")  # noqa: PLW2901 - shorter
            self._left = 0 if self.is_cut else self._left - len(text)
            kept.append(said)

    def said(self) -> bytes:
        """All that was heard, as a JSON object; `cut` where there was more."""
        said: dict[str, Any] = {
            "content": "".join(self._content),
            "thinking": "".join(self._thinking),
        }
        if self._tool_calls:
            said["tool_calls"] = "".join(self._tool_calls)
        return orjson.dumps({**said, "cut": self.is_cut})


@define
class CapturingWriter:
    """A `Writer` that hears what it hands to another one."""

    _writer: Writer
    _heard: Heard

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """The other one's."""
        data = self._writer.whole(folded, usage)
        self._heard.hear(*text_of(folded), folded)
        return data


@define
class CapturingStreamWriter(StreamWriter):
    """The same of a stream."""

    _writer: StreamWriter
    _heard: Heard
    stream_type: bytes = field(init=False)

    @stream_type.default
    def _type_of_writer(self) -> bytes:
        return self._writer.stream_type

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """The other one's, once it has found nothing wrong with them."""
        data = self._writer.frames(lines)
        for line in lines:
            if self._heard.is_cut:
                break
            _, content, thinking, frame = said_in(line)
            self._heard.hear(orjson.loads(content), orjson.loads(thinking), frame)
        return data

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """The other one's."""
        data = self._writer.last(final, usage)
        self._heard.hear(*text_of(final), final)
        return data

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """The other one's; how an answer ended is in the record already."""
        return self._writer.fault(refusal, request_id)
