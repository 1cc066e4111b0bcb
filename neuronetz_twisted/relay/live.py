"""The answers that are running in this process, and the cut of those whose key was taken away.

SPEC 5: streams of a revoked key are cut within ten seconds. The listener for changes calls
`epoch_changed`; a running answer whose key was last confirmed under an older epoch is looked up
again, and cut where the key may no longer be used. While PostgreSQL is away nothing is known, so
nothing is cut: the listener's next call tries again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from neuronetz_twisted.errors import DatabaseUnavailable, Draining, InvalidApiKey, Refusal
from neuronetz_twisted.seams import KeyStore
from neuronetz_twisted.vocabulary import Ticket

_log = Logger()


@define
class _Running:
    ticket: Ticket
    cut: Callable[[Refusal], None]
    confirmed_epoch: int


@define
class LiveAnswers:
    """Running answers by the id of their call."""

    _keys: KeyStore
    _running: dict[str, _Running] = field(factory=dict, init=False)

    @contextmanager
    def listed(self, ticket: Ticket, cut: Callable[[Refusal], None]) -> Iterator[None]:
        """Keep an answer on the list while it runs; `cut` ends it."""
        self._running[ticket.call.id] = _Running(ticket, cut, ticket.principal.epoch)
        try:
            yield
        finally:
            del self._running[ticket.call.id]

    def __len__(self) -> int:
        return len(self._running)

    def cut_all(self) -> None:
        """End every running answer, because the gateway stops."""
        for running in list(self._running.values()):
            running.cut(Draining())

    def epoch_changed(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Cut the answers of a tenant whose keys may no longer be used as of `epoch`."""
        doubtful = [
            running
            for running in self._running.values()
            if running.ticket.principal.tenant_id == tenant_id and running.confirmed_epoch < epoch
        ]
        return Deferred.fromCoroutine(self._confirm(doubtful, epoch))

    async def _confirm(self, doubtful: list[_Running], epoch: int) -> None:
        if not doubtful:
            return
        key_ids = sorted({running.ticket.principal.key_id for running in doubtful})
        try:
            usable = await self._keys.usable(key_ids)
        except DatabaseUnavailable:
            _log.warn("keys of running answers cannot be confirmed", answers=len(doubtful))
            return
        for running in doubtful:
            if running.ticket.principal.key_id in usable:
                running.confirmed_epoch = max(running.confirmed_epoch, epoch)
            else:
                running.cut(InvalidApiKey(why="revoked"))
