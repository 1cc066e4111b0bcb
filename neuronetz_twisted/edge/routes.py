"""The table of routes, and nothing else (SPEC 3).

A route is a path to the letter (edge/request.py) and a door (edge/doors.py). Whatever is not here
has been given the unknown path before Klein sees it; nothing is forwarded.
"""

from collections.abc import Awaitable

from attrs import define
from klein import Klein

from neuronetz_twisted.edge.doors import GET, GET_HEAD, POST, Doors
from neuronetz_twisted.edge.pages import Pages
from neuronetz_twisted.edge.request import UNKNOWN_PATH, GatewayRequest
from neuronetz_twisted.edge.surfaces import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    NativeSurfaces,
)
from neuronetz_twisted.vocabulary import Principal


@define(slots=False)
class Routes:
    """The Klein app of one gateway."""

    app = Klein()

    _doors: Doors
    _pages: Pages
    _native: NativeSurfaces

    @app.route("/")
    def root(self, request: GatewayRequest) -> Awaitable[None]:
        """Say that something is here, as Ollama does."""
        return self._doors.public(request, GET_HEAD, self._pages.root)

    @app.route("/healthz")
    def healthz(self, request: GatewayRequest) -> Awaitable[None]:
        """Alive while the reactor turns."""
        return self._doors.public(request, GET_HEAD, self._pages.alive)

    @app.route("/readyz")
    def readyz(self, request: GatewayRequest) -> Awaitable[None]:
        """Ready to be sent requests."""
        return self._doors.public(request, GET_HEAD, self._pages.ready)

    @app.route("/api/chat")
    def api_chat(self, request: GatewayRequest) -> Awaitable[None]:
        """Ollama's chat."""
        return self._doors.running(request, self._native.chat)

    @app.route("/api/generate")
    def api_generate(self, request: GatewayRequest) -> Awaitable[None]:
        """Ollama's completion."""
        return self._doors.running(request, self._native.generate)

    @app.route("/api/embed")
    def api_embed(self, request: GatewayRequest) -> Awaitable[None]:
        """Ollama's embeddings."""
        return self._doors.running(request, self._native.embed)

    @app.route("/api/embeddings")
    def api_embeddings(self, request: GatewayRequest) -> Awaitable[None]:
        """Ollama's older route for one of them."""
        return self._doors.running(request, self._native.embeddings)

    @app.route("/v1/chat/completions")
    def chat_completions(self, request: GatewayRequest) -> Awaitable[None]:
        """OpenAI's chat."""
        return self._doors.running(request, CHAT_COMPLETIONS)

    @app.route("/v1/completions")
    def completions(self, request: GatewayRequest) -> Awaitable[None]:
        """OpenAI's completion of a text."""
        return self._doors.running(request, COMPLETIONS)

    @app.route("/v1/embeddings")
    def embeddings(self, request: GatewayRequest) -> Awaitable[None]:
        """OpenAI's embeddings."""
        return self._doors.running(request, EMBEDDINGS)

    @app.route("/v1/messages")
    def messages(self, request: GatewayRequest) -> Awaitable[None]:
        """Anthropic's chat."""
        return self._doors.running(request, MESSAGES)

    @app.route("/v1/responses")
    def responses(self, request: GatewayRequest) -> Awaitable[None]:
        """OpenAI's newer chat, of which nothing is kept."""
        return self._doors.running(request, RESPONSES)

    @app.route("/api/tags")
    def api_tags(self, request: GatewayRequest) -> Awaitable[None]:
        """The models that the caller may use."""
        return self._doors.reading(request, GET_HEAD, self._pages.tags)

    @app.route("/api/show")
    def api_show(self, request: GatewayRequest) -> Awaitable[None]:
        """Details of one of them."""
        return self._doors.reading(request, POST, self._pages.show)

    @app.route("/api/version")
    def api_version(self, request: GatewayRequest) -> Awaitable[None]:
        """The level of Ollama's API that is spoken."""
        return self._doors.reading(request, GET_HEAD, self._pages.version)

    @app.route("/v1/models")
    def models(self, request: GatewayRequest) -> Awaitable[None]:
        """The models in OpenAI's form."""
        return self._doors.reading(request, GET, self._pages.openai_models)

    @app.route("/v1/models/<path:name>")
    def model(self, request: GatewayRequest, name: str) -> Awaitable[None]:
        """One of them; its id may hold slashes."""

        def view(principal: Principal, _: bytes) -> bytes:
            return self._pages.openai_model(principal, name)

        return self._doors.reading(request, GET, view)

    @app.route("/gateway/limits")
    def gateway_limits(self, request: GatewayRequest) -> Awaitable[None]:
        """What the caller may use, and what is left of it."""
        return self._doors.asking(request, GET, self._pages.limits)

    @app.route("/gateway/usage")
    def gateway_usage(self, request: GatewayRequest) -> Awaitable[None]:
        """What the caller has used."""
        return self._doors.asking(request, GET, self._pages.usage)

    @app.route(UNKNOWN_PATH.decode())
    def unknown(self, request: GatewayRequest) -> Awaitable[None]:
        """Everything else."""
        return self._doors.unknown(request)
