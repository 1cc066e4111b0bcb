"""The last good catalogue of models, for a gateway that starts while Ollama is away (SPEC 6)."""

from collections.abc import Sequence

import orjson
from attrs import frozen
from twisted.internet.defer import Deferred

from neuronetz_twisted.stores.expiring import (
    BrokenValueError,
    Redis,
    forget,
    member,
    parse,
    read,
    strings,
    typed,
    write,
)
from neuronetz_twisted.vocabulary import ModelInfo

_KEY = "nz:catalog"


@frozen
class RedisCatalog:
    """The store of `seams.CatalogStore` under `nz:catalog`, shared by all gateways."""

    _redis: Redis

    def load(self) -> Deferred[tuple[Sequence[ModelInfo], float] | None]:
        """The models and the seconds that the list has left to live."""
        return Deferred.fromCoroutine(self._load())

    def save(self, models: Sequence[ModelInfo], ttl_s: float) -> Deferred[None]:
        """Keep the list for `ttl_s` seconds."""
        return Deferred.fromCoroutine(write(self._redis, _KEY, encode(models), ttl_s))

    async def _load(self) -> tuple[Sequence[ModelInfo], float] | None:
        found = await read(self._redis, _KEY)
        if found is None:
            return None
        value, left_s = found
        try:
            return decode(value), left_s
        except BrokenValueError:
            await forget(self._redis, _KEY)
            return None


def encode(models: Sequence[ModelInfo]) -> bytes:
    """The models as a JSON list, in their order."""
    return orjson.dumps(
        [
            {
                "name": model.name,
                "listing": dict(model.listing),
                "details": dict(model.details),
                "backends": model.backends,
            }
            for model in models
        ]
    )


def decode(value: bytes) -> tuple[ModelInfo, ...]:
    """The models in `value`. Raises BrokenValueError."""
    return tuple(
        ModelInfo(
            name=member(document, "name", str),
            listing=member(document, "listing", dict),
            details=member(document, "details", dict),
            backends=tuple(strings(document, "backends")),
        )
        for document in typed(parse(value), list)
    )
