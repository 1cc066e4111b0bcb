"""Native frames into the bytes that a client of OpenAI's `/v1/responses` reads (SPEC 3, 8).

An answer is a list of items (responses_items.py): what the model thinks, what it says, and the
functions that it calls. An item goes on until another kind of frame comes. The events that end an
item repeat what it said, and the one that ends the answer repeats all of it, so what was said is
kept, within a limit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field

from neuronetz_twisted.dialects.events import (
    EVENT_END,
    cut_fields,
    plainly,
    typed_begin,
    typed_event,
)
from neuronetz_twisted.dialects.faults import openai_error
from neuronetz_twisted.dialects.frames import text_of
from neuronetz_twisted.dialects.part_events import PartEvents
from neuronetz_twisted.dialects.responses_items import (
    COMPLETED,
    IN_PROGRESS,
    INCOMPLETE,
    MESSAGE,
    REASONING,
    TextKind,
    function_call,
)
from neuronetz_twisted.dialects.visible import tool_calls_of
from neuronetz_twisted.errors import Refusal, UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

MAX_SAID_BYTES = 4 * 1024 * 1024
"""What a streamed answer may say in all, in bytes of JSON: so much of it is kept."""


@define(kw_only=True)
class ResponseWriter(PartEvents[TextKind]):
    """OpenAI's response: one object, or its pieces as server-sent events.

    `id` is unique, `created` in seconds since 1970, `echo` what the answer repeats of its request.
    What all deltas of an item have in common is rendered once, and text is put between as the JSON
    string that it was.
    """

    id: str
    created: int
    model: str
    echo: Mapping[str, Any]

    _THINKING = REASONING
    _TEXT = MESSAGE

    _sequence: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)
    _items: list[Any] = field(factory=list, init=False)
    _kind: TextKind | None = field(default=None, init=False)
    _said: bytearray = field(factory=bytearray, init=False)
    _delta: bytes = field(default=b"", init=False)
    _delta_end: bytes = field(default=b"", init=False)

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """An event `error`, and no response that is complete.

        OpenAI documents its fields beside `type`; its client for Python raises on those in `error`.
        """
        error = openai_error(refusal, request_id)["error"]
        documented = {name: error[name] for name in ("code", "message", "param")}
        return self._event("error", **documented, error=error)

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """A `response` object."""
        content, thinking = text_of(folded)
        items: list[dict[str, Any]] = []
        for kind, text in ((REASONING, thinking), (MESSAGE, content)):
            if text:
                items.append(kind.item(f"{kind.prefix}_{self.id}_{len(items)}", COMPLETED, text))
        calls = tool_calls_of(folded)
        if items and not calls:
            items[-1]["status"] = _status(folded)
        for call in calls:
            items.append(function_call(self.id, len(items), call["function"]))
        return orjson.dumps(self._ended(folded, items, usage))

    def _begun(self) -> list[bytes]:
        if self._sequence:
            return []
        response = self._response(IN_PROGRESS, [])
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def _say(self, kind: TextKind, text: bytes, pieces: list[bytes]) -> None:
        if kind is not self._kind:
            self._close(pieces, COMPLETED)
            self._start(kind, pieces)
        text = plainly(text)
        self._keep(len(text))
        self._said += text[1:-1]
        pieces += (self._delta, text, self._delta_end % self._sequence)
        self._sequence += 1

    def _start(self, kind: TextKind, pieces: list[bytes]) -> None:
        """Open an item with one part, which has no text yet."""
        self._kind = kind
        place = self._place(kind)
        item = kind.item(place["item_id"], IN_PROGRESS)
        pieces += (
            self._event("response.output_item.added", output_index=len(self._items), item=item),
            self._event(f"{kind.part_event}.added", **place, part=kind.part_with("")),
        )
        name = f"{kind.text_event}.delta"
        head = orjson.dumps({"type": name, **place}).removesuffix(b"}")
        self._delta = typed_begin(name) + head + b',"delta":'
        tail = orjson.dumps({**kind.extra, "sequence_number": 0}).removesuffix(b"0}")
        self._delta_end = b"," + tail.removeprefix(b"{") + b"%d}" + EVENT_END

    def _close(self, pieces: list[bytes], status: str) -> None:
        """End the item of text that is open, if one is."""
        kind = self._kind
        if kind is None:
            return
        self._kind = None
        text = orjson.Fragment(b'"%b"' % bytes(self._said))
        self._said = bytearray()
        place = self._place(kind)
        pieces += (
            self._event(f"{kind.text_event}.done", **place, text=text, **kind.extra),
            self._event(f"{kind.part_event}.done", **place, part=kind.part_with(text)),
        )
        self._done(kind.item(place["item_id"], status, text), pieces)

    def _call(self, function: Mapping[str, Any], pieces: list[bytes]) -> None:
        self._close(pieces, COMPLETED)
        index = len(self._items)
        item = function_call(self.id, index, function)
        arguments, place = item["arguments"], {"item_id": item["id"], "output_index": index}
        self._keep(len(item["name"]) + len(arguments))
        begun = {**item, "status": IN_PROGRESS, "arguments": ""}
        name = "response.function_call_arguments"
        pieces += (
            self._event("response.output_item.added", output_index=index, item=begun),
            self._event(f"{name}.delta", **place, delta=arguments),
            self._event(f"{name}.done", **place, name=item["name"], arguments=arguments),
        )
        self._done(item, pieces)

    def _end(self, final: Mapping[str, Any], usage: Usage, pieces: list[bytes]) -> None:
        """The last event has the whole response: complete, or cut for its length."""
        status = _status(final)
        self._close(pieces, status)
        response = self._ended(final, self._items, usage)
        pieces.append(self._event(f"response.{status}", response=response))

    def _done(self, item: Mapping[str, Any], pieces: list[bytes]) -> None:
        index = len(self._items)
        self._items.append(orjson.Fragment(orjson.dumps(item)))
        pieces.append(
            self._event("response.output_item.done", output_index=index, item=self._items[-1])
        )

    def _keep(self, size: int) -> None:
        self._size += size
        if self._size > MAX_SAID_BYTES:
            raise UpstreamNonsense("the answer is too large")

    def _place(self, kind: TextKind) -> dict[str, Any]:
        """Where the text of the item that comes next, or is open, belongs."""
        index = len(self._items)
        return {"item_id": f"{kind.prefix}_{self.id}_{index}", "output_index": index, kind.index: 0}

    def _event(self, name: str, /, **data: Any) -> bytes:
        rendered = typed_event({"type": name, **data, "sequence_number": self._sequence})
        self._sequence += 1
        return rendered

    def _ended(
        self, final: Mapping[str, Any], items: Sequence[Any], usage: Usage
    ) -> dict[str, Any]:
        """The response as it is behind a final frame."""
        response = self._response(_status(final), items)
        if response["status"] == INCOMPLETE:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        response["usage"] = _usage(usage)
        response.update(cut_fields(final))
        return response

    def _response(self, status: str, items: Sequence[Any]) -> dict[str, Any]:
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": items,
            "previous_response_id": None,
            "background": False,
            "store": False,
            "parallel_tool_calls": True,
            "truncation": "disabled",
            "metadata": {},
            "usage": None,
            **self.echo,
        }


def _status(final: Mapping[str, Any]) -> str:
    return INCOMPLETE if final.get("done_reason") == "length" else COMPLETED


def _usage(usage: Usage) -> dict[str, Any]:
    """The counts; Ollama does not say which were of a cache, or of thinking."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
