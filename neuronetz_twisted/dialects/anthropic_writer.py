"""Native frames into the bytes that a client of Anthropic's `/v1/messages` reads (SPEC 3, 8).

An answer is a list of blocks: what the model thinks, what it says, and the tools that it calls. A
block goes on until another kind of frame comes:

    message_start (content_block_start content_block_delta* content_block_stop)*
    message_delta message_stop
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field, frozen

from neuronetz_twisted.dialects.events import (
    EVENT_END,
    cut_fields,
    plainly,
    typed_begin,
    typed_event,
)
from neuronetz_twisted.dialects.faults import anthropic_error
from neuronetz_twisted.dialects.frames import text_of
from neuronetz_twisted.dialects.part_events import PartEvents
from neuronetz_twisted.dialects.visible import tool_calls_of
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.vocabulary import Usage

_DELTA_END = b"}}" + EVENT_END


@frozen
class _Kind:
    """A kind of block that holds text; `fields` are those of one without any yet."""

    fields: Mapping[str, str]
    delta: bytes


@define(kw_only=True)
class MessageWriter(PartEvents[_Kind]):
    """Anthropic's message: one object, or its pieces as server-sent events.

    `id` is unique. `input_tokens` is the estimate that `message_start` has to give; `message_delta`
    has the true count. What all deltas of a block have in common is rendered once, and text is put
    behind it as the JSON string that it was.
    """

    id: str
    model: str
    input_tokens: int

    _THINKING = _Kind(
        {"type": "thinking", "thinking": "", "signature": ""},
        b'"type":"thinking_delta","thinking":',
    )
    _TEXT = _Kind({"type": "text", "text": ""}, b'"type":"text_delta","text":')

    _opened: bool = field(default=False, init=False)
    _blocks: int = field(default=0, init=False)
    _calls: int = field(default=0, init=False)
    _kind: _Kind | None = field(default=None, init=False)
    _delta: bytes = field(default=b"", init=False)

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """An event `error`, and no `message_stop`."""
        return typed_event(anthropic_error(refusal, request_id))

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """A `message` object."""
        content, thinking = text_of(folded)
        calls = tool_calls_of(folded)
        blocks: list[Mapping[str, Any]] = []
        if thinking:
            blocks.append({**self._THINKING.fields, "thinking": thinking})
        if content:
            blocks.append({**self._TEXT.fields, "text": content})
        blocks += [
            self._tool_use(call["function"], call["function"]["arguments"]) for call in calls
        ]
        reason = _stop_reason(folded, len(calls))
        return orjson.dumps({**self._message(blocks, reason, usage), **cut_fields(folded)})

    def _begun(self) -> list[bytes]:
        if self._opened:
            return []
        self._opened = True
        message = self._message([], None, Usage(prompt_tokens=self.input_tokens))
        return [typed_event({"type": "message_start", "message": message})]

    def _say(self, kind: _Kind, text: bytes, pieces: list[bytes]) -> None:
        if kind is not self._kind:
            self._start(kind.fields, pieces)
            self._kind = kind
            self._delta = self._delta_head() + kind.delta
        pieces += (self._delta, plainly(text), _DELTA_END)

    def _call(self, function: Mapping[str, Any], pieces: list[bytes]) -> None:
        self._start(self._tool_use(function, {}), pieces)
        arguments = orjson.dumps(orjson.dumps(function["arguments"]).decode())
        pieces += (
            self._delta_head(),
            b'"type":"input_json_delta","partial_json":',
            arguments,
            _DELTA_END,
        )
        self._stop(pieces)

    def _start(self, block: Mapping[str, Any], pieces: list[bytes]) -> None:
        self._close(pieces)
        data = {"type": "content_block_start", "index": self._blocks, "content_block": block}
        pieces.append(typed_event(data))

    def _close(self, pieces: list[bytes]) -> None:
        """End the block of text that is open, if one is."""
        if self._kind is not None:
            self._kind = None
            self._stop(pieces)

    def _stop(self, pieces: list[bytes]) -> None:
        pieces.append(typed_event({"type": "content_block_stop", "index": self._blocks}))
        self._blocks += 1

    def _end(self, final: Mapping[str, Any], usage: Usage, pieces: list[bytes]) -> None:
        self._close(pieces)
        delta = {"stop_reason": _stop_reason(final, self._calls), "stop_sequence": None}
        said = {"delta": delta, "usage": _usage(usage), **cut_fields(final)}
        pieces += (
            typed_event({"type": "message_delta", **said}),
            typed_event({"type": "message_stop"}),
        )

    def _delta_head(self) -> bytes:
        name = "content_block_delta"
        return typed_begin(name) + b'{"type":"%b","index":%d,"delta":{' % (
            name.encode(),
            self._blocks,
        )

    def _tool_use(self, function: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """A call with the arguments `given`. Its id is ours: Ollama's are not unique."""
        self._calls += 1
        return {
            "type": "tool_use",
            "id": f"toolu_{self.id}_{self._calls}",
            "name": function["name"],
            "input": given,
        }

    def _message(
        self, blocks: Sequence[Mapping[str, Any]], stop_reason: str | None, usage: Usage
    ) -> dict[str, Any]:
        return {
            "id": f"msg_{self.id}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": blocks,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": _usage(usage),
        }


def _stop_reason(final: Mapping[str, Any], calls: int) -> str:
    """Ollama does not say which stop sequence it met, so that one is an end of turn."""
    if final.get("done_reason") == "length":
        return "max_tokens"
    return "tool_use" if calls else "end_turn"


def _usage(usage: Usage) -> dict[str, int]:
    """The counts; clients add those of Anthropic's caches to them, so these are there too."""
    return {
        "input_tokens": usage.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": usage.completion_tokens,
    }
