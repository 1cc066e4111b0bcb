"""What an answer consists of: tokens, frames, and the steps in which they are to be sent.

Pure: a plan is an iterator of steps and `stream.py` performs them. A step that is bytes is sent;
empty bytes are a token that was generated without anything to send yet (a folded answer).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import chain, count, cycle, islice

from attrs import define, frozen

from mock_ollama.asking import Ask
from mock_ollama.directives import Directive, FaultKind, without_directives
from mock_ollama.gojson import go_json, go_time
from mock_ollama.options import CONTEXT_LENGTH
from mock_ollama.recorder import Tokens

_BYTES_PER_TOKEN = 4
_ECHOED_WORDS = 8
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


def count_tokens(text: str) -> int:
    """Give the number of tokens that the twin counts for a text: one for four bytes begun."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def answer_tokens(prompts: Iterable[str], directive: Directive) -> Iterator[str]:
    """Give the text of each token the model would say, before any limit of the request."""
    if directive.size is not None:
        size = directive.size
        sized = (f"{index} ".ljust(size, "x")[:size] for index in count())
        return islice(sized, 40 if directive.tokens is None else directive.tokens)
    last = next((text for text in reversed(tuple(prompts)) if text), "")
    echo = " ".join(without_directives(last)[:400].split()[:_ECHOED_WORDS]) or "nothing at all"
    words = re.findall(
        r"\s*\S+",
        f"You said: {echo}. That is a fine thing to say on a day like this. I am only a mock, so "
        "my answer is always the same, but it arrives one word at a time.",
    )
    if directive.tokens is None:
        return iter(words)
    return islice(chain(words, cycle([f" {words[0]}", *words[1:]])), directive.tokens)


def until_stop(tokens: Iterable[str], stops: tuple[str, ...]) -> Iterator[str]:
    """Pass tokens on until a stop text appears, holding back what may be the beginning of one."""
    held = ""
    for token in tokens:
        held += token
        found = [at for at in map(held.find, stops) if at >= 0]
        if found:
            held = held[: min(found)]
            break
        if not any(_may_begin(held, stop) for stop in stops):
            yield held
            held = ""
    if held:
        yield held


def _may_begin(text: str, stop: str) -> bool:
    return any(text.endswith(stop[:length]) for length in range(1, len(stop)))


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
}
_ENDING = frozenset({FaultKind.HANG, FaultKind.RESET, FaultKind.ERROR, FaultKind.STATUS})


@define(kw_only=True)
class Generation:
    """One answer of `/api/chat` or `/api/generate`, from the first token to the final counts.

    `now` gives the Unix time in seconds; `tokens` is kept up to date while steps are taken.
    """

    ask: Ask
    shape: Shape
    directive: Directive
    tokens: Tokens
    now: Callable[[], float]

    def steps(self) -> Iterator[Step]:
        """Give the steps of the answer: a line each token, or one object if `stream` is false."""
        self.tokens.prompt = sum(map(count_tokens, self.ask.prompts))
        frames = self._lines() if self.ask.stream else self._folded()
        return misbehaving(frames, self.directive, stream=self.ask.stream)

    def loaded(self) -> bytes:
        """Give the one object that answers an empty request, which only loads or unloads."""
        reason = b'true,"done_reason":"%s"}' % (b"unload" if self.ask.unload else b"load")
        return self._object("", reason)

    def _lines(self) -> Iterator[bytes]:
        started = self.now()
        for text in self._texts():
            yield self._object(text, b"false}\n")
        if self._complete:
            yield self._object("", self._final(started) + b"\n")

    def _folded(self) -> Iterator[bytes]:
        started = self.now()
        texts = []
        for text in self._texts():
            texts.append(text)
            yield b""
        yield self._object("".join(texts), self._final(started) if self._complete else b"false}")

    @property
    def _complete(self) -> bool:
        fault = self.directive.fault
        return fault is None or fault.kind is not FaultKind.NOFINAL

    @property
    def _limited(self) -> bool:
        return 0 < self.ask.num_predict <= self.tokens.completion

    def _texts(self) -> Iterator[str]:
        return until_stop(self._generated(), self.ask.stop)

    def _generated(self) -> Iterator[str]:
        for text in answer_tokens(self.ask.prompts, self.directive):
            self.tokens.completion += 1
            yield text
            if self._limited:
                return

    def _object(self, text: str, ending: bytes) -> bytes:
        return b'{"model":%s,"created_at":"%s",%s%s%s,"done":%s' % (
            go_json(self.ask.model),
            go_time(self.now()).encode(),
            self.shape.before,
            go_json(text),
            self.shape.after,
            ending,
        )

    def _final(self, started: float) -> bytes:
        elapsed = round((self.now() - started) * 1e9)
        prefill = self.tokens.prompt * _PREFILL_NS_PER_TOKEN
        fields: dict[str, object] = {"done_reason": "length" if self._limited else "stop"}
        if self.shape.has_context:
            size = min(self.tokens.prompt + self.tokens.completion, CONTEXT_LENGTH)
            fields["context"] = list(range(1, size + 1))
        fields |= {
            "total_duration": _LOAD_NS + prefill + elapsed,
            "load_duration": _LOAD_NS,
            "prompt_eval_count": self.tokens.prompt,
            "prompt_eval_duration": prefill,
            "eval_count": self.tokens.completion,
            "eval_duration": elapsed,
        }
        # Go's omitempty: a count or duration of zero is absent, and so is an empty context.
        return b"true," + go_json({key: value for key, value in fields.items() if value})[1:]
