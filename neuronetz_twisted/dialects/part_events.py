"""An answer as a list of parts, told by events that name their types (SPEC 3, 8). Pure.

What Anthropic's messages and OpenAI's responses have in common. A part is what the model thinks,
what it says, or a tool that it calls; one of text goes on until another kind of frame comes.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

from neuronetz_twisted.dialects.events import STREAM_TYPE
from neuronetz_twisted.dialects.frames import NO_TEXT, said_in, text_of
from neuronetz_twisted.dialects.visible import tool_calls_of
from neuronetz_twisted.dialects.writers import StreamWriter
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

Kind = TypeVar("Kind")
"""What a dialect knows of a kind of parts that hold text."""


class PartEvents(StreamWriter, Generic[Kind]):
    """Takes frames apart; the dialect says how a part begins, goes on and ends.

    What is rendered goes behind `pieces`, and texts are JSON strings, which nobody has parsed.
    """

    __slots__ = ()

    stream_type = STREAM_TYPE
    _THINKING: Kind
    _TEXT: Kind

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """A delta for each text; the first ones open the answer."""
        pieces = self._begun()
        for line in lines:
            where, content, thinking, frame = said_in(line)
            self._take(where, content, thinking, frame, pieces)
        return b"".join(pieces)

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """What the final frame says, the end of the last part, and the end of the answer."""
        pieces = self._begun()
        content, thinking = map(orjson.dumps, text_of(final))
        self._take("message" if "message" in final else "", content, thinking, final, pieces)
        self._end(final, usage, pieces)
        return b"".join(pieces)

    def _take(
        self,
        where: str,
        content: bytes,
        thinking: bytes,
        frame: Mapping[str, Any] | None,
        pieces: list[bytes],
    ) -> None:
        """Render what one frame says."""
        if where != "message":
            raise UpstreamNonsense("a chat frame without a message")
        if thinking != NO_TEXT:
            self._say(self._THINKING, thinking, pieces)
        if content != NO_TEXT:
            self._say(self._TEXT, content, pieces)
        if frame is not None:
            for call in tool_calls_of(frame):
                self._call(call["function"], pieces)

    @abstractmethod
    def _begun(self) -> list[bytes]:
        """The pieces of a part of the answer, the first of which open it."""

    @abstractmethod
    def _say(self, kind: Kind, text: bytes, pieces: list[bytes]) -> None:
        """Add a text to the part that is open, if it is of this kind, else to a new one."""

    @abstractmethod
    def _call(self, function: Mapping[str, Any], pieces: list[bytes]) -> None:
        """A part of its own for a call, whose arguments come in one piece as Ollama's do."""

    @abstractmethod
    def _end(self, final: Mapping[str, Any], usage: Usage, pieces: list[bytes]) -> None:
        """End the part of text that is open, if one is, and the answer."""
