"""Answers that need no model host: lists, details, version, the caller's own limits and use.

Pure but for the catalogue, the ledger and the counters (SPEC 3).
"""

from collections.abc import Callable
from datetime import datetime

import orjson
from attrs import astuple, define

from neuronetz_twisted import __version__
from neuronetz_twisted.admission.allowance import Defaults, allowance_of
from neuronetz_twisted.admission.answers import Used
from neuronetz_twisted.admission.limits import Limiter, caller_of
from neuronetz_twisted.admission.models import effective, may_use
from neuronetz_twisted.dialects.native_requests import parse_show
from neuronetz_twisted.edge.doors import JSON
from neuronetz_twisted.edge.request import GatewayRequest
from neuronetz_twisted.errors import (
    AuditUnavailable,
    DatabaseUnavailable,
    NotAllowed,
)
from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from neuronetz_twisted.model_names import canonical_name
from neuronetz_twisted.seams import Catalog, UsageStore
from neuronetz_twisted.vocabulary import ModelInfo, Principal

OLLAMA_LEVEL = "0.30.0"
"""The level of Ollama's API that is spoken, for clients that check one (SPEC 3)."""


_CAPS = ("max_body_bytes", "max_predict")
_COUNTED = tuple(name for name in LIMIT_NAMES if name not in _CAPS)


@define
class Pages:
    """The views of `edge/routes.py`, each limited to what the caller may use."""

    _catalog: Catalog
    _usage: UsageStore
    _is_ready: Callable[[], bool]
    _defaults: Defaults
    _limiter: Limiter

    def root(self, request: GatewayRequest) -> tuple[int, bytes, bytes]:
        """`GET /`: Ollama's words, or name and version to those who ask for JSON."""
        if JSON in (request.field(b"accept") or b""):
            body = orjson.dumps({"name": "neuronetz-gateway", "version": __version__})
            return 200, JSON, body
        return 200, b"text/plain; charset=utf-8", b"Ollama is running"

    def alive(self, _: GatewayRequest) -> tuple[int, bytes, bytes]:
        """`GET /healthz`."""
        return 200, JSON, b'{"alive":true}'

    def ready(self, _: GatewayRequest) -> tuple[int, bytes, bytes]:
        """`GET /readyz`."""
        ready = self._is_ready()
        return (200 if ready else 503), JSON, orjson.dumps({"ready": ready})

    def tags(self, principal: Principal, _: bytes) -> bytes:
        """`GET /api/tags`."""
        models = [dict(model.listing) for model in self._allowed(principal)]
        return orjson.dumps({"models": models})

    def show(self, principal: Principal, body: bytes) -> bytes:
        """`POST /api/show`."""
        return orjson.dumps(dict(self._one(principal, parse_show(body)).details))

    def openai_models(self, principal: Principal, _: bytes) -> bytes:
        """`GET /v1/models`."""
        data = [_openai_model(model) for model in self._allowed(principal)]
        return orjson.dumps({"object": "list", "data": data})

    def openai_model(self, principal: Principal, name: str) -> bytes:
        """`GET /v1/models/{id}`."""
        return orjson.dumps(_openai_model(self._one(principal, name)))

    def version(self, _principal: Principal, _: bytes) -> bytes:
        """`GET /api/version`."""
        return orjson.dumps({"version": OLLAMA_LEVEL, "gateway": __version__})

    async def usage(self, principal: Principal) -> bytes:
        """`GET /gateway/usage`. Raises `AuditUnavailable` while the ledger cannot be read."""
        try:
            return orjson.dumps(await self._usage.own(principal))
        except DatabaseUnavailable:
            raise AuditUnavailable(
                "the ledger cannot be read at the moment", why="database"
            ) from None

    async def limits(self, principal: Principal) -> bytes:
        """`GET /gateway/limits`. Raises `LimitsUnavailable` while Redis cannot be asked."""
        allowance = allowance_of(principal, self._defaults)
        looked = await self._limiter.look(caller_of(principal, allowance))
        return orjson.dumps(
            {
                "tenant": _counted(allowance.tenant),
                "key": _counted(allowance.key),
                **{name: getattr(allowance, name) for name in _CAPS},
                "left": {
                    "tenant": _left(allowance.tenant, looked.tenant),
                    "key": _left(allowance.key, looked.key),
                },
            }
        )

    def _allowed(self, principal: Principal) -> tuple[ModelInfo, ...]:
        return effective(principal, self._catalog.models().values())

    def _one(self, principal: Principal, name: str) -> ModelInfo:
        models = self._catalog.models()
        canonical = canonical_name(name)
        if canonical is None or not may_use(principal, canonical, models):
            raise NotAllowed(why="model")
        return models[canonical]


def _counted(limits: Limits) -> dict[str, int | None]:
    """The limits of a level that are counted over its calls."""
    return {name: getattr(limits, name) for name in _COUNTED}


def _left(limits: Limits, used: Used) -> dict[str, int | None]:
    """What is left of the limits of a level; None where none is set."""
    taken = dict(zip(_COUNTED, astuple(used), strict=True))
    return {
        name: None if limit is None else max(0, limit - taken[name])
        for name, limit in _counted(limits).items()
    }


def _openai_model(model: ModelInfo) -> dict[str, str | int]:
    name = str(model.listing["name"])
    namespace, slash, _ = name.rpartition("/")
    return {
        "id": name,
        "object": "model",
        "created": _unix_seconds(str(model.listing.get("modified_at", ""))),
        "owned_by": namespace if slash else "library",
    }


def _unix_seconds(timestamp: str) -> int:
    """Ollama's RFC 3339 time in seconds since 1970; zero where there is none."""
    try:
        return int(datetime.fromisoformat(timestamp).timestamp())
    except (ValueError, OverflowError):
        return 0
