"""What an entry of the corpus is: one request body, and all that must come of it.

Bodies are written as text, not made by an encoder: repeated keys, odd numbers and broken bytes are
what the corpus is about. The short words below make a line of a corpus module one case.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"
EMBEDDINGS = "/api/embeddings"
SHOW = "/api/show"
COMPLETIONS = "/v1/completions"
CHAT_COMPLETIONS = "/v1/chat/completions"
V1_EMBEDDINGS = "/v1/embeddings"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"

TALKER = "llama3.2"
THINKER = "qwen3:8b"
EMBEDDER = "nomic-embed-text"
SEER = "llava:7b"
CODER = "qwen2.5-coder:7b"

HELLO = '{"role":"user","content":"hello [[n=2]]"}'
JSON = "application/json"

OPEN = 0
"""The status of an entry of which the contract says no more than what holds for all."""


class Absent:
    """Stands for a field that the model host must not be sent."""


ABSENT = Absent()


@frozen(kw_only=True)
class Entry:
    """One case.

    `sent` is what the model host must find, by dotted path; `ignored` the names that the answer's
    `X-Gateway-Ignored` must have. `by_model` is for a body that is in order and that the model
    cannot serve: the model host has refused it.
    """

    name: str
    path: str
    raw: bytes
    status: int = 200
    sent: Mapping[str, Any] = field(factory=dict)
    ignored: tuple[str, ...] = ()
    by_model: bool = False
    content_type: str | None = JSON

    @property
    def is_asked(self) -> bool | None:
        """Whether the model host is asked; None where the contract leaves it open."""
        if self.status == OPEN:
            return None
        return self.by_model or (self.status == 200 and self.path != SHOW)


def whole(path: str, name: str, raw: str | bytes, status: int = 200, **rest: Any) -> Entry:
    """An entry whose body is written to the last byte."""
    data = raw.encode() if isinstance(raw, str) else raw
    return Entry(name=f"{path} {name}", path=path, raw=data, status=status, **rest)


def _filled(  # noqa: PLR0913 - the parts of a body and of its entry
    path: str, model: str, base: str, fields: str, *, status: int, name: str = "", **rest: Any
) -> Entry:
    joined = ",".join(part for part in (f'"model":"{model}"', base, fields) if part)
    return whole(path, name or f"{model} {fields}", f"{{{joined}}}", status, **rest)


def chat(fields: str, status: int = 200, *, model: str = TALKER, **rest: Any) -> Entry:
    """A chat of one message with further fields."""
    base = f'"messages":[{HELLO}],"stream":false'
    return _filled(CHAT, model, base, fields, status=status, **rest)


def said(messages: str, status: int = 200, *, model: str = TALKER, **rest: Any) -> Entry:
    """A chat of these messages."""
    return _filled(CHAT, model, '"stream":false', f'"messages":[{messages}]', status=status, **rest)


def option(fields: str, status: int = 200, **rest: Any) -> Entry:
    """A chat with these options."""
    base = f'"messages":[{HELLO}],"stream":false'
    return _filled(CHAT, TALKER, base, f'"options":{{{fields}}}', status=status, **rest)


def generate(fields: str, status: int = 200, *, model: str = TALKER, **rest: Any) -> Entry:
    """A completion of a prompt with further fields."""
    base = '"prompt":"hello [[n=2]]","stream":false'
    return _filled(GENERATE, model, base, fields, status=status, **rest)


def embed(fields: str, status: int = 200, *, model: str = EMBEDDER, **rest: Any) -> Entry:
    """A request for vectors, without its input."""
    return _filled(EMBED, model, "", fields, status=status, **rest)


def embeddings(fields: str, status: int = 200, *, model: str = EMBEDDER, **rest: Any) -> Entry:
    """A request for one vector in the old way, without its prompt."""
    return _filled(EMBEDDINGS, model, "", fields, status=status, **rest)


def openai(fields: str, status: int = 200, *, model: str = TALKER, **rest: Any) -> Entry:
    """OpenAI's chat of one message with further fields."""
    return _filled(CHAT_COMPLETIONS, model, f'"messages":[{HELLO}]', fields, status=status, **rest)


def completion(fields: str, status: int = 200, **rest: Any) -> Entry:
    """OpenAI's completion of a prompt with further fields."""
    return _filled(COMPLETIONS, TALKER, '"prompt":"hello [[n=2]]"', fields, status=status, **rest)


def vectors(fields: str, status: int = 200, **rest: Any) -> Entry:
    """OpenAI's request for vectors, without its input."""
    return _filled(V1_EMBEDDINGS, EMBEDDER, "", fields, status=status, **rest)


def message(fields: str, status: int = 200, *, model: str = TALKER, **rest: Any) -> Entry:
    """Anthropic's request of one message with further fields."""
    base = f'"max_tokens":5,"messages":[{HELLO}]'
    return _filled(MESSAGES, model, base, fields, status=status, **rest)


def response(fields: str, status: int = 200, *, model: str = TALKER, **rest: Any) -> Entry:
    """OpenAI's request for a response with further fields."""
    return _filled(RESPONSES, model, '"input":"hello [[n=2]]"', fields, status=status, **rest)


def as_form(entry: Entry, content_type: str | None, status: int | None = None) -> Entry:
    """The same body under another media type."""
    return evolve(
        entry,
        name=f"{entry.name} as {content_type}",
        content_type=content_type,
        status=entry.status if status is None else status,
    )
