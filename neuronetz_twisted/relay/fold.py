"""A native stream folded into the one object that a non-streamed answer is. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field

from neuronetz_twisted.dialects.frames import NO_TEXT, said_in, text_of
from neuronetz_twisted.dialects.vectors import VECTORS
from neuronetz_twisted.dialects.visible import in_order, logprobs_of, tool_calls_of
from neuronetz_twisted.errors import UpstreamNonsense


@define
class Fold:
    """Collects the text of one answer, at most `max_bytes` of frames.

    Text is kept as the inside of JSON strings, which can be put one behind the other, and is read
    once at the end.
    """

    max_bytes: int
    _size: int = field(default=0, init=False)
    _content: list[bytes] = field(factory=list, init=False)
    _thinking: list[bytes] = field(factory=list, init=False)
    _tool_calls: list[Mapping[str, Any]] = field(factory=list, init=False)
    _logprobs: list[Mapping[str, Any]] = field(factory=list, init=False)

    def add(self, lines: Sequence[bytes]) -> None:
        """Take frames. Raises `UpstreamNonsense` where the answer grows over the limit."""
        for line in lines:
            self._size += len(line)
            if self._size > self.max_bytes:
                raise UpstreamNonsense("the answer is too large")
            _, content, thinking, frame = said_in(line)
            self._content.append(content[1:-1])
            if thinking != NO_TEXT:
                self._thinking.append(thinking[1:-1])
            if frame is not None:
                self._tool_calls.extend(tool_calls_of(frame))
                self._logprobs.extend(logprobs_of(frame))

    def finish(self, final: Mapping[str, Any]) -> dict[str, Any]:
        """The final frame with all that was said in it, as Ollama answers `"stream": false`."""
        folded = dict(final)
        if VECTORS in final:
            return folded
        last_content, last_thinking = text_of(final)
        content = _joined(self._content) + last_content
        thinking = _joined(self._thinking) + last_thinking if self._thinking else last_thinking
        target = folded
        if "message" in final:
            target = folded["message"] = {**final["message"], "content": content}
        else:
            folded["response"] = content
        if thinking:
            target["thinking"] = thinking
        if calls := [*self._tool_calls, *tool_calls_of(final)]:
            target["tool_calls"] = calls
        if logprobs := [*self._logprobs, *logprobs_of(final)]:
            folded["logprobs"] = logprobs
        return in_order(folded)


def _joined(insides: Sequence[bytes]) -> str:
    text: str = orjson.loads(b'"%b"' % b"".join(insides))
    return text
