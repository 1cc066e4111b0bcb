"""A stream and a client, joined until the answer is over (relay/answer.py)."""

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime

from neuronetz_twisted.dialects.capture import CapturingStreamWriter, CapturingWriter, Heard
from neuronetz_twisted.dialects.writers import StreamWriter, Writer
from neuronetz_twisted.errors import Refusal
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.folded import FoldedAnswer
from neuronetz_twisted.relay.leased import LeaseSource
from neuronetz_twisted.relay.live import LiveCall
from neuronetz_twisted.relay.streamed import StreamedAnswer
from neuronetz_twisted.seams import Client, NativeStream
from neuronetz_twisted.vocabulary import Outcome


@define
class Relay:
    """Runs answers; those of callers with a budget draw what they use from `leases`."""

    _clock: IReactorTime
    _limits: RelayLimits
    _leases: LeaseSource

    async def run(
        self, stream: NativeStream, client: Client, live: LiveCall, writer: Writer
    ) -> Outcome:
        """Relay one answer to its end; a cancel means that the client has gone.

        Raises nothing but the refusal of a call that was cut before.
        """
        heard = Heard() if live.ticket.principal.prompt_logging else None
        request = live.ticket.call.request
        parts = (self._clock, self._limits, stream, client, live.ticket)
        answer: StreamedAnswer | FoldedAnswer
        if request.stream and isinstance(writer, StreamWriter):
            answer = StreamedAnswer(
                *parts, writer if heard is None else CapturingStreamWriter(writer, heard)
            )
        else:
            answer = FoldedAnswer(
                *parts, writer if heard is None else CapturingWriter(writer, heard)
            )
        if live.ticket.grant.has_budget and not request.is_whole:
            answer.lease_from(self._leases)
        try:
            live.on_cut(answer.cut)
        except Refusal:
            stream.stop()
            raise
        outcome = await answer.run()
        return outcome if heard is None else evolve(outcome, answer=heard.said())
