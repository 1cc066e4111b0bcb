"""Native frames into the bytes that a client reads: what a writer is, and Ollama's own ones.

A writer serves one answer (SPEC 3, 8): a `Writer` one that comes in one piece, a `StreamWriter` one
that is streamed. Those of chats and completions are both.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson
from attrs import define

from neuronetz_twisted.dialects.faults import native_error
from neuronetz_twisted.dialects.vectors import VECTORS, rows_of
from neuronetz_twisted.dialects.visible import as_go_writes
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.vocabulary import Usage


class Writer(Protocol):
    """Renders one folded answer in one dialect."""

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """The answer in one piece. Raises `UpstreamNonsense` where it cannot be one."""
        ...


class StreamWriter(ABC):
    """Renders one streamed answer in one dialect: `frames` per read, then `last` or `fault`.

    To be one is to inherit from it: a writer that is none is for answers that are never streamed.
    """

    __slots__ = ()

    stream_type: bytes

    @abstractmethod
    def frames(self, lines: Sequence[bytes]) -> bytes:
        """What the client reads for metered frames in the middle of a stream.

        Raises `UpstreamNonsense` for a frame that is not one of this route.
        """

    @abstractmethod
    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """What the client reads for the final frame, which says so where a budget has cut it.

        Raises `UpstreamNonsense` as `frames` does.
        """

    @abstractmethod
    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """The truthful end of a stream that broke: no final frame follows."""


@define
class NativeWriter(StreamWriter):
    """NDJSON as Ollama writes it, for `/api/chat` and `/api/generate`.

    With `hide_timings` no duration is shown, from which a tenant could tell what his neighbours
    have asked before him (SPEC 10, HIDE_TIMINGS).
    """

    hide_timings: bool = False
    stream_type = b"application/x-ndjson"

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """The frames as they are."""
        return b"\n".join(lines) + b"\n"

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - has counts
        """The final frame, rebuilt."""
        return as_go_writes(_shown(final, hide_timings=self.hide_timings)) + b"\n"

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """A last line with `error` and no `done`."""
        body = native_error(refusal, request_id)
        return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - has counts
        """The folded frame."""
        return as_go_writes(_shown(folded, hide_timings=self.hide_timings))


@define
class EmbedWriter:
    """The object of `/api/embed`, its vectors as the model host wrote them.

    `hide_timings` as for `NativeWriter`.
    """

    hide_timings: bool = False

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - has counts
        """The model, the vectors, and what they have cost."""
        shown = dict(_shown(folded, hide_timings=self.hide_timings))
        vectors = shown.pop(VECTORS)
        del shown["done"]
        head = as_go_writes({"model": shown.pop("model", "")}).removesuffix(b"}")
        tail = as_go_writes(shown).removeprefix(b"{")
        return b'%b,"embeddings":%b%b%b' % (head, vectors, b"," if shown else b"", tail)


class EmbeddingWriter:
    """The object of `/api/embeddings`: one vector, of the prompt, and nothing else."""

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - not shown
        """The vector; an empty one for an empty prompt, as Ollama gives."""
        return b'{"embedding":[%b]}' % b"".join(rows_of(folded)[:1])


def _shown(frame: Mapping[str, Any], *, hide_timings: bool) -> Mapping[str, Any]:
    if not hide_timings:
        return frame
    return {name: value for name, value in frame.items() if not name.endswith("_duration")}
