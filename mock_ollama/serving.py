"""Answers a request for a model: waits for its place, then sends the steps of the answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime

from mock_ollama.asking import Ask, keep_alive_seconds
from mock_ollama.catalogue import Model
from mock_ollama.control import Settings
from mock_ollama.directives import Directive, find_directive, read_directive
from mock_ollama.generation import Generation, Shape, Step, misbehaving
from mock_ollama.options import RunnerOptions, checked_options, runner_options
from mock_ollama.recorder import Entry
from mock_ollama.refused import Refused
from mock_ollama.scheduler import Place, Scheduler
from mock_ollama.speech import count_tokens
from mock_ollama.stream import StepStream
from mock_ollama.web import MockRequest

DIRECTIVE_HEADER = b"x-mock-directive"


@frozen
class Embedding:
    """One request for vectors: its texts, and what makes the answer of their token counts."""

    texts: list[str]
    body: Mapping[str, Any]
    answer: Callable[[list[int]], bytes]


@frozen
class Serving:
    """The two kinds of answers; `settings` gives those of the moment."""

    clock: IReactorTime
    scheduler: Scheduler
    settings: Callable[[], Settings]

    async def generate(self, request: MockRequest, ask: Ask, model: Model, shape: Shape) -> None:
        """Answer a chat or a prompt.

        Raises Refused or DirectiveError where nothing is generated.
        """
        directive = self._directive(request, ask.prompts)
        generation = Generation(
            ask=ask,
            shape=shape,
            directive=directive,
            tokens=entry_of(request).tokens,
            now=self.clock.seconds,
            thinks="thinking" in model.capabilities,
        )
        if ask.unload:
            self.scheduler.residency.unload(model.name, self.clock.seconds())
            request.answer(200, generation.loaded())
            return
        vision = "vision" in model.capabilities
        options = runner_options(ask.options, shift=ask.shift, vision=vision)
        place = await self.scheduler.enter(model, options, ask.keep_alive)
        try:
            if ask.empty or ask.render_only:
                request.answer(200, generation.loaded() if ask.empty else generation.rendered())
                return
            generation.context, generation.load = options.num_ctx, place.waited
            await self._send(request, generation.steps(), stream=ask.stream)
        finally:
            place.leave()

    async def embed(self, request: MockRequest, model: Model, asked: Embedding) -> None:
        """Answer with vectors.

        Raises Refused or DirectiveError where there are none.
        """
        directive = self._directive(request, asked.texts)
        checked = checked_options(asked.body.get("options", {}))
        options = runner_options(checked, shift=None, vision=False)
        keep_alive = keep_alive_seconds(asked.body)
        place: Place = await self.scheduler.enter(model, options, keep_alive)
        try:
            counts = _embedded(asked, options)
            frames = (make(counts) for make in (asked.answer,))
            entry_of(request).tokens.prompt = sum(counts)
            steps = misbehaving(frames, directive, stream=False)
            await self._send(request, steps, stream=False)
        finally:
            place.leave()

    def _directive(self, request: MockRequest, texts: Iterable[str]) -> Directive:
        """Give what the prompt, or else the header, or else the settings ask for."""
        settings = self.settings()
        header = request.getHeader(DIRECTIVE_HEADER)
        default = settings.directive
        if header is not None:
            default = read_directive(header.decode("latin-1"))
        found = find_directive(texts, default)
        return evolve(found, wait=found.wait + settings.slow) if settings.slow else found

    async def _send(self, request: MockRequest, steps: Iterator[Step], *, stream: bool) -> None:
        sending = StepStream(request, entry_of(request), steps, self.clock, stream=stream)
        await sending.start()


def _embedded(asked: Embedding, options: RunnerOptions) -> list[int]:
    """Count the tokens of each text, as far as the context takes them."""
    counts = list(map(count_tokens, asked.texts))
    if not asked.body.get("truncate", True) and max(counts, default=0) > options.num_ctx:
        raise Refused(400, "the input length exceeds the context length")
    return [min(tokens, options.num_ctx) for tokens in counts]


def entry_of(request: MockRequest) -> Entry:
    """Give the record of a request under `/api/`, which the front has opened."""
    if request.entry is None:
        raise RuntimeError("the request has passed no front")
    return request.entry
