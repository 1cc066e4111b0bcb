"""The gate, the stores and the admission scripts on a real server, and through its failures."""

import time
from typing import Any
from uuid import uuid4

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from txredisapi import ResponseError

from neuronetz_twisted.admission.allowance import Allowance
from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.limits import NOTHING_SET
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script
from neuronetz_twisted.stores.catalog import RedisCatalog
from neuronetz_twisted.stores.principals import RedisPrincipals
from neuronetz_twisted.stores.redis import RedisGate
from neuronetz_twisted.vocabulary import CachedPrincipal, ModelInfo, Principal, Scope
from tests.figures import within
from tests.integration.killable_redis import KillableRedis
from tests.waiting import reactor, until

DEADLINE_S = 0.25
RECOVERY_S = 2.0
# What a busy machine of two cores may add to a timer.
SLACK_S = within(0.15)
ALLOWANCE = Allowance(
    tenant=NOTHING_SET, key=NOTHING_SET, max_body_bytes=1_000_000, max_predict=4096
)


def principal(epoch: int = 1) -> Principal:
    """Somebody."""
    return Principal(
        tenant_id=uuid4(),
        key_id=uuid4(),
        prefix="nz_AbCdEfGhI",
        scopes=frozenset({Scope.CHAT}),
        allow_all_models=False,
        models=frozenset({"llama3.2:3b"}),
        expires_at=1.5,
        epoch=epoch,
    )


class RedisTestCase(TestCase):
    """Tests that have a server of their own and a gate to it."""

    timeout = 30
    password = "s3cret"

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Start both."""
        self.server = KillableRedis(self.password)
        self.addCleanup(self.server.clean_up)
        await self.server.start()
        self.gate = await self.started(self.server.target())

    async def started(self, target: RedisTarget, **figures: int) -> RedisGate:
        """A gate that is up, and stopped at the end of the test."""
        gate = self.starting(target, **figures)
        await until(lambda: gate.up)
        return gate

    def starting(self, target: RedisTarget, **figures: Any) -> RedisGate:
        """A gate that was started, and is stopped at the end of the test."""
        gate = RedisGate(reactor, target, **figures)
        gate.startService()
        self.addCleanup(gate.stopService)
        return gate

    async def recovered(self, gate: RedisGate) -> None:
        """Wait until the gate is up again, no longer than it may take."""
        await until(lambda: gate.up, within_s=RECOVERY_S)

    async def refused_after(self, gate: RedisGate) -> float:
        """The seconds after which a call is refused."""
        began = time.monotonic()
        with self.assertRaises(RedisUnavailable):
            await gate.call(b"PING")
        return time.monotonic() - began

    async def reason(self, gate: RedisGate) -> str:
        """Why a call is refused; empty if it is not."""
        try:
            await gate.call(b"PING")
        except RedisUnavailable as error:
            return str(error)
        return ""


class CallTests(RedisTestCase):
    async def test_bytes_stay_bytes(self) -> None:
        """What looks like a number or like text comes back as the bytes that were written."""
        for value in (b"00123", b"1e5", b"\x00\xff\r\n", "é".encode(), b""):
            await self.gate.call(b"SET", "key", value)
            self.assertEqual(await self.gate.call(b"GET", "key"), value)

    async def test_kinds_of_reply(self) -> None:
        """Numbers, lists and nothing are what they are in Redis."""
        self.assertEqual(await self.gate.call(b"INCRBY", "n", 41), 41)
        self.assertEqual(await self.gate.call(b"MGET", "n", "none"), [b"41", None])
        self.assertIsNone(await self.gate.call(b"GET", "none"))

    async def test_many_at_once(self) -> None:
        """Calls that overlap each get their own answer."""
        calls = [self.gate.call(b"ECHO", str(number)) for number in range(500)]
        self.assertEqual(
            await gatherResults(calls), [str(number).encode() for number in range(500)]
        )

    async def test_wrong_command(self) -> None:
        """An error that blames the call keeps its type, and the gate stays up."""
        with self.assertRaises(ResponseError):
            await self.gate.call(b"NONSENSE")
        self.assertEqual(await self.gate.call(b"PING"), b"PONG")

    async def test_database(self) -> None:
        """The database of the URL is the one that is used."""
        other = await self.started(self.server.target(database=3))
        await other.call(b"SET", "key", "there")
        self.assertIsNone(await self.gate.call(b"GET", "key"))
        self.assertEqual(await other.call(b"GET", "key"), b"there")

    async def test_user(self) -> None:
        """A user of Redis' access list logs in with name and password."""
        await self.gate.call(b"ACL", "SETUSER", "gw", "on", ">pw", "~*", "+@all")
        gate = await self.started(self.server.target(username="gw", password="pw"))
        self.assertEqual(await gate.call(b"ACL", "WHOAMI"), b"gw")

    async def test_forgotten_script(self) -> None:
        """A script works before Redis knows it and after Redis has forgotten it."""
        script = Script("echo", b"return {KEYS[1], ARGV[1], 7}")
        for _ in range(3):
            reply = await self.gate.script(script, ["k"], ["00123"])
            self.assertEqual(reply, [b"k", b"00123", 7])
            await self.gate.call(b"SCRIPT", "FLUSH")

    async def test_out_of_memory(self) -> None:
        """A server that may not write any more is unavailable, also from inside a script."""
        script = Script("set", b"return redis.call('SET', KEYS[1], ARGV[1])")
        await self.gate.call(b"CONFIG", "SET", "maxmemory", 1)
        for call in (self.gate.call(b"SET", "k", "v"), self.gate.script(script, ["k"], ["v"])):
            with self.assertRaises(RedisUnavailable):
                await call

    async def test_busy_server(self) -> None:
        """A server held up by somebody's script is unavailable until the script has ended."""
        await self.gate.call(b"CONFIG", "SET", "busy-reply-threshold", 100)
        other = await self.started(self.server.target(), timeout_ms=5000)
        endless = other.call(b"EVAL", "while true do end", 0)
        while "BUSY" not in (reason := await self.reason(self.gate)):
            self.assertIn(reason, {"", "Redis is away: it did not answer in time"})
        await self.gate.call(b"SCRIPT", "KILL")
        with self.assertRaises(ResponseError):
            await endless
        self.assertEqual(await self.gate.call(b"PING"), b"PONG")


class PasswordTests(RedisTestCase):
    async def test_wrong_then_right(self) -> None:
        """With a wrong password all calls are refused; once it is right, the gate comes up."""
        gate = self.starting(self.server.target(password="later"))
        while "WRONGPASS" not in await self.reason(gate):
            await deferLater(reactor, 0.01)
        self.assertFalse(gate.up)
        await self.gate.call(b"CONFIG", "SET", "requirepass", "later")
        await self.recovered(gate)
        self.assertEqual(await gate.call(b"PING"), b"PONG")


class FailureTests(RedisTestCase):
    async def test_stopped(self) -> None:
        """A frozen server: each call refused by its deadline, soon at once; recovery by itself."""
        self.server.stop()
        self.addCleanup(self.server.go_on)
        self.assertLess(await self.refused_after(self.gate), DEADLINE_S + SLACK_S)
        waits = [await self.refused_after(self.gate) for _ in range(200)]
        self.assertLess(max(waits), DEADLINE_S + SLACK_S)
        self.assertLess(
            sum(waits), within(1.0), "calls go on waiting for a server that is known to hang"
        )
        self.assertLess(await self.refused_after(self.gate), within(0.05))
        self.server.go_on()
        await self.recovered(self.gate)
        self.assertEqual(await self.gate.call(b"PING"), b"PONG")

    async def test_stopped_under_load(self) -> None:
        """A frozen server gathers no calls: beyond the bound they are refused at once."""
        self.server.stop()
        self.addCleanup(self.server.go_on)
        calls = [self.outcome(self.gate.call(b"PING")) for _ in range(12_000)]
        self.assertGreaterEqual(sum(call.called for call in calls), 2000)
        began = time.monotonic()
        self.assertEqual(set(await gatherResults(calls)), {"refused"})
        self.assertLess(time.monotonic() - began, DEADLINE_S + 2 * SLACK_S)
        self.server.go_on()
        await self.recovered(self.gate)

    async def test_short_stop(self) -> None:
        """A hiccup costs the calls that it delayed; later ones find the same connections."""
        gate = await self.started(self.server.target(), pool_size=1, timeout_ms=400)
        identity = await gate.call(b"CLIENT", "ID")
        self.server.stop()
        self.addCleanup(self.server.go_on)
        self.assertLess(await self.refused_after(gate), 0.4 + SLACK_S)
        self.server.go_on()
        await self.recovered(gate)
        self.assertEqual(await gate.call(b"CLIENT", "ID"), identity)

    async def test_killed_and_restarted(self) -> None:
        """A killed server: what waits fails at once, later calls too; recovery by itself."""
        self.server.stop()
        waiting = self.outcome(self.gate.call(b"PING"))
        began = time.monotonic()
        self.server.kill()
        self.assertEqual(await waiting, "refused")
        await until(lambda: not self.gate.up)
        self.assertLess(time.monotonic() - began, DEADLINE_S)
        self.assertLess(await self.refused_after(self.gate), within(0.05))
        await self.server.start()
        await self.recovered(self.gate)
        self.assertEqual(await self.gate.call(b"PING"), b"PONG")

    async def test_restarted_under_load(self) -> None:
        """Through a restart every call ends, in an answer or a refusal."""
        outcomes: list[str] = []
        calling = True

        async def call_on() -> None:
            while calling:
                outcomes.append(await self.outcome(self.gate.call(b"PING")))
                await deferLater(reactor, 0.002)

        callers = [Deferred.fromCoroutine(call_on()) for _ in range(10)]
        await until(lambda: outcomes.count("answered") > 20)
        self.server.kill()
        await self.server.start()
        await self.recovered(self.gate)
        before = len(outcomes)
        await until(lambda: outcomes[before:].count("answered") > 100)
        calling = False
        await gatherResults(callers)
        self.assertEqual(set(outcomes), {"answered", "refused"})

    async def test_listener_that_closes(self) -> None:
        """A listener that accepts and closes, as a proxy without a server, is tried on and on."""
        self.server.kill()
        accepted = []

        class Closing(Protocol):
            transport: ITransport

            def connectionMade(self) -> None:
                accepted.append(self)
                self.transport.loseConnection()

        path = self.server.target().path
        endpoint = UNIXServerEndpoint(reactor, path)
        port = await endpoint.listen(Factory.forProtocol(Closing))
        await until(lambda: len(accepted) >= 4)
        self.assertFalse(self.gate.up)
        await port.stopListening()
        await self.server.start()
        await self.recovered(self.gate)

    async def test_connections_killed_by_the_server(self) -> None:
        """Connections that the server ends are replaced."""
        identity = await self.gate.call(b"CLIENT", "ID")
        other = await self.started(self.server.target())
        await other.call(b"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: not self.gate.up)
        await self.recovered(self.gate)
        self.assertNotEqual(await self.gate.call(b"CLIENT", "ID"), identity)

    async def test_stop_while_the_server_hangs(self) -> None:
        """A gate that waits for a frozen server stops at once, and its calls end."""
        gate = await self.started(self.server.target())
        self.server.stop()
        self.addCleanup(self.server.go_on)
        waiting = self.outcome(gate.call(b"PING"))
        began = time.monotonic()
        await gate.stopService()
        self.assertLess(time.monotonic() - began, within(0.1))
        self.assertEqual(await waiting, "refused")

    def outcome(self, call: Deferred[RedisReply]) -> Deferred[str]:
        """How a call ended."""

        def refused(failure: Failure) -> str:
            failure.trap(RedisUnavailable)
            return "refused"

        return call.addCallbacks(lambda _: "answered", refused)


class StoreTests(RedisTestCase):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Have both stores."""
        await super().setUp()
        self.principals = RedisPrincipals(self.gate)
        self.catalog = RedisCatalog(self.gate)

    async def test_principal(self) -> None:
        """An entry comes back as it was put, with the time it has left; dropped, it is gone."""
        entry = CachedPrincipal(digest=bytes(range(32)), principal=principal())
        prefix = entry.principal.prefix
        self.assertIsNone(await self.principals.get(prefix))
        await self.principals.put(prefix, entry, 60)
        found = await self.principals.get(prefix)
        self.assertIsNotNone(found)
        self.assertEqual(found and found[0], entry)
        self.assertTrue(found and 59 < found[1] <= 60)
        await self.principals.drop(prefix)
        self.assertIsNone(await self.principals.get(prefix))

    async def test_time_left(self) -> None:
        """The time left is Redis', not the time that was asked for; past it the entry is gone."""
        entry = CachedPrincipal(digest=bytes(32), principal=principal())
        await self.principals.put("p" * 12, entry, 60)
        await self.principals.put(entry.principal.prefix, entry, 60)
        key = f"nz:key:{entry.principal.prefix}"
        await self.gate.call(b"PEXPIRE", key, 1500)
        found = await self.principals.get(entry.principal.prefix)
        self.assertTrue(found and 1 < found[1] <= 1.5)
        await self.gate.call(b"PEXPIRE", key, 0)
        self.assertIsNone(await self.principals.get(entry.principal.prefix))

    async def test_time_already_over(self) -> None:
        """An entry put with no time left does not stay."""
        entry = CachedPrincipal(digest=bytes(32), principal=principal())
        await self.principals.put(entry.principal.prefix, entry, -5)
        left_ms = await self.gate.call(b"PTTL", f"nz:key:{entry.principal.prefix}")
        self.assertIn(left_ms, (-2, 0, 1))

    async def test_foreign_principal(self) -> None:
        """A value that we did not write is absent, and is gone afterwards."""
        prefix = "nz_AbCdEfGhI"
        key = f"nz:key:{prefix}"
        commands: tuple[tuple[bytes, *tuple[RedisArgument, ...]], ...] = (
            (b"SET", key, "not JSON", b"PX", 60_000),
            (b"SET", key, "{}", b"PX", 60_000),
            (b"SET", key, "{}"),
            (b"HSET", key, "field", "value"),
        )
        for command in commands:
            await self.gate.call(*command)
            self.assertIsNone(await self.principals.get(prefix))
            self.assertEqual(await self.gate.call(b"EXISTS", key), 0)

    async def test_catalogue(self) -> None:
        """The list comes back in its order, with the time it has left."""
        models = [
            ModelInfo(
                name=f"model-{number}:latest",
                listing={"size": number, "digest": "00" * 32},
                details={"capabilities": ["completion"], "model_info": {"x": 1.5}},
                backends=("a", "b"),
            )
            for number in range(100)
        ]
        self.assertIsNone(await self.catalog.load())
        await self.catalog.save(models, 120)
        found = await self.catalog.load()
        self.assertIsNotNone(found)
        self.assertEqual(list(found[0]) if found else None, models)
        self.assertTrue(found and 119 < found[1] <= 120)

    async def test_foreign_catalogue(self) -> None:
        """A list that we did not write is absent, and is gone afterwards."""
        await self.gate.call(b"SET", "nz:catalog", '[{"name": 1}]', b"PX", 60_000)
        self.assertIsNone(await self.catalog.load())
        self.assertEqual(await self.gate.call(b"EXISTS", "nz:catalog"), 0)

    async def test_away(self) -> None:
        """Without Redis each store says so."""
        self.server.kill()
        await until(lambda: not self.gate.up)
        entry = CachedPrincipal(digest=bytes(32), principal=principal())
        for call in (
            self.principals.get("p"),
            self.principals.put("p", entry, 1),
            self.principals.drop("p"),
            self.catalog.load(),
            self.catalog.save([], 1),
        ):
            with self.assertRaises(RedisUnavailable):
                await call
