"""How each generation route reads a body and writes an answer, and nothing else (SPEC 3)."""

from collections.abc import Callable
from functools import partial

from attrs import frozen

from neuronetz_twisted.dialects.anthropic_requests import parse_messages
from neuronetz_twisted.dialects.anthropic_writer import MessageWriter
from neuronetz_twisted.dialects.embed_requests import parse_embed, parse_embeddings
from neuronetz_twisted.dialects.native_requests import parse_chat, parse_generate
from neuronetz_twisted.dialects.openai_completions import TextCompletionWriter, parse_completion
from neuronetz_twisted.dialects.openai_embeddings import EmbeddingsWriter, parse_openai_embeddings
from neuronetz_twisted.dialects.openai_requests import parse_chat_completion
from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.dialects.responses_requests import parse_response
from neuronetz_twisted.dialects.responses_writer import ResponseWriter
from neuronetz_twisted.dialects.writers import EmbeddingWriter, EmbedWriter, NativeWriter, Writer
from neuronetz_twisted.edge.doors import Parse, Surface
from neuronetz_twisted.vocabulary import Scope, Ticket


def _completions(
    parse: Parse, kind: type[ChatCompletionWriter] | type[TextCompletionWriter]
) -> Surface:
    def writer(ticket: Ticket, now: float) -> Writer:
        return kind(
            id=ticket.call.id,
            created=int(now),
            model=_shown_name(ticket),
            include_usage=ticket.call.request.include_usage,
        )

    return Surface(dialect="openai", scope=Scope.CHAT, parse=parse, writer=writer)


def _embeddings_writer(ticket: Ticket, now: float) -> Writer:  # noqa: ARG001 - has no date
    return EmbeddingsWriter(model=_shown_name(ticket), as_base64=ticket.call.request.as_base64)


def _shown_name(ticket: Ticket) -> str:
    return str(ticket.model.listing["name"])


CHAT_COMPLETIONS = _completions(parse_chat_completion, ChatCompletionWriter)
COMPLETIONS = _completions(parse_completion, TextCompletionWriter)
EMBEDDINGS = Surface(
    dialect="openai",
    scope=Scope.EMBEDDINGS,
    parse=parse_openai_embeddings,
    writer=_embeddings_writer,
)


def _message_writer(ticket: Ticket, now: float) -> MessageWriter:  # noqa: ARG001 - has no time
    return MessageWriter(
        id=ticket.call.id,
        model=_shown_name(ticket),
        input_tokens=ticket.grant.prompt,
    )


MESSAGES = Surface(
    dialect="anthropic",
    scope=Scope.CHAT,
    parse=parse_messages,
    writer=_message_writer,
)


def _response_writer(ticket: Ticket, now: float) -> ResponseWriter:
    return ResponseWriter(
        id=ticket.call.id,
        created=int(now),
        model=_shown_name(ticket),
        echo=ticket.call.request.echo or {},
    )


RESPONSES = Surface(
    dialect="responses",
    scope=Scope.CHAT,
    parse=parse_response,
    writer=_response_writer,
)


@frozen
class NativeSurfaces:
    """Ollama's own routes; with `hide_timings` their answers show no durations (SPEC 10)."""

    chat: Surface
    generate: Surface
    embed: Surface
    embeddings: Surface

    @classmethod
    def of(cls, *, hide_timings: bool) -> "NativeSurfaces":
        """Make them."""

        def native(scope: Scope, parse: Parse, write: Callable[[], Writer]) -> Surface:
            def writer(ticket: Ticket, now: float) -> Writer:  # noqa: ARG001 - in the frames
                return write()

            return Surface(dialect="native", scope=scope, parse=parse, writer=writer)

        said = partial(NativeWriter, hide_timings)
        return cls(
            chat=native(Scope.CHAT, parse_chat, said),
            generate=native(Scope.CHAT, parse_generate, said),
            embed=native(Scope.EMBEDDINGS, parse_embed, partial(EmbedWriter, hide_timings)),
            embeddings=native(Scope.EMBEDDINGS, parse_embeddings, EmbeddingWriter),
        )
