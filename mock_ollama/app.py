"""Ollama's routes, and the three by which a test steers the twin and reads what it saw."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Site
from werkzeug.exceptions import MethodNotAllowed

from mock_ollama.apitypes import (
    CHAT_REQUEST,
    EMBED_REQUEST,
    EMBEDDING_REQUEST,
    GENERATE_REQUEST,
    SHOW_REQUEST,
    decode_body,
)
from mock_ollama.asking import Ask, chat_ask, embed_inputs, generate_ask
from mock_ollama.catalogue import DEFAULT_MODELS, Catalogue, Model
from mock_ollama.control import field, read_object
from mock_ollama.directives import find_directive
from mock_ollama.embedding import raw_vector, unit_vector
from mock_ollama.errors import REFUSALS, answer_refusal
from mock_ollama.generation import (
    CHAT,
    GENERATE,
    Generation,
    Shape,
    Step,
    misbehaving,
)
from mock_ollama.gojson import go_json
from mock_ollama.gokinds import Struct
from mock_ollama.lookup import (
    CHAT_LOOKUP,
    EMBED_LOOKUP,
    EMBEDDINGS_LOOKUP,
    GENERATE_LOOKUP,
    SHOW_LOOKUP,
    Lookup,
    check_capable,
)
from mock_ollama.recorder import Entry, Recorder
from mock_ollama.refused import Refused
from mock_ollama.speech import count_tokens
from mock_ollama.stream import StepStream
from mock_ollama.web import Front, MockRequest, MockSite

DEFAULT_VERSION = "0.30.0"

_EMBED_NS = 1_000_000


class MockOllama:
    """The twin as one object: `site()` is what to listen with, `state` what it has seen.

    `clock` times the answers and stamps the records, so its seconds are Unix time where the
    stamps matter; `models` are the names of the installed models, `version` is what
    `/api/version` says.
    """

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        clock: IReactorTime,
        models: Sequence[str] = DEFAULT_MODELS,
        *,
        version: str = DEFAULT_VERSION,
    ) -> None:
        self.state = Recorder()
        self.version = version
        self.failure: str | int | None = None
        self.catalogue = Catalogue()
        self.catalogue.install(models)
        self._clock = clock

    def site(self) -> Site:
        """Give the factory to listen with; two of them share state."""
        front = Front(self.app.resource(), self.state, self._clock, lambda: self.failure)
        return MockSite(front, self._clock)

    @app.handle_errors(*REFUSALS)
    def refused(self, request: IRequest, failure: Failure) -> None:
        """Answer a request that was refused, by a route or by the lack of one."""
        answer_refusal(cast("MockRequest", request), failure.value)

    @app.route("/", methods=["GET"])
    def root(self, request: MockRequest) -> None:
        """Say what a person with a browser wants to know."""
        request.answer(200, b"Ollama is running", b"text/plain")

    @app.route("/api/version", methods=["GET"])
    def get_version(self, request: MockRequest) -> None:
        """Give the version that the twin claims to be."""
        request.answer(200, go_json({"version": self.version}))

    @app.route("/api/tags", methods=["GET"])
    def tags(self, request: MockRequest) -> None:
        """List the installed models."""
        request.answer(200, go_json({"models": self.catalogue.tags()}))

    @app.route("/api/ps", methods=["GET"])
    def ps(self, request: MockRequest) -> None:
        """List the loaded models; unlike its siblings, Ollama answers no HEAD here."""
        if request.method == b"HEAD":
            raise MethodNotAllowed(["GET"])
        request.answer(200, go_json({"models": self.catalogue.loaded(self._clock.seconds())}))

    @app.route("/api/show", methods=["POST"])
    def show(self, request: MockRequest) -> None:
        """Describe one model, with its template, system prompt and licence."""
        body = _decoded(request, SHOW_REQUEST)
        name = body.get("model") or body.get("name", "")
        model = SHOW_LOOKUP.find(self.catalogue, _entry(request), name)
        request.answer(200, go_json(model.show()))

    @app.route("/api/chat", methods=["POST"])
    def chat(self, request: MockRequest) -> Deferred[None] | None:
        """Answer a list of messages."""
        ask = chat_ask(_decoded(request, CHAT_REQUEST))
        model = CHAT_LOOKUP.find(self.catalogue, _entry(request), ask.model)
        check_capable(model, ask, "chat")
        return self._generate(request, ask, model, CHAT)

    @app.route("/api/generate", methods=["POST"])
    def generate(self, request: MockRequest) -> Deferred[None] | None:
        """Answer a prompt."""
        ask = generate_ask(_decoded(request, GENERATE_REQUEST))
        model = GENERATE_LOOKUP.find(self.catalogue, _entry(request), ask.model)
        check_capable(model, ask, "generate")
        return self._generate(request, ask, model, GENERATE)

    @app.route("/api/embed", methods=["POST"])
    def embed(self, request: MockRequest) -> Deferred[None]:
        """Give a vector of length one for each input."""
        body = _decoded(request, EMBED_REQUEST)
        inputs = embed_inputs(body)
        dimensions = body.get("dimensions", 0)
        name = self._embedder(request, body, EMBED_LOOKUP, 400)
        entry = _entry(request)

        def answer() -> bytes:
            entry.tokens.prompt = sum(map(count_tokens, inputs))
            vectors = [unit_vector(text, dimensions) for text in inputs]
            fields: dict[str, Any] = {"model": name, "embeddings": vectors}
            if inputs:
                fields |= {"total_duration": 2 * _EMBED_NS, "load_duration": _EMBED_NS}
                fields |= {"prompt_eval_count": entry.tokens.prompt}
            return go_json(fields)

        return self._answer_once(request, inputs, answer)

    @app.route("/api/embeddings", methods=["POST"])
    def embeddings(self, request: MockRequest) -> Deferred[None]:
        """Give the vector of one prompt the old way: not normalised, and without counts."""
        body = _decoded(request, EMBEDDING_REQUEST)
        prompt = body.get("prompt", "")
        self._embedder(request, body, EMBEDDINGS_LOOKUP, 500)
        vector = raw_vector(prompt) if prompt else []
        return self._answer_once(request, [prompt], lambda: go_json({"embedding": vector}))

    @app.route("/mock/seen", methods=["GET"])
    def seen(self, request: MockRequest) -> None:
        """Show what arrived, what was sent, and how each request ended."""
        request.answer(200, go_json(self.state.as_json()))

    @app.route("/mock/reset", methods=["POST"])
    def reset(self, request: MockRequest) -> None:
        """Forget what was seen."""
        self.state.clear()
        request.answer(200, b"{}")

    @app.route("/mock/config", methods=["POST"])
    def configure(self, request: MockRequest) -> None:
        """Change what the body names: `version`, `models`, or how everything is to `fail`."""
        body = read_object(request.body)
        version = field(body, "version", str, self.version)
        models = field(body, "models", list, []) if "models" in body else None
        if models is not None and not all(isinstance(name, str) for name in models):
            raise Refused(400, "models must be a list of names")
        failure = _failure(body) if "fail" in body else self.failure
        self.version, self.failure = version, failure
        if models is not None:
            self.catalogue.install(models)
        request.answer(200, b"{}")

    def _embedder(
        self, request: MockRequest, body: Mapping[str, Any], lookup: Lookup, status: int
    ) -> str:
        name: str = body.get("model", "")
        model = lookup.find(self.catalogue, _entry(request), name)
        if "embedding" not in model.capabilities:
            raise Refused(status, "this model does not support embeddings")
        self.catalogue.use(model, self._clock.seconds())
        return name

    def _generate(
        self, request: MockRequest, ask: Ask, model: Model, shape: Shape
    ) -> Deferred[None] | None:
        generation = Generation(
            ask=ask,
            shape=shape,
            directive=find_directive(ask.prompts),
            tokens=_entry(request).tokens,
            now=self._clock.seconds,
            thinks="thinking" in model.capabilities,
        )
        if ask.empty and ask.unload:
            self.catalogue.unload(model)
        else:
            self.catalogue.use(model, self._clock.seconds())
        if ask.empty:
            request.answer(200, generation.loaded())
            return None
        return self._send(request, generation.steps(), stream=ask.stream)

    def _answer_once(
        self, request: MockRequest, texts: Sequence[str], answer: Callable[[], bytes]
    ) -> Deferred[None]:
        frames = (make() for make in (answer,))
        steps = misbehaving(frames, find_directive(texts), stream=False)
        return self._send(request, steps, stream=False)

    def _send(self, request: MockRequest, steps: Iterator[Step], *, stream: bool) -> Deferred[None]:
        return StepStream(request, _entry(request), steps, self._clock, stream=stream).start()


def _decoded(request: MockRequest, kind: Struct) -> dict[str, Any]:
    """Decode a request's body as Ollama would, and record what was understood."""
    fields = decode_body(request.body, kind)
    _entry(request).decoded = fields
    return fields


def _entry(request: MockRequest) -> Entry:
    """Give the record of a request under `/api/`, which the front has opened."""
    if request.entry is None:
        raise RuntimeError("the request has passed no front")
    return request.entry


def _failure(body: Mapping[str, Any]) -> str | int | None:
    wanted = body["fail"]
    if wanted is None:
        return None
    if isinstance(wanted, str) and wanted in {"refuse", "hang"}:
        return wanted
    if isinstance(wanted, int) and 400 <= wanted < 600:  # noqa: PLR2004 - HTTP's error statuses
        return wanted
    raise Refused(400, "fail must be null, refuse, hang or an error status")
