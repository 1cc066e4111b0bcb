"""Native frames of a chat into the bytes that a client of OpenAI's surface reads (SPEC 3, 8)."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import orjson
from attrs import define, field

from neuronetz_twisted.dialects.events import plainly
from neuronetz_twisted.dialects.frames import NO_TEXT, said_in, text_of
from neuronetz_twisted.dialects.openai_events import (
    NULL,
    CompletionEvents,
    finish_reason,
    says_anything,
    token_logprobs,
)
from neuronetz_twisted.dialects.visible import logprobs_of, tool_calls_of
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

_Calls = Sequence[Mapping[str, Any]]


@define(kw_only=True)
class ChatCompletionWriter(CompletionEvents):
    """OpenAI's chat completion: one object, or chunks as server-sent events.

    What all chunks have in common is rendered once, and text is put between as the JSON string
    that it was.
    """

    _BEGIN: ClassVar[str] = "chatcmpl"
    _WHOLE: ClassVar[str] = "chat.completion"
    _CHUNK: ClassVar[str] = "chat.completion.chunk"
    _SAID: ClassVar[str] = "delta"
    _NOTHING: ClassVar[bytes] = b"{}"

    _opened: bool = field(default=False, init=False)
    _called: int = field(default=0, init=False)

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """One chunk per frame, or two; the first one carries the role."""
        return b"".join([self._frame(line) for line in lines])

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """What the final frame says, the finish reason, the usage if asked for, and `[DONE]`."""
        said = b""
        if says_anything(final) or not self._opened:
            if "message" not in final:
                raise UpstreamNonsense("a chat's final frame without a message")
            content, thinking = text_of(final)
            said = self._deltas(orjson.dumps(content), orjson.dumps(thinking), final)
        return said + self._ending(final, usage, called=self._called > 0)

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """A `chat.completion` object."""
        content, thinking = text_of(folded)
        calls = self._numbered(tool_calls_of(folded))
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if thinking:
            message["reasoning"] = thinking
        if calls:
            message["content"] = content or None
            message["tool_calls"] = [
                {name: value for name, value in call.items() if name != "index"} for call in calls
            ]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": _logprobs(folded),
            "finish_reason": finish_reason(folded, called=bool(calls)),
        }
        return self._object(choice, folded, usage)

    def _frame(self, line: bytes) -> bytes:
        where, content, thinking, frame = said_in(line)
        if where != "message":
            raise UpstreamNonsense("a chat frame without a message")
        if frame is None and self._opened:
            # Most frames of any stream: a word of the answer, or of the thoughts before it.
            if thinking == NO_TEXT:
                return b"".join((self._word, plainly(content), self._goes_on))
            if content == NO_TEXT:
                return b"".join((self._thought, plainly(thinking), self._goes_on))
        return self._deltas(content, thinking, frame or {})

    def _deltas(self, content: bytes, thinking: bytes, frame: Mapping[str, Any]) -> bytes:
        """The chunks of what was said, in JSON strings, and of the rest of its frame.

        Clients take a delta for thinking or for an answer, so one that is both becomes two, as in
        Ollama's own layer.
        """
        calls = self._numbered(tool_calls_of(frame))
        rated = _logprobs(frame)
        logprobs = NULL if rated is None else orjson.dumps(rated)
        thought = b""
        if thinking != NO_TEXT and (content != NO_TEXT or calls):
            thought = self._delta(b'"reasoning":' + plainly(thinking), logprobs)
            thinking, logprobs = NO_TEXT, NULL
        delta = b'"content":' + plainly(content)
        if thinking != NO_TEXT:
            delta += b',"reasoning":' + plainly(thinking)
        if calls:
            delta += b',"tool_calls":' + orjson.dumps(calls)
        return thought + self._delta(delta, logprobs)

    def _delta(self, inside: bytes, logprobs: bytes) -> bytes:
        role = b"" if self._opened else b'"role":"assistant",'
        self._opened = True
        return self._chunk(b"{" + role + inside + b"}", logprobs)

    def _numbered(self, calls: _Calls) -> list[dict[str, Any]]:
        """Tool calls as OpenAI has them, each with an index and an id of its own.

        Not all of Ollama's parsers number the calls of one answer, and no older version of it gives
        them ids; a client that meets an index twice takes two calls for one.
        """
        numbered = []
        for index, call in enumerate(calls, self._called):
            function = call["function"]
            arguments = orjson.dumps(function["arguments"]).decode()
            numbered.append(
                {
                    "index": index,
                    "id": call.get("id") or f"call_{self.id}_{index}",
                    "type": "function",
                    "function": {"name": function["name"], "arguments": arguments},
                }
            )
        self._called += len(numbered)
        return numbered

    @cached_property
    def _word(self) -> bytes:
        """What the chunk of a word begins with, up to that."""
        return self._begin + b'{"content":'

    @cached_property
    def _thought(self) -> bytes:
        """The same for one of the thoughts."""
        return self._begin + b'{"content":"","reasoning":'

    @cached_property
    def _goes_on(self) -> bytes:
        """What stands behind either."""
        return b'},"logprobs":null,"finish_reason":null' + self._end


def _logprobs(frame: Mapping[str, Any]) -> dict[str, Any] | None:
    logprobs = logprobs_of(frame)
    return {"content": token_logprobs(logprobs), "refusal": None} if logprobs else None
