"""Ollama's routes, and the three by which a test steers the twin and reads what it saw."""

from collections.abc import Sequence
from typing import Any, cast

from klein import Klein
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
from mock_ollama.asking import chat_ask, embed_inputs, generate_ask
from mock_ollama.catalogue import DEFAULT_MODELS, Catalogue, Model
from mock_ollama.control import Settings, changed, model_names, read_object
from mock_ollama.embedding import raw_vector, unit_vector
from mock_ollama.errors import REFUSALS, answer_refusal
from mock_ollama.generation import CHAT, GENERATE
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
    check_embeds,
)
from mock_ollama.recorder import Recorder
from mock_ollama.residency import Residency
from mock_ollama.scheduler import Scheduler
from mock_ollama.serving import Embedding, Serving, entry_of
from mock_ollama.web import Front, MockRequest, MockSite

_EMBED_NS = 1_000_000


class MockOllama:
    """The twin as one object: `site()` is what to listen with, `state` what it has seen.

    `clock` times the answers and stamps the records, so its seconds are Unix time where the
    stamps matter; `models` are the names of the installed models, `settings` how it behaves until
    `/mock/config` says otherwise.
    """

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        clock: IReactorTime,
        models: Sequence[str] = DEFAULT_MODELS,
        settings: Settings | None = None,
    ) -> None:
        self.state = Recorder()
        self.catalogue = Catalogue()
        self.catalogue.install(models)
        self._clock = clock
        self._residency = Residency()
        self._scheduler = Scheduler(clock, self._residency)
        self._settings = Settings()
        self._serving = Serving(clock, self._scheduler, lambda: self._settings)
        self._configure(settings or Settings())

    def site(self) -> Site:
        """Give the factory to listen with; two of them share state."""
        front = Front(self.app.resource(), self.state, self._clock, lambda: self._settings.failure)
        return MockSite(front, self._clock)

    @app.handle_errors(*REFUSALS)
    def refused(self, request: IRequest, failure: Failure) -> None:
        """Answer a request that was refused, by a route or by the lack of one."""
        answer_refusal(cast("MockRequest", request), failure.value)

    @app.route("/", methods=["GET"])
    def root(self, request: MockRequest) -> None:
        """Say what a person with a browser wants to know."""
        request.answer(200, b"Ollama is running", b"text/plain; charset=utf-8")

    @app.route("/api/version", methods=["GET"])
    def get_version(self, request: MockRequest) -> None:
        """Give the version that the twin claims to be."""
        request.answer(200, go_json({"version": self._settings.version}))

    @app.route("/api/tags", methods=["GET"])
    def tags(self, request: MockRequest) -> None:
        """List the installed models."""
        request.answer(200, go_json({"models": self.catalogue.tags()}))

    @app.route("/api/ps", methods=["GET"])
    def ps(self, request: MockRequest) -> None:
        """List the loaded models; unlike its siblings, Ollama answers no HEAD here."""
        if request.method == b"HEAD":
            raise MethodNotAllowed(["GET"])
        loaded = self._residency.loaded(self._clock.seconds())
        request.answer(200, go_json({"models": self.catalogue.running(loaded)}))

    @app.route("/api/show", methods=["POST"])
    def show(self, request: MockRequest) -> None:
        """Describe one model, with its template, system prompt and licence."""
        body = _decoded(request, SHOW_REQUEST)
        name = body.get("model") or body.get("name", "")
        request.answer(200, go_json(self._model(request, name, SHOW_LOOKUP).show()))

    @app.route("/api/chat", methods=["POST"])
    async def chat(self, request: MockRequest) -> None:
        """Answer a list of messages."""
        ask = chat_ask(_decoded(request, CHAT_REQUEST))
        model = self._model(request, ask.model, CHAT_LOOKUP)
        check_capable(model, ask, "chat")
        await self._serving.generate(request, ask, model, CHAT)

    @app.route("/api/generate", methods=["POST"])
    async def generate(self, request: MockRequest) -> None:
        """Answer a prompt."""
        ask = generate_ask(_decoded(request, GENERATE_REQUEST))
        model = self._model(request, ask.model, GENERATE_LOOKUP)
        check_capable(model, ask, "generate")
        await self._serving.generate(request, ask, model, GENERATE)

    @app.route("/api/embed", methods=["POST"])
    async def embed(self, request: MockRequest) -> None:
        """Give a vector of length one for each input."""
        body = _decoded(request, EMBED_REQUEST)
        name = body.get("model", "")
        inputs = embed_inputs(body)
        model = self._model(request, name, EMBED_LOOKUP)
        check_embeds(model, 400)

        def answer(counts: list[int]) -> bytes:
            vectors = [unit_vector(text, body.get("dimensions", 0)) for text in inputs]
            fields: dict[str, Any] = {"model": name, "embeddings": vectors}
            if inputs:
                fields |= {"total_duration": 2 * _EMBED_NS, "load_duration": _EMBED_NS}
                fields |= {"prompt_eval_count": sum(counts)}
            return go_json(fields)

        await self._serving.embed(request, model, Embedding(inputs, body, answer))

    @app.route("/api/embeddings", methods=["POST"])
    async def embeddings(self, request: MockRequest) -> None:
        """Give the vector of one prompt the old way: not normalised, and without counts."""
        body = _decoded(request, EMBEDDING_REQUEST)
        prompt = body.get("prompt", "")
        model = self._model(request, body.get("model", ""), EMBEDDINGS_LOOKUP)
        check_embeds(model, 500)

        def answer(_: list[int]) -> bytes:
            return go_json({"embedding": raw_vector(prompt) if prompt else []})

        await self._serving.embed(request, model, Embedding([prompt], body, answer))

    @app.route("/mock/seen", methods=["GET"])
    def seen(self, request: MockRequest) -> None:
        """Show what arrived, what was sent, how each request ended, and what was loaded."""
        request.answer(200, go_json(self.state.as_json() | self._residency.as_json()))

    @app.route("/mock/reset", methods=["POST"])
    def reset(self, request: MockRequest) -> None:
        """Forget what was seen, and how often models were loaded; those that are stay loaded."""
        self.state.clear()
        self._residency.forget()
        request.answer(200, b"{}")

    @app.route("/mock/config", methods=["POST"])
    def configure(self, request: MockRequest) -> None:
        """Change what the body names (`control.py`)."""
        body = read_object(request.body)
        models, settings = model_names(body), changed(self._settings, body)
        self._configure(settings)
        if models is not None:
            self.catalogue.install(models)
            self._residency.clear()
        request.answer(200, b"{}")

    def _configure(self, settings: Settings) -> None:
        self._settings = settings
        self._scheduler.num_parallel = settings.num_parallel
        self._scheduler.max_queue = settings.max_queue
        self._scheduler.load_time = settings.load_time

    def _model(self, request: MockRequest, name: str, lookup: Lookup) -> Model:
        catalogue = Catalogue() if self._settings.lie else self.catalogue
        return lookup.find(catalogue, entry_of(request), name)


def _decoded(request: MockRequest, kind: Struct) -> dict[str, Any]:
    """Decode a request's body as Ollama would, and record what was understood."""
    fields = decode_body(request.body, kind)
    entry_of(request).decoded = fields
    return fields
