"""Native frames into the bytes that a client of OpenAI's surface reads (SPEC 3, 8)."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson
from attrs import define, field

from neuronetz_twisted.dialects.faults import openai_error
from neuronetz_twisted.dialects.frames import NO_TEXT, said_in, text_of
from neuronetz_twisted.errors import Refusal, UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

_FINISH = {"length": "length"}
_CUT = "gateway_cut"


@define(kw_only=True)
class ChatCompletionWriter:
    """OpenAI's chat completion: one object, or chunks as server-sent events.

    `id` is unique, `created` in seconds since 1970. What all chunks have in common is rendered
    once, and text is put between as the JSON string that it was.
    """

    id: str
    created: int
    model: str
    include_usage: bool
    stream_type = b"text/event-stream"
    _opened: bool = field(default=False, init=False)

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """One chunk per frame; the first one carries the role."""
        return b"".join([self._chunk(self._delta(*said_in(line)[:3]), b"null") for line in lines])

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """The finish reason, the usage if asked for, and `[DONE]`."""
        content, thinking = text_of(final)
        delta = b""
        if content or thinking or not self._opened:
            texts = orjson.dumps(content), orjson.dumps(thinking)
            delta = self._delta("message" if "message" in final else "", *texts)
        chunk = self._chunk(delta, b'"%b"' % _finish_reason(final).encode())
        if _CUT in final:
            chunk = _event({**orjson.loads(chunk.removeprefix(b"data: ")), _CUT: final[_CUT]})
        chunks = [chunk]
        if self.include_usage:
            chunks.append(_event({**self._head(), "choices": [], "usage": _usage(usage)}))
        return b"".join([*chunks, b"data: [DONE]\n\n"])

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """An event with `error` and no `[DONE]`."""
        return _event(openai_error(refusal, request_id))

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """A `chat.completion` object."""
        content, thinking = text_of(folded)
        message = {"role": "assistant", "content": content}
        if thinking:
            message["reasoning"] = thinking
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _finish_reason(folded),
        }
        body = self._head("chat.completion")
        body["choices"] = [choice]
        body["usage"] = _usage(usage)
        if _CUT in folded:
            body[_CUT] = folded[_CUT]
        return orjson.dumps(body)

    def _head(self, kind: str = "chat.completion.chunk") -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_ollama",
        }

    @cached_property
    def _begin(self) -> bytes:
        """What each chunk begins with, up to what is in its delta."""
        head = orjson.dumps(self._head()).removesuffix(b"}")
        return b"data: " + head + b',"choices":[{"index":0,"delta":{'

    def _delta(self, said_in: str, content: bytes, thinking: bytes) -> bytes:
        """The inside of a delta, from texts that are JSON strings already."""
        if said_in != "message":
            raise UpstreamNonsense("a chat frame without a message")
        delta = b'"content":' + _as_orjson(content)
        if thinking != NO_TEXT:
            delta += b',"reasoning":' + _as_orjson(thinking)
        if not self._opened:
            self._opened = True
            delta = b'"role":"assistant",' + delta
        return delta

    def _chunk(self, delta: bytes, reason: bytes) -> bytes:
        end = b'}],"usage":null}\n\n' if self.include_usage else b"}]}\n\n"
        return b"".join((self._begin, delta, b'},"logprobs":null,"finish_reason":', reason, end))


def _as_orjson(text: bytes) -> bytes:
    """A JSON string with no more escapes than it needs; Go has some that others find odd."""
    return orjson.dumps(orjson.loads(text)) if b"\\" in text else text


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def _finish_reason(final: Mapping[str, Any]) -> str:
    return _FINISH.get(final.get("done_reason", ""), "stop")


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
