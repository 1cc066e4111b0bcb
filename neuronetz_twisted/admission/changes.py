"""What happens when a tenant or one of its keys has changed (SPEC 5).

The listener in `stores` reports the same change many times, so that none is lost; each step here
can be repeated.
"""

from collections.abc import Callable
from uuid import UUID

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from neuronetz_twisted.admission.allowance import Defaults, allowance_of
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.limits import Limiter, caller_of
from neuronetz_twisted.admission.script_calls import Caller
from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.vocabulary import Principal

_log = Logger()

MAX_TOLD = 100_000


def change_limits(
    change: Callable[[str, Caller], None],
    defaults: Defaults,
    request_id: str,
    principal: Principal,
) -> None:
    """Tell the limiter, by its `change`, what a running call may use as of now (SPEC 7)."""
    change(request_id, caller_of(principal, allowance_of(principal, defaults)))


@define
class TenantChanges:
    """An `EpochListener` (seams.py): tells the identifier, Redis and the running answers.

    `confirm_live` looks at the answers that are running for the tenant.
    """

    _identifier: Identifier
    _limiter: Limiter
    _confirm_live: Callable[[UUID, int], Deferred[None]]
    _told: dict[UUID, int] = field(factory=dict, init=False)

    def __call__(self, tenant_id: UUID, epoch: int) -> None:
        """Take note of a tenant's epoch."""
        self._identifier.epoch_changed(tenant_id, epoch)
        self._confirm_live(tenant_id, epoch).addErrback(
            lambda failure: _log.failure("running answers were not confirmed", failure)
        )
        if self._told.get(tenant_id, 0) < epoch:
            telling = self._limiter.raise_epoch(tenant_id, epoch)
            telling.addCallbacks(
                lambda _: self._note(tenant_id, epoch),
                lambda failure: failure.trap(RedisUnavailable),
            )
            telling.addErrback(lambda failure: _log.failure("an epoch was not told", failure))

    def _note(self, tenant_id: UUID, epoch: int) -> None:
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[tenant_id] = max(epoch, self._told.get(tenant_id, 0))
