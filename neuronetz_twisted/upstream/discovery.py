"""Which models are installed, and where: asked of every backend at intervals (SPEC 6).

Each backend has a list of its own (listing.py), so that one that hangs delays no other; here they
are joined. A list lives for its time to live and no longer; when all are over, nobody is served.
Details are asked once per digest. The last good union is also kept in Redis, for a process that
starts while no backend answers.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

import orjson
from attrs import define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.errors import (
    DeadlinePassed,
    ModelsUnavailable,
    RedisUnavailable,
    UpstreamNonsense,
)
from neuronetz_twisted.seams import CatalogStore
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.bodies import is_encoded, read_bounded
from neuronetz_twisted.upstream.causes import cause_of
from neuronetz_twisted.upstream.deadline import Deadline, Timeouts
from neuronetz_twisted.upstream.health import STALL_S
from neuronetz_twisted.upstream.listing import (
    BackendList,
    Complaints,
    Listings,
    PollFailed,
    TooOld,
)
from neuronetz_twisted.upstream.open import CONNECTION_FAILURES, OK
from neuronetz_twisted.upstream.pool import PoolFull
from neuronetz_twisted.upstream.tags import details_of, listings_of, version_of
from neuronetz_twisted.vocabulary import ModelInfo

POLL_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_MODELS = 10_000
DETAILS_S = 10.0


@define(kw_only=True)
class Poller:
    """Asks backends what they have, and what their models are. Times are in seconds."""

    clock: IReactorTime
    client: OllamaClient
    min_version: tuple[int, int, int]
    _details: dict[str, Mapping[str, Any]] = field(factory=dict, init=False)
    _timeouts: Timeouts = field(init=False)

    @_timeouts.default
    def _make_timeouts(self) -> Timeouts:
        return Timeouts(self.clock, POLL_TIMEOUT_S)

    async def listings(self, backend: Backend) -> Mapping[str, Mapping[str, Any]]:
        """The models of one backend. Raises `PollFailed`, `TooOld` or `UpstreamNonsense`."""
        version = version_of(await self._answer(backend, b"GET", "/api/version"))
        if version < self.min_version:
            asked = ".".join(map(str, self.min_version))
            raise TooOld(f"its version is older than {asked}")
        return listings_of(await self._answer(backend, b"GET", "/api/tags"), MAX_MODELS)

    async def details(self, backend: Backend, listing: Mapping[str, Any]) -> Mapping[str, Any]:
        """What may be seen of one model, asked once per digest. Raises `PollFailed`."""
        digest = listing.get("digest", "")
        if digest not in self._details:
            body = orjson.dumps({"model": listing["name"]})
            answer = details_of(await self._answer(backend, b"POST", "/api/show", body))
            if not digest:
                return answer
            self._details[digest] = answer
        return self._details[digest]

    def known_details(self, listing: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is known already; empty where the model has yet to be asked for."""
        return self._details.get(listing.get("digest", ""), {})

    def forget_all_but(self, digests: set[str]) -> None:
        """Drop the details of models that are gone."""
        self._details = {key: self._details[key] for key in self._details if key in digests}

    async def _answer(
        self, backend: Backend, method: bytes, path: str, body: bytes | None = None
    ) -> bytes:
        try:
            with Deadline(self._timeouts) as deadline:
                deadline.start()
                asked = self.client.ask(method, backend.address_of(path), body)
                response = await deadline.wait(asked)
                content = await deadline.wait(read_bounded(response, MAX_ANSWER_BYTES))
        except (DeadlinePassed, PoolFull, UpstreamNonsense, *CONNECTION_FAILURES) as error:
            raise PollFailed(f"{path}: {cause_of(error)}") from None
        if response.code != OK or is_encoded(response):
            raise PollFailed(f"{path}: status {response.code}")
        return content


class Discovery(Service):
    """The `Catalog` of the pipeline (seams.py): the union of what the backends have."""

    name = "discovery"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, wired once
        self,
        *,
        clock: IReactorTime,
        poller: Poller,
        backends: Sequence[Backend],
        store: CatalogStore,
        refresh_s: float,
        ttl_s: float,
    ) -> None:
        self._clock = clock
        self._poller = poller
        self._backends = {backend.name: backend for backend in backends}
        self._store = store
        self._ttl_s = ttl_s
        self._complaints = Complaints()
        self._lists = {
            backend.name: BackendList(
                name=backend.name,
                clock=clock,
                ask=partial(poller.listings, backend),
                polled=self._polled,
                complaints=self._complaints,
                refresh_s=refresh_s,
                ttl_s=ttl_s,
            )
            for backend in backends
        }
        self._kept: tuple[Sequence[ModelInfo], float] = ((), 0.0)
        self._models: dict[str, ModelInfo] = {}
        self._fresh_until: float | None = None
        self._joined_until = inf
        self._is_due = False
        self._following: Deferred[None] | None = None

    @property
    def fresh(self) -> bool:
        """Whether the list may be believed."""
        return self._fresh_until is not None and self._clock.seconds() < self._fresh_until

    def models(self) -> Mapping[str, ModelInfo]:
        """The installed models by canonical name. Raises `ModelsUnavailable` (SPEC 6)."""
        if self._clock.seconds() >= self._joined_until:
            self._join()
        if not self.fresh:
            raise ModelsUnavailable(why="expired")
        return self._models

    def missing(self, backend: str) -> None:
        """Ask a backend that did not have what it had listed."""
        self._lists[backend].look_again()

    def doubted(self, backend: str) -> None:
        """Ask a backend whose streams are silent, unless it was asked meanwhile."""
        self._lists[backend].look_again(STALL_S)

    def answers(self, backend: str) -> bool:
        """Whether a backend answered its last poll."""
        return self._lists[backend].answers

    def startService(self) -> None:
        """Poll every backend now and at every interval; sooner while it does not answer."""
        super().startService()
        for each in self._lists.values():
            each.start()

    def stopService(self) -> Deferred[Any]:
        """Stop polling; what is under way is cancelled."""
        super().stopService()
        ends = [each.stop() for each in self._lists.values()]
        following = self._following
        if following is not None:
            following.cancel()
        return gatherResults([end for end in (*ends, following) if end is not None])

    def _polled(self) -> None:
        """Join the lists anew, and see to what follows, unless somebody is at it."""
        self._join()
        self._is_due = True
        if self._following is None:
            following = Deferred.fromCoroutine(self._follow_safely())
            if not following.called:
                self._following = following

    async def _follow_safely(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                await self._follow()
        except CancelledError:
            self._log.debug("a poll was cancelled")
        except Exception:  # noqa: BLE001 - the outermost wall: the next poll must come
            self._log.failure("what follows a poll failed")
        finally:
            self._following = None

    async def _follow(self) -> None:
        """Ask for details and keep the list; or find a kept one, where no backend answers."""
        if not any(each.answers for each in self._lists.values()):
            await self._load()
            return
        self._poller.forget_all_but(
            {model.listing.get("digest", "") for model in self._models.values()}
        )
        await self._fill_in()
        await self._save()

    def _join(self) -> None:
        """Make one list of those that may be believed; without any, of what was kept."""
        now = self._clock.seconds()
        found = {name: each.listings(now) for name, each in self._lists.items()}
        fresh = {name: each for name, each in found.items() if each is not None}
        if fresh:
            self._set(self._union(fresh), max(until for _, until in fresh.values()))
            self._joined_until = min(until for _, until in fresh.values())
        else:
            self._set(*self._kept)
            self._joined_until = inf

    def _union(self, fresh: Mapping[str, tuple[Listings, float]]) -> Sequence[ModelInfo]:
        seen: dict[str, list[str]] = {}
        listings: dict[str, Mapping[str, Any]] = {}
        for backend, (found, _) in fresh.items():
            for name, listing in found.items():
                listings.setdefault(name, listing)
                seen.setdefault(name, []).append(backend)
        return [
            ModelInfo(
                name=name,
                listing=listing,
                details=self._poller.known_details(listing),
                backends=tuple(seen[name]),
            )
            for name, listing in listings.items()
        ]

    async def _fill_in(self) -> None:
        """Ask for the details that are not known yet, for a while; the rest wait for a next poll.

        The models can be used meanwhile: details are only for those who look at them.
        """
        give_up = self._clock.seconds() + DETAILS_S
        for name, model in list(self._models.items()):
            there = [each for each in model.backends if self._lists[each].answers]
            if model.details or not there or self._clock.seconds() > give_up:
                continue
            try:
                details = await self._poller.details(self._backends[there[0]], model.listing)
            except (PollFailed, UpstreamNonsense) as error:
                self._complaints.tell(f"details of {name}", str(error))
            else:
                self._complaints.tell(f"details of {name}", "")
                if self._models.get(name) is model:
                    self._models[name] = evolve(model, details=details)

    async def _save(self) -> None:
        try:
            await self._store.save(list(self._models.values()), self._ttl_s)
        except RedisUnavailable:
            self._log.debug("the list of models was not kept in Redis")

    async def _load(self) -> None:
        if self.fresh:
            return
        try:
            kept = await self._store.load()
        except RedisUnavailable:
            return
        if kept is None:
            return
        models, ttl_s = kept
        if all(self._lists.keys() >= set(model.backends) for model in models):
            self._kept = (models, self._clock.seconds() + ttl_s)
            self._join()

    def _set(self, models: Sequence[ModelInfo], until: float) -> None:
        self._models = {model.name: model for model in models}
        self._fresh_until = until
