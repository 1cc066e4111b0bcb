"""Which models are installed, and where: asked of every backend at intervals (SPEC 6).

A list lives for its time to live and no longer; when that is over, nobody is served. Details are
asked once per digest. The last good list is also kept in Redis, for a process that starts while a
backend is away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from neuronetz_twisted.errors import (
    DeadlinePassed,
    ModelsUnavailable,
    RedisUnavailable,
    UpstreamNonsense,
)
from neuronetz_twisted.seams import CatalogStore
from neuronetz_twisted.upstream.agent import OllamaClient, is_encoded, read_bounded
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.deadline import within
from neuronetz_twisted.upstream.open import CONNECTION_FAILURES, OK
from neuronetz_twisted.upstream.tags import details_of, listings_of, version_of
from neuronetz_twisted.vocabulary import ModelInfo

POLL_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_MODELS = 10_000


class PollFailed(Exception):  # noqa: N818 - states what happened
    """A backend did not answer a poll, or not as an Ollama of a version that is used."""


@define(kw_only=True)
class Poller:
    """Asks one backend after another. Times are in seconds."""

    clock: IReactorTime
    client: OllamaClient
    min_version: tuple[int, int, int]
    _details: dict[str, Mapping[str, Any]] = field(factory=dict, init=False)

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

    def forget_all_but(self, digests: set[str]) -> None:
        """Drop the details of models that are gone."""
        self._details = {key: self._details[key] for key in self._details if key in digests}

    async def _answer(
        self, backend: Backend, method: bytes, path: str, body: bytes | None = None
    ) -> bytes:
        deadline = self.clock.seconds() + POLL_TIMEOUT_S
        asked = self.client.ask(method, backend.address_of(path), backend.headers(), body)
        try:
            response = await within(self.clock, deadline, asked)
            content = await within(self.clock, deadline, read_bounded(response, MAX_ANSWER_BYTES))
        except (DeadlinePassed, UpstreamNonsense, *CONNECTION_FAILURES) as error:
            raise PollFailed(f"{path}: {type(error).__name__}") from None
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
        self._models: Mapping[str, ModelInfo] = {}
        self._fresh_until: float | None = None
        self._complaints: dict[str, str] = {}
        self._polling: Deferred[None] | None = None
        self._loop = LoopingCall(self.poll)
        self._loop.clock = clock
        self._stopped: Deferred[Any] | None = None

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
        """Poll now and at every interval."""
        super().startService()
        self._stopped = self._loop.start(self._refresh_s)

    def stopService(self) -> Deferred[Any] | None:
        """Stop polling; a poll under way is cancelled."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        if self._polling is not None:
            self._polling.cancel()
        return self._stopped

    def poll(self) -> Deferred[None] | None:
        """Ask every backend now, unless that is under way. Never fails."""
        if self._polling is not None:
            return None
        polling = Deferred.fromCoroutine(self._poll_safely())
        if not polling.called:
            self._polling = polling
        return polling

    async def _poll_safely(self) -> None:
        try:
            await self._poll()
        except CancelledError:
            self._log.debug("a poll was cancelled")
        except Exception:  # noqa: BLE001 - the loop's outermost wall: the next poll must come
            self._log.failure("a poll failed")
        finally:
            self._polling = None

    async def _poll(self) -> None:
        seen: dict[str, list[Backend]] = {}
        listings: dict[str, Mapping[str, Any]] = {}
        answered = False
        for backend in self._backends:
            try:
                found = await self._poller.listings(backend)
            except (PollFailed, UpstreamNonsense) as error:
                self._complain(backend.name, str(error))
                continue
            self._complain(backend.name, "")
            answered = True
            for name, listing in found.items():
                listings.setdefault(name, listing)
                seen.setdefault(name, []).append(backend)
        if not answered:
            await self._load()
            return
        models = [await self._model(name, listings[name], seen[name]) for name in listings]
        self._poller.forget_all_but({listing.get("digest", "") for listing in listings.values()})
        self._set(models, self._ttl_s)
        try:
            await self._store.save(models, self._ttl_s)
        except RedisUnavailable:
            self._log.debug("the list of models was not kept in Redis")

    async def _model(
        self, name: str, listing: Mapping[str, Any], backends: Sequence[Backend]
    ) -> ModelInfo:
        details: Mapping[str, Any] = {}
        try:
            details = await self._poller.details(backends[0], listing)
        except (PollFailed, UpstreamNonsense) as error:
            self._log.warn("no details of {model}: {error}", model=name, error=str(error))
        names = tuple(backend.name for backend in backends)
        return ModelInfo(name=name, listing=listing, details=details, backends=names)

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

    def _complain(self, backend: str, complaint: str) -> None:
        """Log once per change, not once per poll."""
        if self._complaints.get(backend, "") == complaint:
            return
        self._complaints[backend] = complaint
        if complaint:
            self._log.error(
                "backend {backend} cannot be used: {reason}", backend=backend, reason=complaint
            )
        else:
            self._log.info("backend {backend} can be used again", backend=backend)
