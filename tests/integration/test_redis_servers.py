"""Which server the gate is on, and whether that one keeps all it has, on real servers."""

import shutil
import tempfile
from pathlib import Path

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase
from txredisapi import ResponseError

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.stores import redis, redis_refusals
from neuronetz_twisted.stores.redis import RedisGate
from tests.integration.killable_redis import KillableRedis
from tests.waiting import reactor, until


class ServerTests(TestCase):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """A server, and a gate that is up."""
        self.heard: list[str] = []
        self.server = await self.new_server()
        self.gate = await self.started(self.server.target())

    async def new_server(self) -> KillableRedis:
        """One of this test's own."""
        server = KillableRedis()
        self.addCleanup(server.clean_up)
        await server.start()
        return server

    async def started(self, target: RedisTarget) -> RedisGate:
        """A gate that is up, and stopped at the end of the test."""
        gate = self.starting(target)
        await until(lambda: gate.up)
        return gate

    def starting(self, target: RedisTarget) -> RedisGate:
        """A gate that was started, and is stopped at the end of the test."""
        gate = RedisGate(reactor, target, connected=self.heard.append)
        gate.startService()
        self.addCleanup(gate.stopService)
        return gate

    async def test_which_server(self) -> None:
        """One hears of each connection to which run of the server it is, also after a restart."""
        await until(lambda: len(self.heard) > 1)
        self.server.kill()
        await self.server.start()
        await until(lambda: len(self.heard) > 3)
        first, second, third, fourth = self.heard
        self.assertEqual((first, third), (second, fourth))
        self.assertNotEqual(first, third)

    async def test_another_server(self) -> None:
        """Once its name means another server, all calls go there, though the former one lives."""
        other = await self.new_server()
        place = Path(tempfile.mkdtemp(prefix="nz")) / "redis.sock"
        self.addCleanup(shutil.rmtree, place.parent)
        place.symlink_to(str(self.server.target().path))
        gate = await self.started(self.server.target(path=str(place)))
        identity = await gate.call(b"CLIENT", "ID")
        await until(lambda: len(gate._pool) > 1)
        place.unlink()
        place.symlink_to(str(other.target().path))
        await self.gate.call(b"CLIENT", "KILL", "ID", str(identity))
        there = await self.started(other.target())
        await there.call(b"SET", "which", "other")
        await until(lambda: gate.up and len({each.run_id for each in gate._pool}) == 1)
        await until(lambda: len(gate._pool) > 1)
        answers = await gatherResults([gate.call(b"GET", "which") for _ in range(10)])
        self.assertEqual(set(answers), {b"other"})

    async def test_policy(self) -> None:
        """A policy that is set while the server runs is seen, both ways."""
        self.patch(redis, "POLICY_S", 0.05)
        gate = await self.started(self.server.target())
        self.assertTrue(gate.keeps_all)
        await self.gate.call(b"CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await until(lambda: not gate.keeps_all)
        self.assertTrue(gate.up)
        late = await self.started(self.server.target())
        self.assertFalse(late.keeps_all)
        await self.gate.call(b"CONFIG", "SET", "maxmemory-policy", "noeviction")
        await until(lambda: gate.keeps_all and late.keeps_all)

    async def test_full(self) -> None:
        """A server without memory is seen to refuse, and to serve again, though nobody calls."""
        self.patch(redis_refusals, "PROBE_S", 0.05)
        await self.gate.call(b"CONFIG", "SET", "maxmemory", 1)
        await self.refused(self.gate)
        self.assertTrue(self.gate.up)
        self.assertFalse(self.gate.serves)
        await self.gate.call(b"CONFIG", "SET", "maxmemory", 0)
        await until(lambda: self.gate.serves)
        self.assertEqual(await self.gate.call(b"DBSIZE"), 0)

    async def test_forbidden_to_write(self) -> None:
        """An account that may not write, nor a script for it."""
        self.patch(redis_refusals, "PROBE_S", 0.05)
        await self.gate.call(b"ACL", "SETUSER", "gw", "on", ">pw", "~*", "+@all", "-hset")
        gate = await self.started(self.server.target(username="gw", password="pw"))
        with self.assertRaises(ResponseError):
            await gate.script(redis_refusals.PROBE, ["k"], [])
        self.assertFalse(gate.serves)
        await self.gate.call(b"ACL", "SETUSER", "gw", "+hset")
        await until(lambda: gate.serves)

    async def test_demoted(self) -> None:
        """A server that becomes a replica is left, and taken again when it is a primary."""
        self.patch(redis_refusals, "PROBE_S", 0.05)
        keeper = await self.started(self.server.target())
        await self.gate.call(b"REPLICAOF", "127.0.0.1", 1)
        await self.refused(self.gate)
        await until(lambda: not self.gate.up)
        await until(lambda: "it is a replica" in self.reason(self.gate))
        self.assertFalse(self.gate.serves)
        await keeper.call(b"REPLICAOF", "NO", "ONE")
        await until(lambda: self.gate.up and self.gate.serves)

    async def refused(self, gate: RedisGate) -> None:
        """A script that writes is refused."""
        with self.assertRaises(RedisUnavailable):
            await gate.script(redis_refusals.PROBE, ["k"], [])

    async def test_forbidden_to_ask(self) -> None:
        """An account that may not ask what the server is gets a clear word."""
        await self.gate.call(b"ACL", "SETUSER", "gw", "on", ">pw", "~*", "+@all", "-info")
        gate = self.starting(self.server.target(username="gw", password="pw"))
        refused = "Redis is away: it refused INFO with NOPERM"
        await until(lambda: refused == self.reason(gate))

    def reason(self, gate: RedisGate) -> str:
        """Why a call is refused."""
        return str(self.failureResultOf(gate.call(b"PING"), RedisUnavailable).value)
