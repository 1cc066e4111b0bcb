"""The wiring: which parts one gateway process is made of, and who knows whom.

Read from the bottom: `wire` joins the stores and the rooms of the pipeline; what is above it makes
one part each from the settings. `lifecycle.py` starts and stops what is made here.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from attrs import evolve

from neuronetz_twisted.admission.admit import Admission
from neuronetz_twisted.admission.allowance import Defaults
from neuronetz_twisted.admission.changes import TenantChanges, change_limits
from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.limiter import Limiter
from neuronetz_twisted.admission.verifier import Argon2Verifier
from neuronetz_twisted.audit.log import AuditLog
from neuronetz_twisted.config import Settings
from neuronetz_twisted.edge.address import TrustedProxies, bucket_key
from neuronetz_twisted.edge.connections import ConnectionLimits
from neuronetz_twisted.edge.cors import CrossOrigin
from neuronetz_twisted.edge.deadlines import STALL_S
from neuronetz_twisted.edge.dispatch import Dispatch
from neuronetz_twisted.edge.doors import Doors
from neuronetz_twisted.edge.pages import Pages
from neuronetz_twisted.edge.proxies import ProxyNames
from neuronetz_twisted.edge.routes import Routes
from neuronetz_twisted.edge.site import EdgeService, GatewaySite, endpoint_description
from neuronetz_twisted.edge.surfaces import NativeSurfaces
from neuronetz_twisted.lifecycle import Parts
from neuronetz_twisted.limiting import Limiting, limiting
from neuronetz_twisted.operations.descriptors import clients_within
from neuronetz_twisted.operations.health import Readiness
from neuronetz_twisted.pinned_options import NOTHING_PINNED
from neuronetz_twisted.pipeline import Pipeline
from neuronetz_twisted.recording import (
    DESCRIPTORS_PER_CONNECTION,
    Files,
    Recording,
    descriptors,
    recording,
)
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.leased import LeaseSource
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.settlement.minutes import RefusalMinutes
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.stores.catalog import RedisCatalog
from neuronetz_twisted.stores.keys import PostgresKeyStore
from neuronetz_twisted.stores.notify import RevocationListener
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.principals import RedisPrincipals
from neuronetz_twisted.stores.redis import RedisGate
from neuronetz_twisted.stores.usage import PostgresUsage
from neuronetz_twisted.upstream.agent import OllamaAgent, OllamaClient, UpstreamConnections
from neuronetz_twisted.upstream.backends import Backend, backends_of
from neuronetz_twisted.upstream.discovery import POLL_TIMEOUT_S, Discovery, Poller
from neuronetz_twisted.upstream.hosts import Host
from neuronetz_twisted.upstream.open import Backends

POLL_CONNECTIONS = 2
"""One is polled after the other; a second place is for a poll whose predecessor still closes."""

LISTENERS = 1
"""Connections to the database that wait for its notes, beside those of the settings."""


def _database(settings: Settings, reactor: Any) -> DatabaseThreads:
    return DatabaseThreads(
        reactor,
        settings.database_url,
        pool_size=settings.database_pool_size,
        overflow=settings.database_pool_overflow,
    )


def _verifier(settings: Settings, reactor: Any) -> Argon2Verifier:
    return Argon2Verifier(
        reactor,
        time_cost=settings.argon2_time_cost,
        memory_cost_kib=settings.argon2_memory_cost_kib,
        parallelism=settings.argon2_parallelism,
    )


def _agent(
    settings: Settings, reactor: Any, backends: Sequence[Backend], *, wait_s: float
) -> OllamaAgent:
    return OllamaAgent(
        reactor, backends, connect_s=settings.ollama_connect_timeout_s, wait_s=wait_s
    )


def _polled(backends: Sequence[Backend]) -> Sequence[Backend]:
    """Polls have places of their own: no list grows old because those for answers are taken."""
    return [evolve(backend, slots=POLL_CONNECTIONS) for backend in backends]


def _discovery(
    settings: Settings,
    reactor: Any,
    backends: Sequence[Backend],
    client: OllamaClient,
    redis: RedisGate,
) -> Discovery:
    return Discovery(
        clock=reactor,
        poller=Poller(clock=reactor, client=client, min_version=settings.ollama_min_version),
        backends=backends,
        store=RedisCatalog(redis),
        refresh_s=settings.discovery_refresh_s,
        ttl_s=settings.discovery_ttl_s,
    )


def _upstream(
    settings: Settings,
    reactor: Any,
    backends: Sequence[Backend],
    agent: OllamaAgent,
    discovery: Discovery,
) -> Backends:
    hosts = {}
    for backend in backends:
        pool = agent.pools[backend.name]
        host = hosts[backend.name] = Host(backend, pool, discovery, reactor)
        pool.look = host.look
    return Backends(
        clock=reactor,
        client=OllamaClient(agent),
        hosts=hosts,
        read_timeout_s=settings.ollama_read_timeout_s,
        max_whole_bytes=settings.max_response_bytes,
        model_missing=discovery.missing,
        pinned=settings.pinned_options or NOTHING_PINNED,
    )


def _relay(settings: Settings, reactor: Any, limiter: Limiter) -> Relay:
    limits = RelayLimits(
        idle_s=settings.ollama_read_timeout_s,
        stall_s=STALL_S,
        max_folded_bytes=settings.max_response_bytes,
    )
    return Relay(reactor, limits, LeaseSource(size=settings.token_lease, draw=limiter.extend))


def _settlement(reactor: Any, records: Recording, limits: Limiting) -> Settlement:
    return Settlement(
        clock=reactor,
        trail=records.trail,
        limiter=limits.limiter,
        estimates=limits.estimates,
        log=AuditLog(),
        prompts=records.prompts,
        bucket_of=bucket_key,
    )


def _identifier(
    settings: Settings,
    reactor: Any,
    keys: PostgresKeyStore,
    redis: RedisGate,
    argon2: Argon2Verifier,
) -> Identifier:
    return Identifier(
        store=keys,
        cache=RedisPrincipals(redis),
        verifier=argon2,
        failures=FailureBuckets(limit=settings.auth_failure_limit),
        clock=reactor,
        now=time.time,
        ttl_s=settings.redis_key_cache_ttl_s,
    )


def _defaults(settings: Settings) -> Defaults:
    return Defaults(
        rpm=settings.default_rpm,
        tpm=settings.default_tpm,
        concurrent=settings.default_concurrent,
        max_body_bytes=settings.max_request_body_bytes,
        max_predict=settings.max_num_predict,
    )


def _readiness(
    settings: Settings,
    limits: Limiting,
    discovery: Discovery,
    listener: RevocationListener,
    records: Recording,
) -> Readiness:
    return Readiness(
        {
            "spool": lambda: records.trail.denies is None,
            "redis": lambda: all((limits.redis.up, limits.redis.keeps_all, limits.redis.serves)),
            "limits": lambda: limits.standing.is_open,
            "models": lambda: discovery.fresh,
            "database": lambda: listener.silence_s < settings.redis_key_cache_ttl_s,
        }
    )


def _connection_limits(settings: Settings, proxies: ProxyNames) -> ConnectionLimits:
    upstream = sum(backend.slots + POLL_CONNECTIONS for backend in backends_of(settings))
    database = DESCRIPTORS_PER_CONNECTION * (settings.database_pool_size + LISTENERS)
    return ConnectionLimits(
        total=clients_within(settings.max_connections, upstream + database + descriptors(settings)),
        per_address=settings.max_connections_per_address,
        exempt=proxies.is_trusted,
    )


def _cross_origin(settings: Settings) -> CrossOrigin | None:
    if not settings.cors_origins:
        return None
    return CrossOrigin(settings.cors_origins, settings.request_id_header)


def _edge(
    settings: Settings, reactor: Any, doors: Doors, pages: Pages, proxies: ProxyNames
) -> EdgeService:
    surfaces = NativeSurfaces.of(hide_timings=settings.hide_timings)
    site = GatewaySite(
        reactor,
        begin=Dispatch(Routes(doors, pages, surfaces)).begin,
        refuse=doors.refuse,
        max_body_bytes=settings.max_request_body_bytes,
        limits=_connection_limits(settings, proxies),
        now=time.time,
        cross_origin=_cross_origin(settings),
    )
    return EdgeService(reactor, endpoint_description(settings), site)


def wire(settings: Settings, reactor: Any, files: Files | None) -> Parts:
    """All parts of one process, from settings whose URLs are those of real servers.

    Without the files of the record nothing is admitted.
    """
    database = _database(settings, reactor)
    limits = limiting(settings, reactor, database)
    redis, limiter = limits.redis, limits.limiter
    argon2 = _verifier(settings, reactor)
    backends = backends_of(settings)
    agent = _agent(settings, reactor, backends, wait_s=settings.ollama_read_timeout_s)
    polls = _agent(settings, reactor, _polled(backends), wait_s=POLL_TIMEOUT_S)
    discovery = _discovery(settings, reactor, backends, OllamaClient(polls), redis)
    keys = PostgresKeyStore(database)
    identifier = _identifier(settings, reactor, keys, redis, argon2)
    live = LiveCalls(keys, partial(change_limits, limiter.change, _defaults(settings)))
    listener = RevocationListener(
        reactor, database, TenantChanges(identifier, limiter, live.epoch_changed)
    )
    proxies = ProxyNames(reactor, TrustedProxies.parse(settings.trusted_proxies))

    records = recording(settings, reactor, database, files, limiter.flushed)
    trail = records.trail
    upstream = _upstream(settings, reactor, backends, agent, discovery)
    admission = Admission(
        identifier=identifier,
        limiter=limiter,
        catalog=discovery,
        trail=trail,
        estimates=limits.estimates,
        defaults=_defaults(settings),
        lease=settings.token_lease,
        check_room=upstream.check,
    )
    relay = _relay(settings, reactor, limiter)
    settlement = _settlement(reactor, records, limits)
    doors = Doors(
        clock=reactor,
        now=time.time,
        client_address=proxies.client_address,
        request_id_header=settings.request_id_header.encode("ascii"),
        defaults=_defaults(settings),
        identifier=identifier,
        admission=admission,
        pipeline=Pipeline(admission, upstream, live, relay, settlement, trail),
        settlement=settlement,
        trail=trail,
    )
    ready = _readiness(settings, limits, discovery, listener, records)
    usage = PostgresUsage(database, time.time)
    pages = Pages(discovery, usage, ready, _defaults(settings), limiter)
    edge = _edge(settings, reactor, doors, pages, proxies)
    connections = UpstreamConnections(agent, polls)
    minutes = RefusalMinutes(reactor, settlement)
    stores = (*limits.services, argon2, connections)
    services = (*stores, *records.services, minutes, listener, discovery, proxies)
    return Parts(services=services, edge=edge, live=live)
