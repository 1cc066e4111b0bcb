"""An answer whose frames go out as they come; the client's socket paces the model host."""

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from neuronetz_twisted.dialects.writers import StreamWriter
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.relay.answer import OK, Answer
from neuronetz_twisted.vocabulary import CLIENT_CLOSED, End, Usage


@implementer(IPushProducer)
class StreamedAnswer(Answer[StreamWriter]):
    """Frames as they come, those of one read in one write."""

    _last = b""

    def pass_on(
        self, lines: Sequence[bytes], final: Mapping[str, Any] | None, end: End = End.COMPLETE
    ) -> None:
        """Write them; a final frame goes out with what came before it."""
        data = self._writer.frames(lines) if lines else b""
        if final is None:
            self._write(data)
            return
        try:
            self._last = data + self._writer.last(final, self._usage(end))
        except UpstreamNonsense:
            self._write(data)
            raise
        self.finish(end)

    def pauseProducing(self) -> None:
        """The client reads too slowly: hold the model host, watch the client."""
        if not self._ended and not self._is_slow:
            self._is_slow = True
            self._pace()

    def resumeProducing(self) -> None:
        """The client has read: let the model host go on, if it may, and watch it again."""
        if not self._ended and self._is_slow:
            self._is_slow = False
            self._pace()

    def stopProducing(self) -> None:
        """The client has gone."""
        self.finish(End.CLIENT_GONE)

    def _begin(self) -> None:
        self._client.begin(self._writer.stream_type)
        self._client.register(self)

    def _write(self, data: bytes) -> None:
        if data:
            self._sent(len(data))
            self._client.write(data)

    def _end_answer(self, end: End, usage: Usage) -> int:
        del usage  # The final frame had it.
        self._client.unregister()
        if end is End.COMPLETE or end is End.CUT_BY_BUDGET:
            self._sent(len(self._last))
            self._client.complete(self._last)
        elif end is End.CLIENT_STALLED:
            self._client.abort()
        elif end is not End.CLIENT_GONE:
            self._write(self._writer.fault(self._refusal_of(end), self._ticket.call.id))
            self._client.break_off()
        return CLIENT_CLOSED if end is End.CLIENT_GONE else OK
