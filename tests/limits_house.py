"""Gateways that share Redis, PostgreSQL and one mock, for tests of what limits promise (SPEC 7).

    house = shared_house()                    two gateways and their servers, for many tests
    house = lone_house()                      one gateway and its servers, for many tests
    house = own_house(self, gateways=4)       of this test's own: servers and gateways may be killed
    key = house.new_key(Limits(rpm=60))       a key whose tenant has these limits
    house.crowd(key, 500, "hi [[n=1]]")       so many clients at once, spread over the gateways

Each gateway has a state directory of its own, so what they agree on they agree on in Redis.
"""

import atexit
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from attrs import define, frozen
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.limits import NOTHING_SET, Limits
from neuronetz_twisted.redis_target import parse_redis_url
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.limit_queries import set_key_limits, set_tenant_limits
from neuronetz_twisted.stores.operator_queries import list_keys, list_tenants
from tests.crowd import Crowd
from tests.gateway import Mock, Stack, marker, shared_stack
from tests.http_client import Answer, ask, chat, request_bytes
from tests.records import House, recording_house
from tests.script_session import RedisSession

ROOM = {"OLLAMA_MAX_CONNECTIONS": "1000"}
"""No call waits for a place at the model host, so that only limits hold calls back."""

FLUSHED_S = 20.0


@frozen
class Charge:
    """The record of one call, as far as limits are concerned."""

    client_id: str
    outcome: str
    completion_tokens: int
    charged: int


@define(eq=False)
class LimitsHouse:
    """Some gateways on one Redis, one PostgreSQL and one mock; the first has their URLs."""

    stacks: list[Stack]
    records: House | None = None

    @property
    def mock(self) -> Mock:
        """The model host of all."""
        return self.stacks[0].mock

    def beside(self, **settings: str) -> Stack:
        """Start one more gateway, with a state directory of its own."""
        first = self.stacks[0]
        home = Path(tempfile.mkdtemp(prefix="nz", dir=first.home))
        shared = {
            "DATABASE_URL": str(first.urls.database_url),
            "DATABASE_ADMIN_URL": str(first.urls.database_admin_url),
            "REDIS_URL": str(first.urls.redis_url),
        }
        stack = Stack(home, first.mock, {**first.settings, **shared, **settings})
        self.stacks.append(stack)
        stack.start()
        return stack

    def remove(self, stack: Stack) -> None:
        """End one gateway that was started beside."""
        self.stacks.remove(stack)
        if stack.gateway.runs():
            stack.gateway.end()

    def end(self) -> None:
        """End all gateways but the first."""
        for stack in self.stacks[1:]:
            self.remove(stack)

    def new_key(self, tenant: Limits, key: Limits = NOTHING_SET) -> str:
        """A key with a tenant of its own that has these limits, and no others."""
        made = self.stacks[0].new_key()
        with self._database() as connection:
            owner = next(t for t in list_tenants(connection) if t.name == tenant_of(made))
            set_tenant_limits(connection, owner.id, tenant.as_row())
            if key != NOTHING_SET:
                (found,) = list_keys(connection, tenant=owner.name)
                set_key_limits(connection, found.id, key.as_row())
        return made

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        engine = service_engine(str(self.stacks[0].urls.database_url), application_name="test")
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    @contextmanager
    def redis(self) -> Iterator[RedisSession]:
        """A connection of the test's own to the Redis of all."""
        target = parse_redis_url(str(self.stacks[0].urls.redis_url))
        session = RedisSession(str(target.path), target.password)
        try:
            yield session
        finally:
            session.close()

    def crowd(
        self,
        key: str,
        count: int,
        *prompts: str,
        stacks: Sequence[Stack] = (),
        path: str = "/api/chat",
        **fields: Any,
    ) -> Crowd:
        """So many clients, each at the next gateway with the next of these calls, to be entered."""
        targets = stacks or self.stacks
        calls = []
        for number in range(count):
            # The calls turn when all gateways have had one.
            prompt = prompts[number // len(targets) % len(prompts)]
            request = call_bytes(key, prompt, path=path, **fields)
            calls.append((targets[number % len(targets)].port, request))
        return Crowd(calls)

    def greet(self, key: str, stack: Stack | None = None, prompt: str = "hi [[n=1]]") -> Answer:
        """One call that reaches the model host."""
        return ask((stack or self.stacks[0]).port, "POST", "/api/chat", chat(prompt), key=key)

    def limits(self, key: str, stack: Stack | None = None) -> Any:
        """`GET /gateway/limits`."""
        return ask((stack or self.stacks[0]).port, "GET", "/gateway/limits", key=key).json()

    def entries(self, word: str) -> list[dict[str, Any]]:
        """What the mock saw of a crowd's calls; the word of each is its `word`."""
        found = []
        for entry in self.mock.seen():
            text = str(entry["body"])
            if (start := text.find(word)) >= 0:
                found.append({**entry, "word": text[start:].split(maxsplit=1)[0]})
        return found

    def ledger(self, key: str, period: str = "total") -> int:
        """The tokens that the ledger has for the tenant of a key."""
        ((found,),) = self.stacks[0].administer(_LEDGER, tenant_of(key), period)
        return int(found)

    def tenant_id(self, key: str) -> str:
        """The id of a key's tenant."""
        find = "SELECT id::text FROM gateway.tenants WHERE name = %s"
        ((found,),) = self.stacks[0].administer(find, tenant_of(key))
        return str(found)

    def pending(self, key: str) -> list[bytes]:
        """The calls of a key's tenant that Redis counts beside the ledger."""
        with self.redis() as redis:
            fields = redis.call("HGETALL", f"nz:{{{self.tenant_id(key)}}}:bud")
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return [text for name, text in pairs if name.startswith(b"p:") and text[:1] != b"x"]

    def running(self, key: str) -> int:
        """The calls of a key's tenant that have a slot: they run, or have yet to be settled."""
        with self.redis() as redis:
            seconds, microseconds = map(int, redis.call("TIME"))
            now = f"{seconds * 1000 + microseconds // 1000}"
            slots = f"nz:{{{self.tenant_id(key)}}}:slots:t"
            return int(redis.call("ZCOUNT", slots, f"({now}", "+inf"))

    def charges(self, word: str) -> list[Charge]:
        """The records of a crowd's calls that were admitted, as far as they are written."""
        return [Charge(*row) for row in self.stacks[0].administer(_CHARGES, f"{word}-%")]


_LEDGER = """
    SELECT coalesce(sum(u.tokens), 0)::bigint FROM gateway.budget_usage u
    JOIN gateway.tenants t ON t.id = u.scope_id
    WHERE u.scope_kind = 'tenant' AND t.name = %s AND u.period = %s
"""
_CHARGES = """
    SELECT client_id, outcome, completion_tokens, charged FROM gateway.audit_log
    WHERE client_id LIKE %s AND outcome NOT LIKE 'refused:%%'
"""


def tenant_of(key: str) -> str:
    """The name of the tenant of a key that was made here."""
    return f"tenant-{key[:12]}"


def call_bytes(key: str, prompt: str, *, path: str = "/api/chat", **fields: Any) -> bytes:
    """One call; the first word of its prompt, made one of its own, is its client's id."""
    word, _, rest = prompt.partition(" ")
    own = f"{word}-{secrets.token_hex(6)}"
    text = f"{own} {rest}"
    body: dict[str, object] = chat(text, **fields)
    if path == "/api/generate":
        body = {"model": body["model"], "prompt": text, **fields}
    if path == "/v1/chat/completions":
        body = {"stream": True, **body}
    return request_bytes("POST", path, body, key=key, headers={"X-Request-ID": own})


def most_at_once(entries: Iterable[dict[str, Any]]) -> int:
    """How many requests the mock had open at the same time."""
    changes = []
    for entry in entries:
        changes.append((entry["received_at"], 1))
        if entry["closed_at"] is not None:
            changes.append((entry["closed_at"], -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


@cache
def shared_house() -> LimitsHouse:
    """Two gateways and their servers, for the tests of this process; ends with it."""
    house = LimitsHouse([shared_stack(**ROOM, TOKEN_LEASE="16")])
    atexit.register(house.end)
    house.beside()
    return house


@cache
def lone_house() -> LimitsHouse:
    """One gateway that has its servers alone: what Redis lost is there again without a wait."""
    return LimitsHouse([shared_stack(**ROOM, TOKEN_LEASE="32")])


def own_house(case: SynchronousTestCase, gateways: int = 1, **settings: str) -> LimitsHouse:
    """A house of this test's own whose servers outlive its gateways, ended with the test."""
    records = recording_house(case, **{**ROOM, **settings})
    house = LimitsHouse([records.stack], records)
    case.addCleanup(house.end)
    for _ in range(gateways - 1):
        house.beside()
    return house


def new_word() -> str:
    """A word that is in the prompts of one crowd, and begins the client ids of its calls."""
    return marker()
