"""One connection of a client: requests in, one after the other, answers out in their order.

    waiting --head is whole--> answering --answer is over--> waiting
       |                          |
       +-- refused, expired ------+--> closing --> gone

A request is dispatched when its head is whole (SPEC 8): the body stays on the wire until somebody
asks for it with `read_body`. Whatever is doubtful ends the connection behind its answer, for nobody
could say where the next request begins (RFC 9112 9.6, 11.2).
"""

from collections.abc import Coroutine
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from neuronetz_twisted.edge.deadlines import HEAD_S, KEEP_ALIVE_S, REQUESTS_PER_TURN, STALL_S
from neuronetz_twisted.edge.framing import HTTP_1_0, RequestHead, unreadable_head
from neuronetz_twisted.edge.heads import HeadReader
from neuronetz_twisted.edge.intake import Intake
from neuronetz_twisted.edge.leaving import Closing, WayOut
from neuronetz_twisted.edge.pace import Pace
from neuronetz_twisted.edge.peer import PeerProtocol
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.edge.responses import CONTINUE
from neuronetz_twisted.errors import Refusal, RequestTimeout

if TYPE_CHECKING:
    from neuronetz_twisted.edge.site import GatewaySite


class GatewayChannel(PeerProtocol):
    """One connection (a `Connection` of connections.py)."""

    factory: "GatewaySite"

    def connectionMade(self) -> None:
        """Wait for the first request."""
        super().connectionMade()
        self.held_bytes = 0
        self._clock = self.factory.clock
        self._reader = HeadReader()
        self._intake = Intake(self.client, self._clock, partial(self.write, CONTINUE), self.abort)
        self._request: GatewayRequest | None = None
        self._advancing = False
        self._was_used = False
        self._next_turn: IDelayedCall | None = None
        self._pace = Pace(self.client, self._pace_changed)
        self._way_out = WayOut(self.client, self._pace)
        self.client.registerProducer(self._pace, True)  # noqa: FBT003 - Twisted's signature
        self._expire_in(HEAD_S)
        self.factory.connections.enter(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client has gone, or the close is done."""
        self.factory.connections.leave(self)
        self._way_out.state = Closing.CUT
        self._cancel_turn()
        request, self._request = self._request, None
        if request is not None:
            request.connectionLost(reason)
        # They know us: together we would be garbage that only a collection finds.
        del self._intake, self._pace, self._way_out, self.write

    def dataReceived(self, data: bytes) -> None:
        """Take bytes: of a head, or of what is behind one."""
        if self._way_out.state is not Closing.NO:
            self._way_out.drop(data)
        elif self._request is None and self._intake.pending:
            # TLS goes on with what it has read, held back or not; it must not overtake.
            self._intake.hold(data)
            self.factory.connections.holds(self, len(self._intake.pending))
        elif self._request is None and not self._intake.drops:
            self._advance(data)
        else:
            drops = self._intake.drops
            self._intake.take(data)
            if drops:
                self._follow()

    @property
    def deadline(self) -> float:
        """When something will have taken too long, on the clock: the body, or what else is due."""
        return min(self._expires_at, self._intake.deadline)

    def expired(self) -> None:
        """End what has taken too long."""
        self._expires_at = inf
        if self._way_out.state is Closing.DRAINING:
            self._drain_on()
        elif self._intake.drops:
            self._intake.expired()
            self._follow()
        elif self._intake.deadline <= self._clock.seconds():
            self._intake.expired()
        elif self._reader.held and not self._pace.stalled:
            self._refuse(RequestTimeout(), self._reader.held)
        elif self._way_out.state is Closing.NO and not self._pace.stalled:
            self.close()
        elif self._way_out.state is Closing.CUT or not self._pace.has_read():
            self.abort()
        else:
            self._expire_in(STALL_S)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered, and no answer on its way."""
        return self._request is None and self._way_out.state is Closing.NO

    # Requests

    def _advance(self, data: bytes) -> None:
        """Begin with the requests that are whole, one after the other, as answers are read."""
        self._advancing = True
        begun = 0
        while data and self._way_out.state is Closing.NO:
            if self._pace.stalled:
                self._intake.hold(data)
                self.factory.connections.holds(self, len(self._intake.pending))
                break
            if begun == REQUESTS_PER_TURN:
                self._intake.hold(data)
                self._next_turn = self._clock.callLater(0, self._go_on)
                break
            held = self._reader.held
            try:
                found = self._reader.feed(data)
            except Refusal as refusal:
                self._refuse(refusal, held + data)
                break
            if found is None:
                self._wait_for_head(begins=not held)
                break
            begun += 1
            self._begin(*found)
            if self._request is not None or self._intake.drops:
                break
            data, self._intake.pending = self._intake.pending, b""
        self._advancing = False

    def _wait_for_head(self, *, begins: bool) -> None:
        held = len(self._reader.held)
        if held and begins and self._was_used:
            self._expire_in(HEAD_S)
        self.factory.connections.holds(self, held)

    def _begin(self, head: RequestHead, behind: bytes) -> None:
        self._occupy()
        self._intake.begin(head, behind, self.factory.max_body_bytes)
        self._request = GatewayRequest(self, head)
        self.factory.begin(self._request)

    def _refuse(self, refusal: Refusal, beginning: bytes) -> None:
        """Answer what is no request, and close."""
        self._occupy()
        self._intake.in_doubt = True
        self._request = GatewayRequest(self, unreadable_head(beginning))
        self.factory.refuse(self._request, refusal)

    def _occupy(self) -> None:
        """From here on the client waits for us."""
        if self.held_bytes:
            self.factory.connections.holds(self, 0)
        self.factory.connections.answers(self)
        self._expires_at = inf

    def read_body(self, limit: int) -> Coroutine[Deferred[bytes], object, bytes]:
        """The body of the running request, or its `Refusal`; who waits to be invited is."""
        return self._intake.read(limit)

    # Answers

    def goes_on(self, *, streams: bool) -> bool:
        """Whether the client may send a next request behind the answer that now begins."""
        self._intake.closed_for_stream = streams
        whole = self._intake.skip()
        request = self._request
        return (
            whole and request is not None and request.head.keeps_alive and not self.factory.closing
        )

    def finished(self, *, goes_on: bool) -> None:
        """The answer is written."""
        self._request = None
        if self._way_out.state is not Closing.NO:
            return
        if not goes_on:
            self.close() if self._intake.is_over else self._drain()
            return
        self._was_used = True
        self._intake.closed_for_stream = False
        self.factory.connections.waits(self)
        self._follow()

    def _follow(self) -> None:
        """Go on to what follows the request that is answered, once its body is over."""
        if self._request is not None:
            return
        if self._intake.in_doubt:
            self._drain()
        elif not self._intake.drops:
            self._go_on()

    def _go_on(self) -> None:
        """Begin with the next request if it has come meanwhile, or wait for it."""
        if self._next_turn is not None:
            self._cancel_turn()
        if self._request is not None or self._way_out.state is not Closing.NO:
            return
        wait_s = HEAD_S if self._reader.held else KEEP_ALIVE_S
        self._expire_in(STALL_S if self._pace.stalled else wait_s)
        if not self._advancing:
            self._intake.release()
            behind, self._intake.pending = self._intake.pending, b""
            self._advance(behind)

    def _cancel_turn(self) -> None:
        turn, self._next_turn = self._next_turn, None
        if turn is not None and turn.active():
            turn.cancel()

    # The way out

    def stop(self) -> None:
        """Close if nothing is asked; refuse what is not yet answered. The gateway stops."""
        if self.is_idle:
            self.close()
        elif self._request is not None:
            self._request.stop()

    def close(self) -> None:
        """Close once the client has read what is written."""
        self.factory.connections.waits(self)
        self._way_out.flush()
        self._watch()

    def break_off(self) -> None:
        """Close behind an answer that is not whole, without the end that it should have.

        In HTTP/1.0 the close itself would look like the end, so there it is a reset (SPEC 8).
        """
        request = self._request
        resets = request is not None and request.head.line.version == HTTP_1_0
        self._expire_in(self._way_out.cut(waits_for_reset=resets))

    def abort(self) -> None:
        """Reset the connection."""
        self._way_out.abort()

    def _drain(self) -> None:
        """Close behind an answer whose request is not read to its end."""
        self._intake.pending = b""
        self._intake.release()
        self.factory.connections.waits(self)
        self._way_out.drain(self._clock.seconds())
        self._drain_on()

    def _drain_on(self) -> None:
        until = self._way_out.drains_until(self._clock.seconds())
        if until is None:
            self.abort()
        else:
            self._expires_at = until

    # The pace of the client

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:  # noqa: ARG002, FBT001 - Twisted's signature
        """Pace `producer`, who from now on watches over a client that does not read."""
        self._expires_at = inf
        self._pace.register(producer)

    def unregisterProducer(self) -> None:
        """Let go of it."""
        self._pace.unregister()

    def _pace_changed(self) -> None:
        """Nobody else watches over the client while it does not read."""
        self.factory.connections.unread(self, self._pace.unread)
        if self._way_out.state is not Closing.NO:
            return
        if self._pace.stalled:
            self._watch()
        elif self._request is not None or self._intake.drops:
            self._expires_at = inf
        else:
            self._go_on()

    def _watch(self) -> None:
        """Give the client time to read something of what is written."""
        self._pace.has_read()
        self._expire_in(STALL_S)

    def _expire_in(self, seconds: float) -> None:
        self._expires_at = self._clock.seconds() + seconds
