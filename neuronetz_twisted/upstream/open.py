"""Ask a backend that has the model, and wait for its first frame.

Until that frame nothing has been sent to the client, so a backend that fails before it can be
followed by the next one, and a failure is still a plain status (SPEC 6).
"""

from collections.abc import Callable, Mapping

import orjson
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.iweb import IResponse

from neuronetz_twisted.dialects.frames import MAX_LINE_BYTES, is_ordinary, read_frame
from neuronetz_twisted.dialects.vectors import read_vectors
from neuronetz_twisted.errors import (
    DeadlinePassed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamNonsense,
    UpstreamTimeout,
)
from neuronetz_twisted.seams import Opening
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.bodies import is_encoded, read_bounded
from neuronetz_twisted.upstream.causes import cause_of
from neuronetz_twisted.upstream.deadline import Deadline, Timeouts
from neuronetz_twisted.upstream.pool import PoolFull
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

    `read_timeout_s` bounds the wait for the first frame, from when the request goes out; the wait
    for a place and for a connection are the client's own. `model_missing` is called when a backend
    no longer has a model that discovery saw. An answer in one object has at most `max_whole_bytes`.
    `check_room` raises `PoolFull` where a request has
    no place, not even in line.
    """

    clock: IReactorTime
    client: OllamaClient
    backends: Mapping[str, Backend]
    read_timeout_s: float
    max_whole_bytes: int
    model_missing: Callable[[], object]
    check_room: Callable[[], object]
    timeouts: Timeouts = field(init=False)

    @timeouts.default
    def _make_timeouts(self) -> Timeouts:
        return Timeouts(self.clock, self.read_timeout_s)

    def check(self) -> None:
        """Raise `UpstreamBusy` where there is no room (seams.Upstream)."""
        try:
            self.check_room()
        except PoolFull:
            raise UpstreamBusy(why="queue") from None

    async def open(self, ticket: Ticket, opening: Opening) -> LineStream:
        """The stream of the first backend that answers (seams.Upstream)."""
        failure: Refusal | None = None
        for name in ticket.model.backends:
            try:
                deadline = Deadline(self.timeouts)
                return await _Attempt(self, self.backends[name], ticket, opening, deadline).run()
            except PoolFull:
                raise UpstreamBusy(why="queue") from None
            except (UpstreamFailed, UpstreamBusy, UpstreamTimeout) as refusal:
                failure = refusal
                _log.warn(
                    "backend {backend} failed before its first frame: {outcome}",
                    backend=name,
                    outcome=refusal.outcome,
                    request_id=ticket.call.id,
                )
        raise failure or UpstreamFailed(why="no_backend")


@define
class _Attempt:
    """One request to one backend.

    A way out that gives no stream closes the connection, unless the answer has ended as its framing
    says, as refusals do: then it is idle again, and kept for the next request.
    """

    _owner: Backends
    _backend: Backend
    _ticket: Ticket
    _opening: Opening
    _deadline: Deadline

    async def run(self) -> LineStream:
        """Ask, and wait for the first frame."""
        try:
            with self._deadline:
                self._opening.on_cut(self._deadline.interrupt)
                response = await self._deadline.wait(self._ask())
                if response.code != OK:
                    raise await self._refusal(response)
                stream = self._stream_of(response)
                first = stream.first
                if first is None:
                    first = await self._deadline.wait(stream.until_first())
                self._check(stream, first)
                return stream
        except DeadlinePassed:
            raise UpstreamTimeout(why="first_frame") from None
        except UpstreamNonsense as error:
            raise UpstreamFailed(why=f"nonsense: {error}") from None
        except CONNECTION_FAILURES as error:
            raise UpstreamFailed(why=cause_of(error)) from None

    def _ask(self) -> Deferred[IResponse]:
        request = self._ticket.call.request
        model = self._ticket.model.listing["name"]
        fields = {"model": model, **request.body}
        if not request.is_whole:
            fields["stream"] = True
        body = orjson.dumps(fields)
        url = self._backend.address_of(request.path)
        return self._owner.client.ask(b"POST", url, body, self._sent)

    def _sent(self) -> None:
        self._deadline.start()
        self._opening.sent(self._backend.name)

    async def _refusal(self, response: IResponse) -> Refusal:
        try:
            body = await self._deadline.wait(read_bounded(response, MAX_ERROR_BYTES))
        except UpstreamNonsense:
            # The status says enough; a long or broken text only costs the choice of words.
            body = b""
        if is_our_fault(response.code):
            _log.critical("backend {backend} refuses our token", backend=self._backend.name)
        if response.code == NOT_FOUND:
            self._owner.model_missing()
        return refusal_of(response.code, body)

    def _stream_of(self, response: IResponse) -> LineStream:
        whole = self._ticket.call.request.is_whole
        limit = self._owner.max_whole_bytes if whole else MAX_LINE_BYTES
        stream = LineStream(self._backend.name, limit)
        response.deliverBody(stream)
        if is_encoded(response):
            stream.stop()
            raise UpstreamFailed(why="encoding")
        return stream

    def _check(self, stream: LineStream, first: bytes) -> None:
        """Stop a stream whose first line is no frame."""
        read = read_vectors if self._ticket.call.request.is_whole else read_frame
        if not is_ordinary(first):
            try:
                read(first)
            except UpstreamNonsense:
                stream.stop()
                raise
