"""Fakes of what admission asks: the limiter in Redis, and the catalogue of models."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from neuronetz_twisted.admission.admit import Admission
from neuronetz_twisted.admission.allowance import Defaults
from neuronetz_twisted.admission.answers import Figures, Granted, Looked, Stale, Used
from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.limits import Limiter
from neuronetz_twisted.admission.script_calls import Caller, Demand
from neuronetz_twisted.errors import (
    LimitsUnavailable,
    ModelsUnavailable,
    RedisUnavailable,
    Refusal,
)
from neuronetz_twisted.seams import AuditTrail, Catalog
from neuronetz_twisted.testing.identity import Gate
from neuronetz_twisted.vocabulary import ModelInfo

Answer = TypeVar("Answer")


NOBODY_LIMITED = Figures(-1, -1, -1, -1, None, 0, 1_700_000_000)
"""What is shown to a caller without any limit."""

UNUSED = Used(0, 0, 0, 0, 0, 0)


DEFAULTS = Defaults(rpm=60, tpm=1000, concurrent=8, max_body_bytes=200, max_predict=64)
"""What is set for everybody in the world of the fakes."""

LEASE = 16


def made_admission(
    identifier: Identifier,
    limiter: Limiter,
    catalog: Catalog,
    trail: AuditTrail,
    check_room: Callable[[], None] = lambda: None,
) -> Admission:
    """Make an admission with `DEFAULTS`, first leases of `LEASE` tokens and new estimates."""
    return Admission(
        identifier=identifier,
        limiter=limiter,
        catalog=catalog,
        trail=trail,
        estimates=PromptEstimates(),
        defaults=DEFAULTS,
        lease=LEASE,
        check_room=check_room,
    )


@define
class FakeLimiter:
    """A `Limiter` that grants what is asked, to all who know their tenant's largest epoch.

    `away` is a Redis that is gone; `refusal` is what every call and list gets; `figures` are what
    is left, `used` what is counted for tenant and key. `settled` has what each call has cost.
    """

    gate: Gate = field(factory=Gate)
    away: bool = False
    refusal: Refusal | None = None
    figures: Figures = NOBODY_LIMITED
    used: tuple[Used, Used] = (UNUSED, UNUSED)
    day: str = "2023-11-14"
    epochs: dict[UUID, int] = field(factory=dict, init=False)
    admitted: list[Demand] = field(factory=list, init=False)
    counted: list[Caller] = field(factory=list, init=False)
    looked: list[Caller] = field(factory=list, init=False)
    settled: dict[str, int] = field(factory=dict, init=False)
    released: list[str] = field(factory=list, init=False)
    told: list[tuple[UUID, int]] = field(factory=list, init=False)

    def admit(self, demand: Demand) -> Deferred[Granted | Stale]:
        """Grant a call."""
        answer = self._answer(demand.caller, Granted(demand.lease, self.day, self.figures))
        if isinstance(answer, Granted):
            self.admitted.append(demand)
        return self._give(answer)

    def count(self, caller: Caller) -> Deferred[Figures | Stale]:
        """Count a list."""
        answer = self._answer(caller, self.figures)
        if isinstance(answer, Figures):
            self.counted.append(caller)
        return self._give(answer)

    def look(self, caller: Caller) -> Deferred[Looked]:
        """Show what is left."""
        self.looked.append(caller)
        looked = Looked(self.figures, *self.used)
        return self._give(LimitsUnavailable(why="redis") if self.away else looked)

    def settle(self, request_id: str, cost: int) -> None:
        """Keep what a call has cost; the first time counts."""
        self.settled.setdefault(request_id, cost)

    def release(self, request_id: str) -> None:
        """Keep that a call gave back what it took."""
        self.released.append(request_id)

    def raise_epoch(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Keep an epoch, if it is larger."""
        if self.away:
            return fail(RedisUnavailable())
        self.told.append((tenant_id, epoch))
        self.epochs[tenant_id] = max(epoch, self.epochs.get(tenant_id, 0))
        return self.gate.answer(lambda: None)

    def _answer(self, caller: Caller, value: Answer) -> Answer | Stale | Refusal:
        if self.away:
            return LimitsUnavailable(why="redis")
        known = self.epochs.get(UUID(caller.tenant), 0)
        if caller.epoch < known:
            return Stale(known)
        return self.refusal or value

    def _give(self, answer: Answer | Refusal) -> Deferred[Answer]:
        if isinstance(answer, Refusal):
            return fail(answer)
        return self.gate.answer(lambda: answer)


@define
class FakeCatalog:
    """A `Catalog` of the models that it is given, until it is `expired`."""

    installed: Sequence[ModelInfo] = ()
    expired: bool = False

    def models(self) -> Mapping[str, ModelInfo]:
        """The models by canonical name."""
        if self.expired:
            raise ModelsUnavailable(why="expired")
        return {model.name: model for model in self.installed}


@define
class FakeCatalogStore:
    """A `CatalogStore` in memory; `away` is a Redis that is gone."""

    kept: tuple[Sequence[ModelInfo], float] | None = None
    away: bool = False

    def load(self) -> Deferred[tuple[Sequence[ModelInfo], float] | None]:
        """Give what is kept."""
        return fail(RedisUnavailable()) if self.away else succeed(self.kept)

    def save(self, models: Sequence[ModelInfo], ttl_s: float) -> Deferred[None]:
        """Keep a list; its time to live does not run down."""
        if self.away:
            return fail(RedisUnavailable())
        self.kept = (models, ttl_s)
        return succeed(None)
