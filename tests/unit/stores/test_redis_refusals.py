"""A server that is connected and refuses, on a clock."""

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from txredisapi import ResponseError

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import Script
from neuronetz_twisted.stores.redis_refusals import PROBE, PROBE_KEY, PROBE_S
from tests.unit.stores.redis_peer import RUN_ID, MemoryRedis, greeting

SCRIPT = Script("one", b"return 1")
OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
NOPERM = b"-NOPERM this user has no permissions\r\n"
ASKED = [b"EVALSHA", PROBE.digest.encode(), b"1", PROBE_KEY.encode()]


class RefusalTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have one connection."""
        self.redis = MemoryRedis()
        self.gate = self.redis.gate
        self.end = self.redis.connect()

    def refuse(self, reply: bytes, kind: type[Exception] = RedisUnavailable) -> None:
        """A script that is answered so."""
        call = self.gate.script(SCRIPT, [], [])
        self.end.send(reply)
        self.failureResultOf(call, kind)
        self.end.clear()

    def look(self, reply: bytes) -> None:
        """Wait until the server is asked again, and have it answer so."""
        self.redis.clock.advance(PROBE_S)
        self.assertEqual(self.end.received(), [ASKED])
        self.end.send(reply)

    def test_until_a_write_is_done_again(self) -> None:
        """It is asked again and again, without any call, until it has written."""
        self.assertTrue(self.gate.serves)
        self.refuse(OOM)
        self.assertTrue(self.gate.up)
        self.assertFalse(self.gate.serves)
        for reply in (OOM, b"-ERR strange\r\n", b"-NOSCRIPT no\r\n" * 2):
            self.look(reply)
            self.end.clear()
            self.assertFalse(self.gate.serves)
        self.look(b":1\r\n")
        self.assertTrue(self.gate.serves)
        self.redis.clock.advance(2 * PROBE_S)
        self.assertNotIn(ASKED, self.end.received())

    def test_scripts_that_are_answered(self) -> None:
        """A full server answers those that only free something: this ends no refusal."""
        self.refuse(OOM)
        call = self.gate.script(SCRIPT, [], [])
        self.end.send(b":1\r\n")
        self.assertEqual(self.successResultOf(call), 1)
        self.assertFalse(self.gate.serves)

    def test_forbidden(self) -> None:
        """What the account may not do is refused, too; it keeps its type."""
        for reply in (NOPERM, b"-ERR ACL failure in script: User gw has no permissions\r\n"):
            self.refuse(reply, ResponseError)
            self.assertFalse(self.gate.serves)
            self.look(b":1\r\n")
            self.assertTrue(self.gate.serves)

    def test_faults_of_ours(self) -> None:
        """A wrong call says nothing about the server."""
        self.refuse(b"-WRONGTYPE no\r\n", ResponseError)
        self.assertTrue(self.gate.serves)

    def test_plain_commands(self) -> None:
        """They are refused as scripts are."""
        call = self.gate.call(b"SET", "k", "v")
        self.end.send(OOM)
        self.failureResultOf(call, RedisUnavailable)
        self.assertFalse(self.gate.serves)

    def test_log(self) -> None:
        """Each refusal is one line when it begins, and the end of all is one."""
        with capturedLogs() as events:
            for _ in range(2):
                for _ in range(3):
                    self.refuse(OOM)
                    self.refuse(NOPERM, ResponseError)
                self.look(OOM)
                self.look(b":1\r\n")
        self.assertEqual(
            [(event["log_level"], formatEvent(event)) for event in events],
            [
                (LogLevel.warn, "Redis at /redis.sock refuses calls: OOM"),
                (LogLevel.warn, "Redis at /redis.sock refuses calls: NOPERM"),
                (LogLevel.info, "Redis at /redis.sock serves calls again"),
            ]
            * 2,
        )

    def test_away_meanwhile(self) -> None:
        """Another run of the server is asked as well."""
        self.refuse(OOM)
        self.end.close()
        self.redis.clock.advance(PROBE_S)
        self.assertFalse(self.gate.serves)
        self.end = self.redis.accept()
        self.end.send(greeting())
        self.end.clear()
        self.look(b":1\r\n")
        self.assertTrue(self.gate.serves)

    def test_unforeseen(self) -> None:
        """A fault of ours is logged, and the server is asked again."""
        self.refuse(OOM)
        self.patch(self.gate._refusals, "_end", lambda _: 1 // 0)
        for faults in (1, 1):
            self.look(b":1\r\n")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), faults)

    def test_stop(self) -> None:
        """A gate that stops asks no more."""
        self.refuse(OOM)
        self.gate.stopService()
        self.redis.clock.advance(0)
        self.assertEqual(self.redis.clock.getDelayedCalls(), [])
        self.assertTrue(self.gate.serves)


class ReplicaTests(SynchronousTestCase):
    def test_demoted(self) -> None:
        """A primary that became a replica is left, and not taken again while it is one."""
        redis = MemoryRedis()
        end = redis.connect()
        call = redis.gate.script(SCRIPT, [], [])
        end.send(b"-READONLY You can't write against a read only replica.\r\n")
        failure = self.failureResultOf(call, RedisUnavailable)
        self.assertEqual(str(failure.value), "Redis cannot serve now: READONLY")
        self.assertFalse(redis.gate.up)
        redis.clock.advance(0)
        self.assertFalse(end.open)
        redis.next_connection(greeting(role="slave"))
        self.assertEqual(redis.connected, [RUN_ID])
        failure = self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)
        self.assertEqual(str(failure.value), "Redis is away: it is a replica")
        redis.clock.advance(0)
        redis.next_connection()
        self.assertTrue(redis.gate.up)
