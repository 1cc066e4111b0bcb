"""Which server the gate is on, and whether that one keeps all it has, on real servers."""

import shutil
import tempfile
from pathlib import Path

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.stores import redis
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

    async def test_forbidden_to_ask(self) -> None:
        """An account that may not ask what the server is gets a clear word."""
        await self.gate.call(b"ACL", "SETUSER", "gw", "on", ">pw", "~*", "+@all", "-info")
        gate = self.starting(self.server.target(username="gw", password="pw"))
        refused = "Redis is away: it refused INFO with NOPERM"
        await until(lambda: refused == self.reason(gate))

    def reason(self, gate: RedisGate) -> str:
        """Why a call is refused."""
        return str(self.failureResultOf(gate.call(b"PING"), RedisUnavailable).value)
