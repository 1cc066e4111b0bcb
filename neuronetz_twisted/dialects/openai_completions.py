"""OpenAI's `/v1/completions`: its bodies as native requests, native frames as its answers.

The prompt goes to Ollama's `/api/generate`, which puts it into the model's template, as Ollama's
own layer does (its `openai/openai.go`).
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import orjson
from attrs import define, field

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.events import plainly
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    FieldTable,
    apply,
    read_object,
    taken_as,
)
from neuronetz_twisted.dialects.frames import said_in, text_of
from neuronetz_twisted.dialects.native_fields import MAX_TOP_LOGPROBS, MODEL
from neuronetz_twisted.dialects.native_requests import GENERATE_PATH, required_model
from neuronetz_twisted.dialects.openai_events import (
    NULL,
    CompletionEvents,
    finish_reason,
    says_anything,
)
from neuronetz_twisted.dialects.openai_fields import (
    SAMPLING,
    STREAM,
    STREAM_OPTIONS,
    only_one,
    options_of,
    predict_name,
    wants_usage,
)
from neuronetz_twisted.dialects.visible import logprobs_of
from neuronetz_twisted.errors import InvalidRequest, UpstreamNonsense
from neuronetz_twisted.vocabulary import NativeRequest, Usage

_PENALTIES = ("frequency_penalty", "presence_penalty")


@fields.check("string, or list of one")
def _prompt(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{name} must be a string", param=name)
    if not isinstance(value[0], str):
        raise InvalidRequest(f"{name} must be text: lists of tokens are not accepted", param=name)
    if len(value) > 1:
        raise InvalidRequest(f"{name} must be one: one request has one answer", param=name)
    return value[0]


COMPLETION = FieldTable(
    taken={
        "model": MODEL,
        "prompt": _prompt,
        "suffix": fields.text,
        **STREAM,
        **SAMPLING,
        "logprobs": taken_as(
            fields.whole_in(0, MAX_TOP_LOGPROBS), "`logprobs` with so many `top_logprobs`"
        ),
        "n": only_one,
        "best_of": only_one,
    },
    refused={"echo": NEUTRAL_FLAG, "_debug_render_only": NEUTRAL_FLAG},
    dropped=frozenset({"logit_bias", "user"}),
)

TABLES: tuple[tuple[str, FieldTable], ...] = (
    ("`POST /v1/completions`", COMPLETION),
    ("`POST /v1/completions`: `stream_options`", STREAM_OPTIONS),
)


def parse_completion(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /v1/completions`. Raises `InvalidRequest`."""
    ignored: list[str] = []
    clean = apply(COMPLETION, read_object(raw), ignored)
    prompt, suffix = clean.get("prompt", ""), clean.get("suffix", "")
    body: dict[str, Any] = {"prompt": prompt}
    if suffix:
        body["suffix"] = suffix
    if "logprobs" in clean:
        body["logprobs"] = True
        body["top_logprobs"] = clean["logprobs"]
    # Ollama's own layer sets these too where the client does not.
    neutral = dict.fromkeys(_PENALTIES, 0.0)
    body["options"] = options_of({**neutral, **clean}, max_predict, ignored)
    return NativeRequest(
        path=GENERATE_PATH,
        model=required_model(clean),
        body=body,
        stream=clean.get("stream", False),
        include_usage=wants_usage(clean, ignored),
        ignored=tuple(ignored),
        prompt_bytes=len(prompt.encode()) + len(suffix.encode()),
        predict_name=predict_name(clean),
    )


@define(kw_only=True)
class TextCompletionWriter(CompletionEvents):
    """OpenAI's text completion: one object, or chunks as server-sent events.

    It has no place for thinking: while a model thinks, chunks without text go out, by which the
    client sees that it does, as from Ollama's own layer.
    """

    _BEGIN: ClassVar[str] = "cmpl"
    _WHOLE: ClassVar[str] = "text_completion"
    _CHUNK: ClassVar[str] = "text_completion"
    _SAID: ClassVar[str] = "text"
    _NOTHING: ClassVar[bytes] = b'""'

    _offset: int = field(default=0, init=False)

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """One chunk per frame."""
        return b"".join([self._frame(line) for line in lines])

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """What the final frame says, the finish reason, the usage if asked for, and `[DONE]`."""
        said = b""
        if says_anything(final):
            if "response" not in final:
                raise UpstreamNonsense("a completion's final frame without a response")
            said = self._text(orjson.dumps(text_of(final)[0]), final)
        return said + self._ending(final, usage)

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """A `text_completion` object."""
        choice = {
            "index": 0,
            "text": text_of(folded)[0],
            "logprobs": self._logprobs(folded),
            "finish_reason": finish_reason(folded),
        }
        return self._object(choice, folded, usage)

    def _frame(self, line: bytes) -> bytes:
        where, content, _, frame = said_in(line)
        if where != "response":
            raise UpstreamNonsense("a frame of another route")
        if frame is None:
            return b"".join((self._begin, plainly(content), self._goes_on))
        return self._text(content, frame)

    def _text(self, content: bytes, frame: Mapping[str, Any]) -> bytes:
        logprobs = self._logprobs(frame)
        return self._chunk(plainly(content), NULL if logprobs is None else orjson.dumps(logprobs))

    def _logprobs(self, frame: Mapping[str, Any]) -> dict[str, Any] | None:
        """Four lists side by side, as this older route of OpenAI's has them."""
        entries = logprobs_of(frame)
        if not entries:
            return None
        offsets = []
        for entry in entries:
            offsets.append(self._offset)
            self._offset += len(entry["token"])
        return {
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [
                {other["token"]: other["logprob"] for other in entry.get("top_logprobs", ())}
                for entry in entries
            ],
            "text_offset": offsets,
        }

    @cached_property
    def _goes_on(self) -> bytes:
        """What stands behind the text of most chunks."""
        return b',"logprobs":null,"finish_reason":null' + self._end
