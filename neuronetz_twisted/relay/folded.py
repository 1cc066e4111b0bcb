"""An answer that is collected and sent in one piece; a failure is a plain refusal."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuronetz_twisted.dialects.writers import Writer
from neuronetz_twisted.relay.answer import OK, Answer
from neuronetz_twisted.relay.fold import Fold
from neuronetz_twisted.vocabulary import CLIENT_CLOSED, End, Usage


class FoldedAnswer(Answer[Writer]):
    """Frames are collected until their end is known."""

    _body: bytes | None = None

    def pass_on(
        self, lines: Sequence[bytes], final: Mapping[str, Any] | None, end: End = End.COMPLETE
    ) -> None:
        """Collect them; a final one makes the answer."""
        self._fold.add(lines)
        if final is not None:
            self._body = self._writer.whole(self._fold.finish(final), self._usage(end))
            self.finish(end)

    def _begin(self) -> None:
        self._fold = Fold(self._limits.max_folded_bytes)

    def _end_answer(self, end: End, usage: Usage) -> int:
        del usage  # The answer had it.
        if end is End.CLIENT_GONE:
            return CLIENT_CLOSED
        if self._body is not None:
            self._sent(len(self._body))
            self._client.answer(b"application/json", self._body)
            return OK
        refusal = self._refusal_of(end)
        self._client.refuse(refusal)
        return refusal.status
