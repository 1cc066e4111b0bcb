"""Which models are installed, and where: asked of every backend at intervals (SPEC 6).

A list lives for its time to live and no longer; when that is over, nobody is served. Details are
asked once per digest. The last good list is also kept in Redis, for a process that starts while a
backend is away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
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
from neuronetz_twisted.upstream.open import CONNECTION_FAILURES, OK
from neuronetz_twisted.upstream.pool import PoolFull
from neuronetz_twisted.upstream.tags import details_of, listings_of, version_of
from neuronetz_twisted.vocabulary import ModelInfo

POLL_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_MODELS = 10_000
FIRST_RETRY_S = 1.0
DETAILS_S = 10.0


class PollFailed(Exception):  # noqa: N818 - states what happened
    """A backend did not answer a poll, or not as an Ollama of a version that is used."""


@define(kw_only=True)
class Poller:
    """Asks one backend after another. Times are in seconds."""

    clock: IReactorTime
    client: OllamaClient
    min_version: tuple[int, int, int]
    _details: dict[str, Mapping[str, Any]] = field(factory=dict, init=False)
    _timeouts: Timeouts = field(init=False)

    @_timeouts.default
    def _make_timeouts(self) -> Timeouts:
        return Timeouts(self.clock, POLL_TIMEOUT_S)

    async def listings(self, backend: Backend) -> Mapping[str, Mapping[str, Any]]:
        """The models of one backend. Raises `PollFailed`."""
        version = version_of(await self._answer(backend, b"GET", "/api/version"))
        if version < self.min_version:
            asked = ".".join(map(str, self.min_version))
            raise PollFailed(f"its version is older than {asked}")
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
    """The `Catalog` of the pipeline (seams.py)."""

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
        self._backends = backends
        self._store = store
        self._refresh_s = refresh_s
        self._ttl_s = ttl_s
        self._models: dict[str, ModelInfo] = {}
        self._fresh_until: float | None = None
        self._complaints: dict[str, str] = {}
        self._polling: Deferred[None] | None = None
        self._next: IDelayedCall | None = None
        self._pause_s = FIRST_RETRY_S

    @property
    def fresh(self) -> bool:
        """Whether the list may be believed."""
        return self._fresh_until is not None and self._clock.seconds() < self._fresh_until

    def models(self) -> Mapping[str, ModelInfo]:
        """The installed models by canonical name. Raises `ModelsUnavailable` (SPEC 6)."""
        if not self.fresh:
            raise ModelsUnavailable(why="expired")
        return self._models

    def startService(self) -> None:
        """Poll now and at every interval; sooner while a backend does not answer."""
        super().startService()
        self.poll()

    def stopService(self) -> Deferred[None] | None:
        """Stop polling; a poll under way is cancelled."""
        super().stopService()
        if self._next is not None and self._next.active():
            self._next.cancel()
        polling = self._polling
        if polling is not None:
            polling.cancel()
        return polling

    def poll(self) -> None:
        """Ask every backend now, unless that is under way."""
        if not self.running or self._polling is not None:
            return
        if self._next is not None and self._next.active():
            self._next.cancel()
        polling = Deferred.fromCoroutine(self._poll_safely())
        if not polling.called:
            self._polling = polling

    async def _poll_safely(self) -> None:
        complete = False
        try:
            complete = await self._poll()
        except CancelledError:
            self._log.debug("a poll was cancelled")
        except Exception:  # noqa: BLE001 - the loop's outermost wall: the next poll must come
            self._log.failure("a poll failed")
        finally:
            self._polling = None
        if self.running:
            pause_s = self._refresh_s if complete else min(self._pause_s, self._refresh_s)
            self._pause_s = FIRST_RETRY_S if complete else 2 * pause_s
            self._next = self._clock.callLater(pause_s, self.poll)

    async def _poll(self) -> bool:
        """Ask all backends; whether all have answered."""
        seen: dict[str, list[Backend]] = {}
        listings: dict[str, Mapping[str, Any]] = {}
        answered = 0
        for backend in self._backends:
            try:
                found = await self._poller.listings(backend)
            except (PollFailed, UpstreamNonsense) as error:
                self._complain(backend.name, str(error))
                continue
            self._complain(backend.name, "")
            answered += 1
            for name, listing in found.items():
                listings.setdefault(name, listing)
                seen.setdefault(name, []).append(backend)
        if not answered:
            await self._load()
            return False
        self._poller.forget_all_but({listing.get("digest", "") for listing in listings.values()})
        known = [self._model(name, listings[name], seen[name]) for name in listings]
        self._set(known, self._ttl_s)
        await self._fill_in(seen)
        await self._save()
        return answered == len(self._backends)

    def _model(
        self, name: str, listing: Mapping[str, Any], backends: Sequence[Backend]
    ) -> ModelInfo:
        return ModelInfo(
            name=name,
            listing=listing,
            details=self._poller.known_details(listing),
            backends=tuple(backend.name for backend in backends),
        )

    async def _fill_in(self, seen: Mapping[str, Sequence[Backend]]) -> None:
        """Ask for the details that are not known yet, for a while; the rest wait for a next poll.

        The models can be used meanwhile: details are only for those who look at them.
        """
        give_up = self._clock.seconds() + DETAILS_S
        for name, model in list(self._models.items()):
            if model.details or self._clock.seconds() > give_up:
                continue
            try:
                details = await self._poller.details(seen[name][0], model.listing)
            except (PollFailed, UpstreamNonsense) as error:
                self._complain(f"details of {name}", str(error))
            else:
                self._complain(f"details of {name}", "")
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
        known = {backend.name for backend in self._backends}
        if kept is not None and all(known.issuperset(model.backends) for model in kept[0]):
            self._set(*kept)

    def _set(self, models: Sequence[ModelInfo], ttl_s: float) -> None:
        self._models = {model.name: model for model in models}
        self._fresh_until = self._clock.seconds() + ttl_s

    def _complain(self, what: str, complaint: str) -> None:
        """Log once per change, not once per poll."""
        before = self._complaints.pop(what, "")
        if complaint:
            self._complaints[what] = complaint
        if complaint and complaint != before:
            self._log.error("no answer of {backend}: {reason}", backend=what, reason=complaint)
        elif before and not complaint:
            self._log.info("{backend} answers again", backend=what)
