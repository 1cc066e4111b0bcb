"""What completions of OpenAI's surface have in common, whatever is in them (SPEC 3, 8). Pure.

One object, or chunks of it as server-sent events: a head, one choice, and the usage behind the
last one where it was asked for.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import orjson
from attrs import define

from neuronetz_twisted.dialects.events import EVENT_END, STREAM_TYPE, cut_fields, event
from neuronetz_twisted.dialects.faults import openai_error
from neuronetz_twisted.dialects.frames import text_of
from neuronetz_twisted.dialects.visible import logprobs_of, tool_calls_of
from neuronetz_twisted.dialects.writers import StreamWriter
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.vocabulary import Usage

NULL = b"null"
_DONE = b"data: [DONE]\n\n"
_FINISH = {"length": "length"}


@define(kw_only=True)
class CompletionEvents(StreamWriter):
    """The parts of one answer.

    `id` is unique, `created` in seconds since 1970. `_BEGIN` is what the ids begin with, `_WHOLE`
    and `_CHUNK` are names of objects, `_SAID` is the field of a choice that has what was said, and
    `_NOTHING` what it holds where nothing was.
    """

    id: str
    created: int
    model: str
    include_usage: bool
    stream_type = STREAM_TYPE

    _BEGIN: ClassVar[str]
    _WHOLE: ClassVar[str]
    _CHUNK: ClassVar[str]
    _SAID: ClassVar[str]
    _NOTHING: ClassVar[bytes]

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """An event with `error` and no `[DONE]`."""
        return event(openai_error(refusal, request_id))

    def _ending(self, final: Mapping[str, Any], usage: Usage, *, called: bool = False) -> bytes:
        """The chunk with the finish reason, the usage if asked for, and `[DONE]`."""
        reason = orjson.dumps(finish_reason(final, called=called))
        chunk = self._chunk(self._NOTHING, NULL, reason)
        if cut := cut_fields(final):
            chunk = event({**orjson.loads(chunk.removeprefix(b"data: ")), **cut})
        if not self.include_usage:
            return chunk + _DONE
        counts = {**self._head(self._CHUNK), "choices": [], "usage": usage_object(usage)}
        return chunk + event(counts) + _DONE

    def _object(self, choice: Mapping[str, Any], folded: Mapping[str, Any], usage: Usage) -> bytes:
        """The answer in one piece."""
        body = {
            **self._head(self._WHOLE),
            "choices": [choice],
            "usage": usage_object(usage),
            **cut_fields(folded),
        }
        return orjson.dumps(body)

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"{self._BEGIN}-{self.id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_ollama",
        }

    @cached_property
    def _begin(self) -> bytes:
        """What each chunk begins with, up to what is said in it."""
        head = orjson.dumps(self._head(self._CHUNK)).removesuffix(b"}")
        return b'data: %b,"choices":[{"index":0,"%b":' % (head, self._SAID.encode())

    @cached_property
    def _end(self) -> bytes:
        """What each chunk ends with, behind its finish reason."""
        return (b'}],"usage":null}' if self.include_usage else b"}]}") + EVENT_END

    def _chunk(self, said: bytes, logprobs: bytes, reason: bytes = NULL) -> bytes:
        parts = (self._begin, said, b',"logprobs":', logprobs, b',"finish_reason":', reason)
        return b"".join((*parts, self._end))


def says_anything(frame: Mapping[str, Any]) -> bool:
    """Whether a final frame brings more than counts."""
    return any(text_of(frame)) or bool(tool_calls_of(frame) or logprobs_of(frame))


def finish_reason(final: Mapping[str, Any], *, called: bool = False) -> str:
    """Ollama's reason as OpenAI's; a stop in which tools were `called` is said to be for them."""
    return _FINISH.get(final.get("done_reason", ""), "tool_calls" if called else "stop")


def usage_object(usage: Usage) -> dict[str, int]:
    """The tokens of an answer."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def token_logprobs(logprobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Ollama's `Logprob`s with the fields that OpenAI's always have."""
    return [
        {
            **_token(entry),
            "top_logprobs": [_token(other) for other in entry.get("top_logprobs", ())],
        }
        for entry in logprobs
    ]


def _token(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": entry["token"], "logprob": entry["logprob"], "bytes": entry.get("bytes")}
