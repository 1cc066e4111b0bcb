"""What an answer consists of: tokens, frames, and the steps in which they are to be sent.

Pure: a plan is an iterator of steps and `stream.py` performs them. A step that is bytes is sent;
empty bytes are a token that was generated without anything to send yet (a folded answer).
"""

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import count
from typing import Any

from attrs import define, frozen

from mock_ollama.asking import Ask
from mock_ollama.directives import Directive, FaultKind, Grouping
from mock_ollama.frames import Folding, FrameWriter
from mock_ollama.gojson import go_json, go_time
from mock_ollama.options import CONTEXT_LENGTH
from mock_ollama.recorder import Tokens
from mock_ollama.refused import Refused
from mock_ollama.speech import (
    Part,
    answer_tokens,
    count_tokens,
    logprobs,
    shaped_tokens,
    thought_tokens,
    tool_calls,
    until_stop,
)

_LOAD_NS = 1_000_000
_PREFILL_NS_PER_TOKEN = 100_000
_LEAK = "llama runner process has terminated: /usr/share/ollama/blobs/sha256-6a0746a1ec1a: exit 2"


@frozen
class Pause:
    """A step: do nothing for some seconds."""

    seconds: float


@frozen
class Problem:
    """A step: answer with an error object, or end a stream that has begun with an error line."""

    status: int
    text: str


class Act(Enum):
    """The steps that have no content of their own."""

    HANG = "say nothing until the peer goes"
    RESET = "reset the connection"
    TRUNCATE = "note that the clean end which follows is a fault"


Step = bytes | Pause | Problem | Act


@frozen
class Shape:
    """How one route wraps a piece of text in a frame."""

    before: bytes
    after: bytes
    has_context: bool


CHAT = Shape(b'"message":{"role":"assistant","content":', b"}", has_context=False)
GENERATE = Shape(b'"response":', b"", has_context=True)


def misbehaving(frames: Iterator[bytes], directive: Directive, *, stream: bool) -> Iterator[Step]:
    """Give the steps of an answer: its frames with the waiting and the fault asked for.

    `stream` is False where the frames make one object, which garbage then replaces.
    """
    if directive.wait:
        yield Pause(directive.wait)
    fault = directive.fault
    for index in count():
        if fault and fault.after == index:
            yield from _FAULTS[fault.kind](fault.status)
            if fault.kind in _ENDING or (fault.kind is FaultKind.GARBAGE and not stream):
                return
        if index and directive.delay:
            yield Pause(directive.delay)
        frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _hang() -> Iterator[Step]:
    while True:
        yield Act.HANG


_FAULTS: dict[FaultKind, Callable[[int], Iterator[Step]]] = {
    FaultKind.HANG: lambda _: _hang(),
    FaultKind.RESET: lambda _: iter((Act.RESET,)),
    FaultKind.ERROR: lambda _: iter((Problem(500, _LEAK),)),
    FaultKind.STATUS: lambda status: iter((Problem(status, _LEAK),)),
    FaultKind.GARBAGE: lambda _: iter((b'{"model": this is no JSON\n',)),
    FaultKind.NOFINAL: lambda _: iter((Act.TRUNCATE,)),
    FaultKind.NOCOUNTS: lambda _: iter((Act.TRUNCATE,)),
}
_ENDING = frozenset({FaultKind.HANG, FaultKind.RESET, FaultKind.ERROR, FaultKind.STATUS})


@define(kw_only=True)
class Generation:
    """One answer of `/api/chat` or `/api/generate`, from the first token to the final counts.

    `now` gives the Unix time in seconds; `tokens` is kept up to date while steps are taken.
    `context` is the number of tokens that the runner holds, `thinks` says whether the model can
    think, and `load` is how long its loading took, in seconds.
    """

    ask: Ask
    shape: Shape
    directive: Directive
    tokens: Tokens
    now: Callable[[], float]
    context: int = CONTEXT_LENGTH
    thinks: bool = False
    load: float = 0.0

    def steps(self) -> Iterator[Step]:
        """Give the steps of the answer: a line each token, or one object if `stream` is false.

        Raises Refused where Ollama would before it generates anything.
        """
        prompt = sum(map(count_tokens, self.ask.prompts))
        if prompt > self.context and not self.ask.truncate:
            raise Refused(400, "the input length exceeds the context length")
        self.tokens.prompt = min(prompt, self.context)
        calls = tool_calls(self.ask.tools, self.directive, self.ask.prompts)
        said = self._said(calls)
        if (
            calls
            or self._thoughts
            or self.ask.form is not None
            or self.ask.top_logprobs is not None
        ):
            frames = self._rich(said, calls)
        else:
            frames = self._lines(said) if self.ask.stream else self._folded(said)
        return misbehaving(frames, self.directive, stream=self.ask.stream)

    def loaded(self) -> bytes:
        """Give the one object that answers an empty request, which only loads or unloads."""
        reason = b'true,"done_reason":"%s"}' % (b"unload" if self.ask.unload else b"load")
        return self._object("", reason)

    def rendered(self) -> bytes:
        """Give the one object that shows the prompt as the model would see it."""
        prompt = go_json("\n".join(self.ask.prompts))
        return self._object("", b'false,"_debug_info":{"rendered_template":%s}}' % prompt)

    @property
    def _complete(self) -> bool:
        fault = self.directive.fault
        return fault is None or fault.kind is not FaultKind.NOFINAL

    @property
    def _limited(self) -> bool:
        return 0 < self.ask.num_predict <= self.tokens.completion

    @property
    def _thoughts(self) -> int:
        return self.directive.thoughts if self.thinks and self.ask.think is not False else 0

    def _final(self, started: float) -> dict[str, Any]:
        """Give the fields of the final frame after `done`; `started` is a Unix time in seconds."""
        elapsed = round((self.now() - started) * 1e9)
        prefill = self.tokens.prompt * _PREFILL_NS_PER_TOKEN
        load = _LOAD_NS + round(self.load * 1e9)
        fields: dict[str, object] = {"done_reason": "length" if self._limited else "stop"}
        if self.shape.has_context:
            size = min(self.tokens.prompt + self.tokens.completion, self.context)
            fields["context"] = list(range(1, size + 1))
        fields |= {"total_duration": load + prefill + elapsed, "load_duration": load}
        fault = self.directive.fault
        if fault is None or fault.kind is not FaultKind.NOCOUNTS:
            fields |= {
                "prompt_eval_count": self.tokens.prompt,
                "prompt_eval_duration": prefill,
                "eval_count": self.tokens.completion,
                "eval_duration": elapsed,
            }
        # Go's omitempty: a count or duration of zero is absent, and so is an empty context.
        return {key: value for key, value in fields.items() if value}

    def _said(self, calls: list[dict[str, Any]]) -> Iterator[str]:
        """Give the pieces of the answer's text, generated as they are taken."""
        if calls and self.directive.tokens is None:
            return iter(())
        if self.ask.form is None:
            tokens = answer_tokens(self.ask.prompts, self.directive)
        else:
            tokens = shaped_tokens(self.ask.form)
        return until_stop(self._counted(tokens), self.ask.stop)

    def _counted(self, tokens: Iterator[str]) -> Iterator[str]:
        if self._limited:
            return
        for text in tokens:
            self.tokens.completion += 1
            yield text
            if self._limited:
                return

    def _lines(self, said: Iterator[str]) -> Iterator[bytes]:
        started = self.now()
        for text in said:
            yield self._object(text, b"false}\n")
        if self._complete:
            yield self._object("", self._ending(started) + b"\n")

    def _folded(self, said: Iterator[str]) -> Iterator[bytes]:
        started = self.now()
        texts = []
        for text in said:
            texts.append(text)
            yield b""
        yield self._object("".join(texts), self._ending(started) if self._complete else b"false}")

    def _rich(self, said: Iterator[str], calls: list[dict[str, Any]]) -> Iterator[bytes]:
        """Give frames as `_lines` or `_folded` do, with all that a frame can hold."""
        started = self.now()
        writer = FrameWriter(self.ask.model, is_chat=not self.shape.has_context)
        folding = Folding()
        at_end = self.directive.grouping is Grouping.FINAL
        for part in self._parts(said, [] if at_end else calls):
            probable = self._probabilities(part)
            folding.add(part, probable)
            yield writer.write(part, self.now(), probable) + b"\n" if self.ask.stream else b""
        last = Part(calls=tuple(self._made(calls)) if at_end and self._complete else ())
        folding.add(last, ())
        final = self._final(started) if self._complete else None
        if not self.ask.stream:
            yield writer.write(folding.whole(), self.now(), folding.probabilities, final)
        elif final is not None:
            yield writer.write(last, self.now(), (), final) + b"\n"

    def _parts(self, said: Iterator[str], calls: list[dict[str, Any]]) -> Iterator[Part]:
        for text in self._counted(thought_tokens(self._thoughts)):
            yield Part(thinking=text)
        for text in said:
            yield Part(text)
        made = self._made(calls)
        if self.directive.grouping is Grouping.APART:
            yield from (Part(calls=(call,)) for call in made)
        elif made:
            yield Part(calls=tuple(made))

    def _made(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give the calls for which the limit of the request leaves room, counting their tokens."""
        made = []
        for call in calls:
            if self._limited:
                break
            self.tokens.completion += count_tokens(go_json(call["function"]).decode())
            made.append(call)
        return made

    def _probabilities(self, part: Part) -> list[dict[str, Any]]:
        top = self.ask.top_logprobs
        return [] if top is None else logprobs(part, top)

    def _object(self, text: str, ending: bytes) -> bytes:
        return b'{"model":%s,"created_at":"%s",%s%s%s,"done":%s' % (
            go_json(self.ask.model),
            go_time(self.now()).encode(),
            self.shape.before,
            go_json(text),
            self.shape.after,
            ending,
        )

    def _ending(self, started: float) -> bytes:
        return b"true," + go_json(self._final(started))[1:]
