"""Frames with more than text in them: thinking, calls of tools, and probabilities of tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from mock_ollama.gojson import go_json, go_time
from mock_ollama.speech import Part


@frozen
class FrameWriter:
    """Writes the frames of one answer, its fields in the order of Ollama's response types."""

    model: str
    is_chat: bool

    def write(
        self,
        part: Part,
        now: float,
        probabilities: Sequence[Mapping[str, Any]],
        final: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Give one frame; `final` are the fields that follow `done` in the last one.

        `now` is a Unix time in seconds.
        """
        fields: dict[str, Any] = {"model": self.model, "created_at": go_time(now)}
        fields |= self._said(part)
        fields["done"] = final is not None
        measured = dict(final or {})
        shown = {"logprobs": probabilities} if probabilities else {}
        if self.is_chat:
            reason = {"done_reason": measured.pop("done_reason")} if measured else {}
            fields |= reason | shown | measured
        else:
            fields |= measured | shown
        return go_json(fields)

    def _said(self, part: Part) -> dict[str, Any]:
        if not self.is_chat:
            said: dict[str, Any] = {"response": part.content}
            return said | ({"thinking": part.thinking} if part.thinking else {})
        message: dict[str, Any] = {"role": "assistant", "content": part.content}
        if part.thinking:
            message["thinking"] = part.thinking
        if part.calls:
            message["tool_calls"] = list(part.calls)
        return {"message": message}


@define
class Folding:
    """What Ollama joins of the frames of an answer that is not streamed."""

    content: list[str] = field(factory=list)
    thinking: list[str] = field(factory=list)
    calls: list[Mapping[str, Any]] = field(factory=list)
    probabilities: list[Mapping[str, Any]] = field(factory=list)

    def add(self, part: Part, probabilities: Sequence[Mapping[str, Any]]) -> None:
        """Take in what one frame would have said."""
        self.content.append(part.content)
        self.thinking.append(part.thinking)
        self.calls += part.calls
        self.probabilities += probabilities

    def whole(self) -> Part:
        """Give all of it as one."""
        return Part("".join(self.content), "".join(self.thinking), tuple(self.calls))
