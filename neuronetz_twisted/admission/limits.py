"""The limiter, as those know it who ask it on the way of a request (SPEC 7).

`limiter.py` is the one that asks Redis; tests have another.
"""

from collections.abc import Awaitable
from typing import Protocol
from uuid import UUID

from twisted.internet.defer import Deferred

from neuronetz_twisted.admission.allowance import Allowance
from neuronetz_twisted.admission.answers import Figures, Granted, Looked, Stale
from neuronetz_twisted.admission.script_calls import Caller, Demand
from neuronetz_twisted.vocabulary import Principal


class Limiter(Protocol):
    """Who may run how much now. What it cannot say for sure is `LimitsUnavailable`."""

    def admit(self, demand: Demand) -> Deferred[Granted | Stale]:
        """Take what a call needs, or nothing.

        May fail with `RateLimited` or `BudgetExhausted` too. What was granted is held until it is
        settled or released.
        """
        ...

    def count(self, caller: Caller) -> Awaitable[Figures | Stale]:
        """Take one list or page. May raise `RateLimited` too."""
        ...

    def look(self, caller: Caller) -> Awaitable[Looked]:
        """What is left, without taking anything."""
        ...

    def settle(self, request_id: str, cost: int) -> None:
        """Note that an admitted call has ended, and what it cost in tokens. Never fails."""
        ...

    def release(self, request_id: str) -> None:
        """Give back all that was taken for a call that does not take place. Never fails."""
        ...

    def raise_epoch(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Tell of a tenant's new epoch. May fail with `RedisUnavailable`."""
        ...


def caller_of(principal: Principal, allowance: Allowance) -> Caller:
    """Whose counters are meant, and what they are held against."""
    return Caller(
        tenant=principal.tenant,
        key=principal.key,
        epoch=principal.epoch,
        tenant_limits=allowance.tenant,
        key_limits=allowance.key,
    )
