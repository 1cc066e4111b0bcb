"""Fakes of what admission asks: the limiter in Redis, and the catalogue of models."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from neuronetz_twisted.errors import ModelsUnavailable, RedisUnavailable
from neuronetz_twisted.seams import Verdict
from neuronetz_twisted.testing.identity import Gate
from neuronetz_twisted.vocabulary import ModelInfo, Principal


@define
class FakeLimiter:
    """A `Limiter` that knows the largest epoch of each tenant; `away` is a Redis that is gone."""

    gate: Gate = field(factory=Gate)
    away: bool = False
    epochs: dict[UUID, int] = field(factory=dict, init=False)
    admitted: list[str] = field(factory=list, init=False)
    told: list[tuple[UUID, int]] = field(factory=list, init=False)

    def admit(self, request_id: str, principal: Principal) -> Deferred[Verdict]:
        """Answer STALE to a principal that is older than its tenant's epoch."""
        if self.away:
            return fail(RedisUnavailable())
        if principal.epoch < self.epochs.get(principal.tenant_id, 0):
            return self.gate.answer(lambda: Verdict.STALE)
        self.admitted.append(request_id)
        return self.gate.answer(lambda: Verdict.ADMITTED)

    def left(self, principal: Principal) -> Deferred[Mapping[str, Any]]:
        """Say of nothing but the caller's key that something is left."""
        if self.away:
            return fail(RedisUnavailable())
        return self.gate.answer(lambda: {"key": principal.key})

    def raise_epoch(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Keep an epoch, if it is larger."""
        if self.away:
            return fail(RedisUnavailable())
        self.told.append((tenant_id, epoch))
        self.epochs[tenant_id] = max(epoch, self.epochs.get(tenant_id, 0))
        return self.gate.answer(lambda: None)


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
