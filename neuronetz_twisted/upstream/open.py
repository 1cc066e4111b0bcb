"""Ask a backend that has the model, and wait for its first frame.

Until that frame nothing has been sent to the client, so a backend that fails before it can be
followed by the next one, and a failure is still a plain status (SPEC 6).
"""

from collections.abc import Callable, Mapping
from functools import partial

import orjson
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.iweb import IResponse

from neuronetz_twisted.dialects.frames import is_ordinary, read_frame
from neuronetz_twisted.errors import (
    DeadlinePassed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamNonsense,
    UpstreamTimeout,
)
from neuronetz_twisted.upstream.agent import OllamaClient, is_encoded, read_bounded
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.deadline import within
from neuronetz_twisted.upstream.refusals import NOT_FOUND, is_our_fault, refusal_of
from neuronetz_twisted.upstream.stream import LineStream
from neuronetz_twisted.vocabulary import Ticket

_log = Logger()

OK = 200
MAX_ERROR_BYTES = 8192

CONNECTION_FAILURES = (
    ConnectError,
    ConnectionClosed,
    DNSLookupError,
    RequestTransmissionFailed,
    ResponseFailed,
)
"""What an agent's request fails with; `ResponseNeverReceived` is a `ResponseFailed`."""


@define(kw_only=True)
class Backends:
    """The `Upstream` of the pipeline.

    `read_timeout_s` bounds the wait for the first frame. `max_connections` requests are under way
    at once; as many more wait, further ones are refused. `model_missing` is called when a backend
    no longer has a model that discovery saw.
    """

    clock: IReactorTime
    client: OllamaClient
    backends: Mapping[str, Backend]
    read_timeout_s: float
    max_connections: int
    model_missing: Callable[[], object]
    slots: DeferredSemaphore = field(init=False)

    @slots.default
    def _make_slots(self) -> DeferredSemaphore:
        return DeferredSemaphore(self.max_connections)

    async def open(self, ticket: Ticket, sent: Callable[[str], None]) -> LineStream:
        """The stream of the first backend that answers (seams.Upstream)."""
        if len(self.slots.waiting) >= self.max_connections:
            raise UpstreamBusy(why="queue")
        failure: Refusal = UpstreamFailed(why="no_backend")
        for name in ticket.model.backends:
            await self._slot()
            try:
                return await _Attempt(self, self.backends[name], ticket, sent).run()
            except (UpstreamFailed, UpstreamBusy, UpstreamTimeout) as refusal:
                failure = refusal
                _log.warn(
                    "backend {backend} failed before its first frame: {outcome}",
                    backend=name,
                    outcome=refusal.outcome,
                    request_id=ticket.call.id,
                )
        raise failure

    async def _slot(self) -> None:
        """Wait for a slot, no longer than for a first frame."""
        deadline = self.clock.seconds() + self.read_timeout_s
        try:
            await within(self.clock, deadline, self.slots.acquire())
        except DeadlinePassed:
            raise UpstreamBusy(why="queue") from None


@define
class _Attempt:
    """One request to one backend, which has a slot that it gives back exactly once."""

    _owner: Backends
    _backend: Backend
    _ticket: Ticket
    _sent: Callable[[str], None]
    _stream: LineStream | None = field(default=None, init=False)

    async def run(self) -> LineStream:
        """Ask, and wait for the first frame; every failure closes the connection."""
        clock = self._owner.clock
        deadline = clock.seconds() + self._owner.read_timeout_s
        try:
            response = await within(clock, deadline, self._ask())
            if response.code != OK:
                raise await self._refusal(deadline, response)
            return await self._first_frame(deadline, response)
        except DeadlinePassed:
            raise UpstreamTimeout(why="first_frame") from None
        except UpstreamNonsense as error:
            raise UpstreamFailed(why=f"nonsense: {error}") from None
        except CONNECTION_FAILURES as error:
            raise UpstreamFailed(why=type(error).__name__) from None
        finally:
            if self._stream is None:
                self._owner.slots.release()

    def _ask(self) -> Deferred[IResponse]:
        request = self._ticket.call.request
        model = self._ticket.model.listing["name"]
        body = orjson.dumps({"model": model, **request.body, "stream": True})
        url = self._backend.address_of(request.path)
        sent = partial(self._sent, self._backend.name)
        return self._owner.client.ask(b"POST", url, self._backend.headers(), body, sent)

    async def _refusal(self, deadline: float, response: IResponse) -> Refusal:
        try:
            body = await within(
                self._owner.clock, deadline, read_bounded(response, MAX_ERROR_BYTES)
            )
        except UpstreamNonsense:
            # The status says enough; a long or broken text only costs the choice of words.
            body = b""
        if is_our_fault(response.code):
            _log.critical("backend {backend} refuses our token", backend=self._backend.name)
        if response.code == NOT_FOUND:
            self._owner.model_missing()
        return refusal_of(response.code, body)

    async def _first_frame(self, deadline: float, response: IResponse) -> LineStream:
        stream = self._stream = LineStream(self._backend.name, self._owner.slots.release)
        response.deliverBody(stream)
        if is_encoded(response):
            stream.stop()
            raise UpstreamFailed(why="encoding")
        try:
            line = await within(self._owner.clock, deadline, stream.first)
            if not is_ordinary(line):
                read_frame(line)
        except (UpstreamNonsense, DeadlinePassed, CancelledError):
            stream.stop()
            raise
        return stream
