"""The admitted calls of this process, and what a change of their tenant does to them.

SPEC 5: streams of a revoked key are cut within ten seconds, and a call that still waits for its
first frame is cut as well. The listener for changes calls `epoch_changed`; a call whose key was
last confirmed under an older epoch is looked up again, and cut where the key may no longer be used.
One that is still good is told of with what is set for it now, which holds for its next lease (SPEC
7). While PostgreSQL is away nothing is known, so nothing is done: the listener's next call tries
again.
"""

from collections.abc import Callable
from uuid import UUID

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from neuronetz_twisted.dialects.frames import usage_of
from neuronetz_twisted.errors import (
    AnswersTooLarge,
    AnswerTooLarge,
    DatabaseUnavailable,
    Draining,
    InvalidApiKey,
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
)
from neuronetz_twisted.limits import SetLimits
from neuronetz_twisted.seams import KeyStore
from neuronetz_twisted.vocabulary import Outcome, Principal, Ticket, Usage

_log = Logger()

_WORKED_FOR = (AnswersTooLarge, AnswerTooLarge)
_REFUSED_BY_HOST = (InvalidRequest, NotAllowed, UpstreamBusy)


@define(eq=False)
class LiveCall:
    """One admitted call on its way: who was asked, and how to end it before its time."""

    ticket: Ticket
    confirmed_epoch: int
    _backend: str | None = field(default=None, init=False)
    _cut: Callable[[Refusal], None] = field(default=lambda _: None, init=False)
    _refusal: Refusal | None = field(default=None, init=False)

    def on_cut(self, cut: Callable[[Refusal], None]) -> None:
        """Say how the call is cut from now on. Raises the refusal of one that was cut before."""
        if self._refusal is not None:
            raise self._refusal
        self._cut = cut

    def cut(self, refusal: Refusal) -> None:
        """End the call; the client is told why."""
        if self._refusal is None:
            self._refusal = refusal
            self._cut(refusal)

    def sent(self, backend: str) -> None:
        """Note that the request went to a backend, which costs from then on."""
        self._backend = backend

    def ended_by(self, error: Refusal | CancelledError) -> Outcome:
        """The outcome of a call without a first frame: the prompt's estimate, if it was sent.

        A host that refused the request has not worked for it.
        """
        usage = Usage()
        worked = isinstance(error, _WORKED_FOR) or not isinstance(error, _REFUSED_BY_HOST)
        if self._backend is not None and worked:
            usage = usage_of(None, 0, self.ticket.grant.prompt)
        return Outcome.of(error, usage, self._backend)


@define
class LiveCalls:
    """The admitted calls; once all were cut, each that comes is cut as well.

    `changed` is told the id and the caller of each call whose tenant has changed, as he is now.
    """

    _keys: KeyStore
    _changed: Callable[[str, Principal], None]
    _calls: set[LiveCall] = field(factory=set, init=False)
    _draining: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._calls)

    def enter(self, ticket: Ticket) -> LiveCall:
        """Put a call on the list."""
        live = LiveCall(ticket, ticket.principal.epoch)
        self._calls.add(live)
        if self._draining:
            live.cut(Draining())
        return live

    def leave(self, live: LiveCall) -> None:
        """Take it off."""
        self._calls.remove(live)

    def cut_all(self) -> None:
        """End every call, also those to come, because the gateway stops."""
        self._draining = True
        for live in list(self._calls):
            live.cut(Draining())

    def epoch_changed(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Cut the calls of a tenant whose keys may no longer be used as of `epoch`.

        Of those that go on it is told what is set for them now.
        """
        doubtful = [
            live
            for live in self._calls
            if live.ticket.principal.tenant_id == tenant_id and live.confirmed_epoch < epoch
        ]
        return Deferred.fromCoroutine(self._confirm(doubtful))

    async def _confirm(self, doubtful: list[LiveCall]) -> None:
        if not doubtful:
            return
        key_ids = sorted({live.ticket.principal.key_id for live in doubtful})
        try:
            usable = await self._keys.usable(key_ids)
        except DatabaseUnavailable:
            _log.warn("keys of running calls cannot be confirmed", answers=len(doubtful))
            return
        for live in doubtful:
            found = usable.get(live.ticket.principal.key_id)
            if found is None:
                live.cut(InvalidApiKey(why="revoked"))
            elif found.epoch > live.confirmed_epoch:
                # An answer that was overtaken by a newer one changes nothing.
                live.confirmed_epoch = found.epoch
                self._changed(live.ticket.call.id, _as_now(live.ticket.principal, found))


def _as_now(principal: Principal, found: SetLimits) -> Principal:
    return evolve(principal, epoch=found.epoch, tenant_limits=found.tenant, key_limits=found.key)
