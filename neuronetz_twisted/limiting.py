"""The wiring of limits: Redis, its generation, the ledger behind it, and the limiter (SPEC 7).

gate -> which server? -> standing -> is what it counts still whole? -> limiter -> scripts
what Redis does not know -> ledger in PostgreSQL;  who else runs -> instances in PostgreSQL
"""

import secrets
from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.application.service import IService

from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.admission.limiter import Limiter
from neuronetz_twisted.admission.owed import Owed
from neuronetz_twisted.admission.scripts import SCRIPTS
from neuronetz_twisted.admission.standing import Standing
from neuronetz_twisted.config import Settings
from neuronetz_twisted.redis_target import parse_redis_url
from neuronetz_twisted.stores.instances import Instances
from neuronetz_twisted.stores.ledger_lines import PostgresLedger
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.redis import RedisGate

_NONCE_BYTES = 8


@frozen(kw_only=True)
class Limiting:
    """The parts that limit; `services` in the order of their start."""

    redis: RedisGate
    standing: Standing
    limiter: Limiter
    estimates: PromptEstimates
    services: Sequence[IService]


def limiting(settings: Settings, reactor: Any, database: DatabaseThreads) -> Limiting:
    """All that limits what callers of this process may use."""

    def connected(run_id: str) -> None:
        standing.connected(run_id)

    redis = RedisGate(
        reactor,
        parse_redis_url(settings.redis_url),
        timeout_ms=settings.redis_timeout_ms,
        connected=connected,
    )
    instances = Instances(reactor, database)
    standing = Standing(
        reactor,
        redis,
        others=instances.others,
        nonce=lambda: secrets.token_hex(_NONCE_BYTES),
    )
    limiter = Limiter(
        reactor,
        redis,
        SCRIPTS,
        standing=standing,
        ledger=PostgresLedger(database),
        owed=Owed(clock=reactor),
    )
    return Limiting(
        redis=redis,
        standing=standing,
        limiter=limiter,
        estimates=PromptEstimates(),
        services=(redis, database, instances, standing, limiter),
    )
