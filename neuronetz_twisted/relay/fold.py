"""A native stream folded into the one object that a non-streamed answer is. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from neuronetz_twisted.dialects.frames import read_frame, text_of
from neuronetz_twisted.errors import UpstreamNonsense


@define
class Fold:
    """Collects the text of one answer, at most `max_bytes` of frames."""

    max_bytes: int
    _size: int = field(default=0, init=False)
    _content: list[str] = field(factory=list, init=False)
    _thinking: list[str] = field(factory=list, init=False)

    def add(self, lines: Sequence[bytes]) -> None:
        """Take frames. Raises `UpstreamNonsense` where the answer grows over the limit."""
        for line in lines:
            self._size += len(line)
            if self._size > self.max_bytes:
                raise UpstreamNonsense("the answer is too large")
            self._take(read_frame(line))

    def finish(self, final: Mapping[str, Any]) -> dict[str, Any]:
        """The final frame with all text in it, as Ollama answers `"stream": false`."""
        self._take(final)
        content, thinking = "".join(self._content), "".join(self._thinking)
        folded = dict(final)
        if "message" in final:
            folded["message"] = {**final["message"], "content": content}
            target = folded["message"]
        else:
            folded["response"] = content
            target = folded
        if thinking:
            target["thinking"] = thinking
        return folded

    def _take(self, frame: Mapping[str, Any]) -> None:
        content, thinking = text_of(frame)
        if content:
            self._content.append(content)
        if thinking:
            self._thinking.append(thinking)
