"""Native frames into the bytes that a client reads: what a writer is, and Ollama's own ones.

A writer serves one answer. Streamed: `frames` per read, then `last`, or `fault` where the stream
broke. Not streamed: `whole` renders the folded answer (SPEC 3, 8).
"""

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
    """Renders one answer in one dialect."""

    stream_type: bytes

    def frames(self, lines: Sequence[bytes]) -> bytes:
        """What the client reads for metered frames in the middle of a stream.

        Raises `UpstreamNonsense` for a frame that is not one of this route.
        """
        ...

    def last(self, final: Mapping[str, Any], usage: Usage) -> bytes:
        """What the client reads for the final frame, which says so where a budget has cut it."""
        ...

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """The truthful end of a stream that broke: no final frame follows."""
        ...

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:
        """The answer in one piece. Raises `UpstreamNonsense` where it cannot be one."""
        ...


@define
class NativeWriter:
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
        return as_go_writes(self._shown(final)) + b"\n"

    def fault(self, refusal: Refusal, request_id: str) -> bytes:
        """A last line with `error` and no `done`."""
        body = native_error(refusal, request_id)
        return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - has counts
        """The folded frame."""
        return as_go_writes(self._shown(folded))

    def _shown(self, frame: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.hide_timings:
            return frame
        return {name: value for name, value in frame.items() if not name.endswith("_duration")}


class EmbedWriter(NativeWriter):
    """The object of `/api/embed`, its vectors as the model host wrote them."""

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - has counts
        """The model, the vectors, and what they have cost."""
        shown = dict(self._shown(folded))
        vectors = shown.pop(VECTORS)
        del shown["done"]
        head = as_go_writes({"model": shown.pop("model", "")}).removesuffix(b"}")
        tail = as_go_writes(shown).removeprefix(b"{")
        return b'%b,"embeddings":%b%b%b' % (head, vectors, b"," if shown else b"", tail)


class EmbeddingWriter(NativeWriter):
    """The object of `/api/embeddings`: one vector, of the prompt, and nothing else."""

    def whole(self, folded: Mapping[str, Any], usage: Usage) -> bytes:  # noqa: ARG002 - not shown
        """The vector; an empty one for an empty prompt, as Ollama gives."""
        return b'{"embedding":[%b]}' % b"".join(rows_of(folded)[:1])
