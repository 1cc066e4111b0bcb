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

from neuronetz_twisted.errors import (
    AnswersTooLarge,
    DeadlinePassed,
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamNonsense,
    UpstreamTimeout,
)
from neuronetz_twisted.pinned_options import NOTHING_PINNED, PinnedOptions
from neuronetz_twisted.seams import Opening
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.bodies import read_bounded
from neuronetz_twisted.upstream.candidates import Candidates
from neuronetz_twisted.upstream.causes import cause_of
from neuronetz_twisted.upstream.deadline import Deadline, Timeouts
from neuronetz_twisted.upstream.health import STALL_S
from neuronetz_twisted.upstream.hosts import NO_TRIAL, Host, Trial
from neuronetz_twisted.upstream.pool import PoolFull
from neuronetz_twisted.upstream.refusals import NOT_FOUND, is_our_fault, refusal_of
from neuronetz_twisted.upstream.storage import Storage
from neuronetz_twisted.upstream.stream import LineStream, check_first, stream_of
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
    """The `Upstream` of the pipeline, over the backends by their names.

    `read_timeout_s` bounds the wait for the first frame, from when the request goes out; the wait
    for a place and for a connection are the client's own. `model_missing` is told a backend that
    does not have what discovery saw there. Answers in one object hold `max_whole_bytes`
    each, and some of them more (storage.py).
    """

    clock: IReactorTime
    client: OllamaClient
    hosts: Mapping[str, Host]
    read_timeout_s: float
    max_whole_bytes: int
    model_missing: Callable[[str], object]
    pinned: PinnedOptions = NOTHING_PINNED
    timeouts: Timeouts = field(init=False)
    storage: Storage = field(init=False)

    @timeouts.default
    def _make_timeouts(self) -> Timeouts:
        return Timeouts(self.clock, self.read_timeout_s)

    @storage.default
    def _make_storage(self) -> Storage:
        return Storage(self.max_whole_bytes)

    def check(self) -> None:
        """Raise `UpstreamBusy` where no backend has room (seams.Upstream)."""
        for host in self.hosts.values():
            if not host.room.is_full:
                return
        for host in self.hosts.values():
            host.room.turned_away()
        raise UpstreamBusy(why="queue")

    async def open(self, ticket: Ticket, opening: Opening) -> LineStream:
        """The stream of the first backend that answers (seams.Upstream)."""
        candidates = Candidates(
            ticket.model.name, [self.hosts[name] for name in ticket.model.backends]
        )
        failed: list[_Attempt] = []
        while (found := candidates.next(self.clock.seconds())) is not None:
            host, again = found
            deadline = Deadline(self.timeouts)
            attempt = _Attempt(self, host, candidates, ticket, opening, deadline, patient=again)
            try:
                stream = await attempt.run()
            except AnswersTooLarge:
                # Nobody else's answer would be smaller.
                raise
            except PoolFull:
                # Wherever it was better to wait meanwhile, it has gone.
                raise UpstreamBusy(why="queue") from None
            except _Elsewhere:
                continue
            except _TooSilent:
                candidates.gave_up(host)
                outcome = "no first frame, and another can answer"
            except _TRY_NEXT as refusal:
                candidates.failed(host, refusal)
                failed.append(attempt)
                outcome = refusal.outcome
            else:
                for each in failed:
                    each.blame()
                return stream
            _log.warn(
                "backend {backend} failed before its first frame: {outcome}",
                backend=host.backend.name,
                outcome=outcome,
                request_id=ticket.call.id,
            )
        raise candidates.refusal()


_TRY_NEXT = (NotAllowed, UpstreamBusy, UpstreamFailed, UpstreamTimeout)
"""What another backend may do better; what the model cannot do, none can."""


class _Lost(UpstreamFailed):
    """The connection was lost before an answer."""


class _Unreachable(_Lost):
    """There is no connection to the backend."""


class _TooSilent(Exception):  # noqa: N818 - states what the backend is
    """It brings nothing, and another one could."""


class _Elsewhere(Exception):  # noqa: N818 - states where there is a place
    """Another backend has a place, here it would be a wait in line."""


@define(eq=False)
class _Attempt:
    """One request to one backend; `patient` waits for its first frame whatever others could do.

    A way out that gives no stream closes the connection, unless the answer has ended as its framing
    says, as refusals do: then it is idle again, and kept for the next request.
    """

    _owner: Backends
    _host: Host
    _candidates: Candidates
    _ticket: Ticket
    _opening: Opening
    _deadline: Deadline
    _patient: bool = field(kw_only=True)
    _trial: Trial = field(default=NO_TRIAL, init=False)
    _wrong: str = field(default="", init=False)
    _queued: bool = field(default=False, init=False)
    _sent_at: float | None = field(default=None, init=False)

    async def run(self) -> LineStream:
        """Ask, wait for the first frame, and tell how that went of the backend's health."""
        host, model = self._host, self._ticket.model.name
        self._trial, self._queued = host.begin(model), not host.room.is_free
        host.waiting[self] = None
        try:
            stream = await self._first_frame()
        except _Lost as lost:
            unreachable = isinstance(lost, _Unreachable)
            host.lost(model, self._trial, lost.why, unreachable=unreachable)
            raise
        except _TooSilent:
            host.given_up(model, self._trial)
            raise
        except (UpstreamFailed, UpstreamTimeout) as refusal:
            self._wrong = refusal.why
            host.ended(model, self._trial)
            raise
        except InvalidRequest:
            host.answered(model)
            raise
        except BaseException:
            host.ended(model, self._trial)
            raise
        finally:
            del host.waiting[self]
        host.answered(model)
        host.loaded(model)
        return stream

    def blame(self) -> None:
        """Hold against the backend what it answered: another one had no such trouble."""
        if self._wrong:
            self._host.failed(self._ticket.model.name, self._trial, self._wrong)

    @property
    def patience_s(self) -> float:
        """How long its backend may be silent for its sake."""
        host, ticket = self._host, self._ticket
        if self._sent_at is None:
            return STALL_S
        silent = ticket.grant.prompt
        if "tools" in ticket.call.request.body:
            # Ollama holds back what may be a call of a tool until it is whole.
            silent += ticket.grant.num_predict
        return host.patience_s(ticket.model.name, silent)

    def look(self, now: float) -> None:
        """Leave a line, or a silent backend, for one that is well; called once a second."""
        host = self._host
        if self._sent_at is None:
            is_well = host.is_well(self._ticket.model.name)
            if self._queued and self._candidates.better_than(host, at_once=is_well):
                self._deadline.interrupt(_Elsewhere())
            return
        if self._patient or not self._is_too_long(now, now - self._sent_at):
            return
        if self._candidates.better_than(host, at_once=False):
            self._deadline.interrupt(_TooSilent())

    def _is_too_long(self, now: float, waited_s: float) -> bool:
        host, trial = self._host, self._trial
        if trial.of_host or trial.of_model:
            return waited_s >= host.trial_s(self._ticket.model.name, trial, self.patience_s)
        quiet_s = min(waited_s, host.health.quiet_s(now))
        return host.health.is_stalled or quiet_s >= self.patience_s

    async def _first_frame(self) -> LineStream:
        try:
            with self._deadline:
                self._opening.on_cut(self._deadline.interrupt)
                response = await self._deadline.wait(self._ask())
                if response.code != OK:
                    raise await self._refusal(response)
                is_whole = self._ticket.call.request.is_whole
                storage = self._owner.storage if is_whole else None
                stream = stream_of(response, self._host.backend.name, storage)
                first = stream.first
                if first is None:
                    first = await self._deadline.wait(stream.until_first())
                check_first(stream, first, is_whole=is_whole)
                return stream
        except DeadlinePassed:
            raise UpstreamTimeout(why="first_frame") from None
        except UpstreamNonsense as error:
            raise UpstreamFailed(why=f"nonsense: {error}") from None
        except (ConnectError, DNSLookupError) as error:
            raise _Unreachable(why=cause_of(error)) from None
        except CONNECTION_FAILURES as error:
            raise _Lost(why=cause_of(error)) from None

    def _ask(self) -> Deferred[IResponse]:
        request = self._ticket.call.request
        model = self._ticket.model
        body = self._owner.pinned.applied(model.name, request.path, request.body)
        fields = {"model": model.listing["name"], **body}
        if not request.is_whole:
            fields["stream"] = True
        url = self._host.backend.address_of(request.path)
        return self._owner.client.ask(b"POST", url, orjson.dumps(fields), self._sent)

    def _sent(self) -> None:
        if self._sent_at is None:
            self._sent_at = self._owner.clock.seconds()
        self._deadline.start()
        self._opening.sent(self._host.backend.name)

    async def _refusal(self, response: IResponse) -> Refusal:
        try:
            body = await self._deadline.wait(read_bounded(response, MAX_ERROR_BYTES))
        except UpstreamNonsense:
            # The status says enough; a long or broken text only costs the choice of words.
            body = b""
        if is_our_fault(response.code):
            _log.critical("backend {backend} refuses our token", backend=self._host.backend.name)
        if response.code == NOT_FOUND:
            self._owner.model_missing(self._host.backend.name)
        return refusal_of(response.code, body)
