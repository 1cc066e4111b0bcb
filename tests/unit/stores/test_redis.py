"""The gate and its connections on a clock, against a server in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from txredisapi import ResponseError

from neuronetz_twisted.errors import RedisNotAsked, RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.seams import RedisReply, Script
from neuronetz_twisted.stores.patience import GRACE_S
from neuronetz_twisted.stores.redis import POLICY_S, RedisGate
from neuronetz_twisted.stores.redis_connection import RedisConnection
from tests.unit.stores.redis_peer import RUN_ID, MemoryRedis, ServerEnd, greeting, said

SCRIPT = Script("one", b"return 1")
OTHER = "b" * 40
ASKED = [[b"PING"], *([b"INFO", part] for part in (b"server", b"replication", b"memory"))]


@contextmanager
def log_lines() -> Iterator[list[str]]:
    """The lines that the gate writes meanwhile."""
    lines: list[str] = []
    with capturedLogs() as events:
        yield lines

    def of_gate(event: LogEvent) -> bool:
        return "neuronetz_twisted" in str(event.get("log_namespace"))

    lines.extend(formatEvent(event) for event in events if of_gate(event))


class GreetingTests(SynchronousTestCase):
    def greeting_of(self, target: RedisTarget, *, before: int = 0) -> list[list[bytes]]:
        """What the gate says to a server that agrees with everything."""
        redis = MemoryRedis(target)
        redis.gate.startService()
        redis.clock.advance(1)
        end = redis.accept()
        for reply in [b"+OK\r\n"] * before + [greeting()]:
            self.assertFalse(redis.gate.up)
            end.send(reply)
        self.assertTrue(redis.gate.up)
        return end.received()

    def test_without_account(self) -> None:
        """It asks for an answer, which server that is, and what it does without memory."""
        self.assertEqual(self.greeting_of(RedisTarget(path="/s")), ASKED)

    def test_with_account_and_database(self) -> None:
        """It logs in and selects the database before anything else."""
        target = RedisTarget(path="/s", username="me", password="secret", database=3)
        self.assertEqual(
            self.greeting_of(target, before=2),
            [[b"AUTH", b"me", b"secret"], [b"SELECT", b"3"], *ASKED],
        )

    def test_password_alone(self) -> None:
        """A password without a user is that of the default user."""
        greeting = self.greeting_of(RedisTarget(path="/s", password="00123"), before=1)
        self.assertEqual(greeting[0], [b"AUTH", b"00123"])

    def test_refused_password(self) -> None:
        """A refused password is one failed attempt; the next one may succeed."""
        redis = MemoryRedis(RedisTarget(path="/s", password="secret"))
        redis.gate.startService()
        with log_lines() as lines:
            for _ in range(3):
                attempts = redis.attempts
                while redis.attempts == attempts:
                    redis.clock.advance(1)
                end = redis.accept()
                end.send(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
                redis.clock.advance(0)
                self.assertFalse(end.open)
                self.assertFalse(redis.gate.up)
        self.assertEqual(
            lines, ["Redis at /s is away: it refused AUTH with WRONGPASS"], "one line per change"
        )
        redis.clock.advance(4)
        end = redis.accept()
        end.send(b"+OK\r\n")
        self.assertFalse(redis.gate.up)
        end.send(greeting())
        self.assertTrue(redis.gate.up)

    def test_server_that_does_not_say_who_it_is(self) -> None:
        """Whether its counters are whole could not be known, so nothing is asked of it."""
        no_run = said("# Server\r\nredis_version:7.0.0\r\n")
        run = said(f"run_id:{RUN_ID}\r\n")
        primary = run + said("role:master\r\n")
        for reply, why in (
            (b"-NOPERM this user has no permissions\r\n", "it refused INFO with NOPERM"),
            (no_run, "its answer to INFO has no run_id"),
            (said("run_id:with spaces\r\n"), "its answer to INFO has no run_id"),
            (b":1\r\n", "its answer to INFO has no run_id"),
            (run + b"-NOPERM no\r\n", "it refused INFO with NOPERM"),
            (run + no_run, "its answer to INFO has no role"),
            (run + said("role:slave\r\n"), "it is a replica"),
            (primary + no_run, "its answer to INFO has no maxmemory_policy"),
        ):
            redis = MemoryRedis()
            end = redis.connect(b"+PONG\r\n" + reply)
            redis.clock.advance(0)
            self.assertFalse(end.open)
            self.assertEqual(redis.connected, [])
            failure = self.failureResultOf(redis.gate.call(b"PING"), RedisNotAsked)
            self.assertEqual(str(failure.value), f"Redis is away: {why}")

    def test_silent_server(self) -> None:
        """A server that accepts and says nothing is away; it is left after twice the deadline."""
        redis = MemoryRedis()
        redis.gate.startService()
        redis.clock.advance(1)
        end = redis.accept()
        redis.clock.advance(0.49)
        self.assertTrue(end.open)
        redis.clock.advance(0.02)
        redis.clock.advance(GRACE_S)
        redis.clock.advance(0)
        self.assertFalse(end.open)
        failure = self.failureResultOf(redis.gate.call(b"PING"), RedisNotAsked)
        self.assertEqual(str(failure.value), "Redis is away: it did not answer in time")

    def test_lost_before_the_greeting(self) -> None:
        """A connection that is gone already is refused, and nothing waits for it."""
        clock = Clock()
        connection = RedisConnection(clock, timeout_s=1.0, limit=1)
        connection.makeConnection(StringTransport())
        connection.connectionLost(Failure(ConnectionDone()))
        greeting = Deferred.fromCoroutine(connection.greet(RedisTarget(path="/s")))
        failure = self.failureResultOf(greeting, RedisUnavailable)
        self.assertEqual(str(failure.value), "Connection was closed cleanly.")
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_loading(self) -> None:
        """A server that still loads its data is away."""
        redis = MemoryRedis()
        redis.gate.startService()
        redis.clock.advance(1)
        redis.accept().send(b"-LOADING Redis is loading the dataset in memory\r\n")
        self.assertFalse(redis.gate.up)


class CallTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have one connection."""
        self.redis = MemoryRedis()
        self.gate = self.redis.gate
        self.end = self.redis.connect()
        self.began = self.redis.clock.seconds()

    def call(self) -> Deferred[RedisReply]:
        """Any call."""
        return self.gate.call(b"GET", "key")

    def passed_ms(self) -> int:
        """The time since the connection was made."""
        return round((self.redis.clock.seconds() - self.began) * 1000)

    def test_reply(self) -> None:
        """A reply is what came over the wire: bytes stay bytes."""
        call = self.gate.call(b"GET", "kéy", b"\x00\xff", 7)
        self.assertEqual(self.end.received(), [[b"GET", "kéy".encode(), b"\x00\xff", b"7"]])
        self.end.send(b"$5\r\n00123\r\n")
        self.assertEqual(self.successResultOf(call), b"00123")

    def test_reply_in_pieces(self) -> None:
        """A reply may come byte by byte."""
        call = self.call()
        for byte in b"*2\r\n$1\r\na\r\n:-1\r\n":
            self.assertNoResult(call)
            self.end.send(bytes([byte]))
        self.assertEqual(self.successResultOf(call), [b"a", -1])

    def test_wrong_command(self) -> None:
        """An error that blames the call is a fault of ours and keeps its type."""
        call = self.call()
        self.end.send(b"-WRONGTYPE Operation against a key\r\n")
        self.failureResultOf(call, ResponseError)
        self.assertTrue(self.gate.up)

    def test_server_in_trouble(self) -> None:
        """An error that says that Redis cannot serve now is RedisUnavailable."""
        for code in ("OOM", "LOADING", "NOREPLICAS", "BUSY", "MISCONF"):
            call = self.call()
            self.end.send(f"-{code} whatever comes\r\n".encode())
            failure = self.failureResultOf(call, RedisUnavailable)
            self.assertEqual(str(failure.value), f"Redis cannot serve now: {code}")

    def test_one_timer(self) -> None:
        """Calls share one timer; it ends with the deadline of the last one, or the connection."""
        clock = self.redis.clock
        before = len(clock.getDelayedCalls())
        for _ in range(3):
            call = self.call()
            self.end.send(b"$-1\r\n")
            self.assertIsNone(self.successResultOf(call))
            self.assertEqual(len(clock.getDelayedCalls()), before + 1)
        clock.advance(0.25)
        self.assertEqual(len(clock.getDelayedCalls()), before)
        waiting = self.call()
        self.redis.gate.stopService()
        clock.advance(0)
        self.failureResultOf(waiting, RedisUnavailable)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_each_call_has_its_own_deadline(self) -> None:
        """A call fails by its own deadline and grace, though others were sent before it."""
        ended: list[int] = []
        for sent_ms in (0, 20, 100, 220):
            self.redis.clock.pump([0.001] * (sent_ms - self.passed_ms()))
            self.call().addErrback(lambda _: ended.append(self.passed_ms()))
        self.redis.clock.pump([0.001] * 400)
        for sent_ms, ended_ms in zip((0, 20, 100, 220), ended, strict=True):
            self.assertLess(abs(ended_ms - sent_ms - 300), 5)

    def test_deadline(self) -> None:
        """A call fails at its deadline, and no other is sent until the answer is in."""
        call = self.call()
        self.redis.clock.advance(0.249)
        self.assertNoResult(call)
        self.redis.clock.advance(0.002)
        self.assertNoResult(call)
        self.redis.clock.advance(GRACE_S)
        late = self.failureResultOf(call, RedisUnavailable)
        self.assertNotIsInstance(late.value, RedisNotAsked)
        self.assertFalse(self.gate.up)
        self.end.clear()
        self.failureResultOf(self.call(), RedisNotAsked)
        self.assertEqual(self.end.received(), [])
        self.end.send(b"$4\r\nlate\r\n")
        self.assertTrue(self.gate.up)
        call = self.call()
        self.end.send(b"$5\r\nfresh\r\n")
        self.assertEqual(self.successResultOf(call), b"fresh")

    def test_slow_turn(self) -> None:
        """A turn of ours that was longer than the deadline condemns no answer that has arrived."""
        call = self.call()
        self.redis.clock.advance(10)
        self.end.send(b"$5\r\nfresh\r\n")
        self.assertEqual(self.successResultOf(call), b"fresh")
        self.assertTrue(self.gate.up)
        self.assertTrue(self.end.open)

    def test_late_error(self) -> None:
        """A late error is an answer, too."""
        call = self.call()
        self.redis.pass_deadline()
        self.failureResultOf(call, RedisUnavailable)
        self.end.send(b"-ERR no\r\n")
        self.assertTrue(self.gate.up)

    def test_connection_ends_after_twice_the_deadline(self) -> None:
        """A connection that stays silent is closed and replaced."""
        call = self.call()
        self.redis.pass_deadline()
        self.failureResultOf(call, RedisUnavailable)
        self.assertTrue(self.end.open)
        self.redis.pass_deadline()
        self.assertFalse(self.end.open)
        self.redis.next_connection()
        self.assertTrue(self.gate.up)

    def test_connection_about_to_end(self) -> None:
        """A connection that was given up gets no more calls, though its end takes its time."""
        self.patch(self.end, "abortConnection", lambda: None)
        calls = [self.call(), self.call()]
        self.redis.pass_deadline()
        self.redis.pass_deadline()
        for call in calls:
            self.failureResultOf(call, RedisUnavailable)
        self.assertFalse(self.gate.up)

    def test_lost_connection(self) -> None:
        """What waits on a lost connection fails at once."""
        calls = [self.call(), self.gate.script(SCRIPT, [], [])]
        self.end.close()
        for call in calls:
            self.failureResultOf(call, RedisUnavailable)
        failure = self.failureResultOf(self.call(), RedisUnavailable)
        self.assertEqual(str(failure.value), "Redis is away: Connection was closed cleanly.")

    def test_cancelled_call(self) -> None:
        """A cancelled call's answer is not taken for the next one's."""
        cancelled, kept = self.call(), self.call()
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.end.send(b"$3\r\none\r\n$3\r\ntwo\r\n")
        self.assertEqual(self.successResultOf(kept), b"two")

    def test_cancelled_call_is_still_owed(self) -> None:
        """A cancelled call's answer that does not come keeps others away, too."""
        call = self.call()
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.redis.pass_deadline()
        self.assertFalse(self.gate.up)

    def test_answer_without_a_question(self) -> None:
        """A reply too many ends the connection, before it can answer somebody else's call."""
        call = self.call()
        self.end.send(b"$4\r\nmine\r\n$4\r\nmore\r\n")
        self.assertEqual(self.successResultOf(call), b"mine")
        self.assertFalse(self.gate.up)
        self.redis.clock.advance(0)
        self.assertFalse(self.end.open)

    def test_other_protocol(self) -> None:
        """What is no reply of Redis ends the connection."""
        call = self.call()
        self.end.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.redis.clock.advance(0)
        self.assertFalse(self.end.open)
        self.failureResultOf(call, RedisUnavailable)
        failure = self.failureResultOf(self.call(), RedisUnavailable)
        self.assertEqual(str(failure.value), "Redis is away: it does not speak the Redis protocol")

    def test_endless_reply(self) -> None:
        """A reply beyond all measure ends the connection instead of filling the memory."""
        call = self.call()
        self.end.send(b"$1000000000\r\n")
        for _ in range(17):
            self.end.send(bytes(1024 * 1024))
        self.redis.clock.advance(0)
        self.assertFalse(self.end.open)
        self.failureResultOf(call, RedisUnavailable)

    def test_many_large_replies(self) -> None:
        """The measure is for one reply, not for all of them."""
        for _ in range(20):
            call = self.call()
            self.end.send(b"$1048576\r\n" + bytes(1024 * 1024) + b"\r\n")
            self.assertEqual(self.successResultOf(call), bytes(1024 * 1024))


class ScriptTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have one connection."""
        self.redis = MemoryRedis()
        self.end = self.redis.connect()

    def test_known_script(self) -> None:
        """A script is called by its digest, with its keys counted."""
        call = self.redis.gate.script(SCRIPT, ["a", "b"], [7])
        self.assertEqual(
            self.end.received(),
            [[b"EVALSHA", SCRIPT.digest.encode(), b"2", b"a", b"b", b"7"]],
        )
        self.end.send(b"*1\r\n:1\r\n")
        self.assertEqual(self.successResultOf(call), [1])

    def test_forgotten_script(self) -> None:
        """A script that Redis does not know is sent along, under the same deadline."""
        call = self.redis.gate.script(SCRIPT, ["a"], [])
        self.end.clear()
        self.redis.clock.advance(0.2)
        self.end.send(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
        self.assertEqual(self.end.received(), [[b"EVAL", SCRIPT.source, b"1", b"a"]])
        self.redis.clock.advance(0.1)
        self.redis.clock.advance(GRACE_S)
        self.failureResultOf(call, RedisUnavailable)

    def test_forgotten_script_that_is_late(self) -> None:
        """It was answered too late and is sent along all the same; then it is owed no more."""
        call = self.redis.gate.script(SCRIPT, [], [])
        self.redis.pass_deadline()
        self.failureResultOf(call, RedisUnavailable)
        self.end.clear()
        self.end.send(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
        self.assertEqual(self.end.received(), [[b"EVAL", SCRIPT.source, b"0"]])
        self.assertFalse(self.redis.gate.up)
        self.end.send(b"*1\r\n:1\r\n")
        self.assertTrue(self.redis.gate.up)

    def test_script_that_stays_unknown(self) -> None:
        """A server that knows no script when it has the text is wrong, and not asked for ever."""
        call = self.redis.gate.script(SCRIPT, [], [])
        for _ in range(2):
            self.end.send(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
        self.failureResultOf(call, ResponseError)

    def test_broken_script(self) -> None:
        """An error inside a script is a fault of ours and keeps its type."""
        call = self.redis.gate.script(SCRIPT, [], [])
        self.end.send(b"-ERR user_script:1: attempt to compare nil with number\r\n")
        self.failureResultOf(call, ResponseError)


class PoolTests(SynchronousTestCase):
    def test_refused_before_connected(self) -> None:
        """Without a connection a call is refused at once, not kept."""
        redis = MemoryRedis()
        redis.gate.startService()
        self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)
        self.failureResultOf(redis.gate.script(SCRIPT, [], []), RedisUnavailable)
        self.assertFalse(redis.gate.up)

    def test_round_robin(self) -> None:
        """Calls take turns over all connections, and pass by one that owes an answer."""
        redis = MemoryRedis(pool_size=3)
        ends = [redis.connect(), redis.next_connection(), redis.next_connection()]
        for _ in range(6):
            redis.gate.call(b"PING").addErrback(lambda failure: failure.trap(RedisUnavailable))
        self.assertEqual([len(end.received()) for end in ends], [2, 2, 2])
        ends[0].send(b"+PONG\r\n" * 2)
        ends[2].send(b"+PONG\r\n" * 2)
        redis.pass_deadline()
        self.assertTrue(redis.gate.up)
        for _ in range(4):
            redis.gate.call(b"PING").addErrback(lambda failure: failure.trap(RedisUnavailable))
        self.assertEqual([len(end.received()) for end in ends], [2, 0, 2])

    def test_bounded(self) -> None:
        """Beyond the bound a call is refused at once; an answer makes room for one."""
        redis = MemoryRedis(pool_size=2, most_in_flight=10)
        ends = [redis.connect(), redis.next_connection()]
        calls = [redis.gate.call(b"PING") for _ in range(10)]
        self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)
        self.assertFalse(redis.gate.up)
        ends[0].send(b"+PONG\r\n")
        self.assertEqual(sum(call.called for call in calls), 1)
        calls.append(redis.gate.call(b"PING"))
        self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)
        self.assertEqual([len(end.received()) for end in ends], [6, 5])
        ends[0].send(b"+PONG\r\n" * 5)
        ends[1].send(b"+PONG\r\n" * 5)
        self.assertEqual([self.successResultOf(call) for call in calls], [b"PONG"] * 11)

    def test_all_clients_at_once(self) -> None:
        """A call of each client that there may be is taken within one turn."""
        redis = MemoryRedis()
        end = redis.connect()
        calls = [redis.gate.call(b"PING") for _ in range(10_000)]
        end.send(b"+PONG\r\n" * len(calls))
        self.assertEqual({self.successResultOf(call) for call in calls}, {b"PONG"})

    def test_calls_past_their_deadline_count(self) -> None:
        """A call that failed by its deadline takes room until its connection is given up."""
        redis = MemoryRedis(most_in_flight=1)
        redis.connect()
        call = redis.gate.call(b"PING")
        redis.pass_deadline()
        self.failureResultOf(call, RedisUnavailable)
        self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)

    def test_delays(self) -> None:
        """While Redis is away, attempts are further and further apart, up to the longest delay."""
        redis = MemoryRedis()
        redis.gate.startService()
        gaps, last = [], 0.0
        for _ in range(5):
            attempts = redis.attempts
            while redis.attempts == attempts:
                redis.clock.advance(0.5)
            gaps.append(redis.clock.seconds() - last)
            last = redis.clock.seconds()
            redis.refuse()
        self.assertEqual(gaps, [1, 2, 4, 4, 4])
        redis.next_connection().close()
        before = redis.attempts
        redis.clock.advance(1)
        self.assertEqual(redis.attempts, before + 1, "a success has not reset the delay")

    def test_one_knocks(self) -> None:
        """While Redis is away only one attempt is under way, however large the pool."""
        redis = MemoryRedis(pool_size=4)
        redis.gate.startService()
        redis.clock.advance(1)
        redis.clock.pump([0.1] * 4)
        self.assertEqual(redis.attempts, 1)

    def test_log(self) -> None:
        """One line says that Redis is up, one for each reason why it is away; calls write none."""
        with log_lines() as lines:
            redis = MemoryRedis(pool_size=2)
            ends = [redis.connect(), redis.next_connection()]
            ends[0].close()
            ends[1].close()
            for _ in range(5):
                self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)
                redis.clock.advance(4)
                redis.refuse()
            redis.next_connection()
        self.assertEqual(
            lines,
            [
                "Redis at /redis.sock is up",
                "Redis at /redis.sock is away: Connection was closed cleanly.",
                "Redis at /redis.sock is away: An error occurred while connecting: refused.",
                "Redis at /redis.sock is up",
            ],
        )

    def test_unforeseen_fault(self) -> None:
        """An error nobody thought of is logged, and does not end the attempts."""
        redis = MemoryRedis()
        redis.gate.startService()
        redis.clock.advance(1)
        factory = redis.clock.unixClients[-1][1]
        factory.clientConnectionFailed(None, Failure(ZeroDivisionError()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        redis.next_connection()
        self.assertTrue(redis.gate.up)

    def test_host_that_is_no_name(self) -> None:
        """It is one line, as any other place where no Redis is."""
        redis = MemoryRedis(RedisTarget(host="a..b"))
        with log_lines() as lines:
            redis.gate.startService()
            redis.clock.pump([1] * 8)
        self.assertEqual(lines, ["Redis at a..b:6379 is away: its host is no valid name"])
        self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)


class ServerTests(SynchronousTestCase):
    def test_told_before_any_call(self) -> None:
        """Of each connection it is told where it goes to, while no call can go over it."""
        clock = MemoryReactorClock()
        told: list[tuple[str, bool]] = []

        def connected(run_id: str) -> None:
            told.append((run_id, gate.up))

        gate = RedisGate(
            clock, RedisTarget(path="/s"), pool_size=1, first_delay_s=1, connected=connected
        )
        gate.startService()
        clock.advance(1)
        protocol = clock.unixClients[-1][1].buildProtocol(None)
        end = ServerEnd(clock, protocol)
        protocol.makeConnection(end)
        end.send(greeting())
        self.assertTrue(gate.up)
        self.assertEqual(told, [(RUN_ID, False)])

    def test_another_server(self) -> None:
        """Once a connection is to another server, nothing goes to the former one any more."""
        redis = MemoryRedis(pool_size=3)
        former = [redis.connect(), redis.next_connection()]
        waiting = redis.gate.call(b"PING")
        current = redis.next_connection(greeting(OTHER))
        self.assertEqual(redis.connected, [RUN_ID, RUN_ID, OTHER])
        for end in former:
            end.clear()
        calls = [redis.gate.call(b"PING") for _ in range(6)]
        self.assertEqual([len(end.received()) for end in (*former, current)], [0, 0, 6])
        redis.clock.advance(0)
        self.assertEqual([end.open for end in (*former, current)], [False, False, True])
        self.failureResultOf(waiting, RedisUnavailable)
        current.send(b"+PONG\r\n" * 6)
        self.assertEqual([self.successResultOf(call) for call in calls], [b"PONG"] * 6)
        redis.next_connection(greeting(OTHER))
        redis.next_connection(greeting(OTHER))
        self.assertTrue(current.open)

    def test_servers_that_take_turns(self) -> None:
        """Two servers behind one name are changed between less and less often."""
        redis = MemoryRedis(pool_size=2)
        redis.connect()
        gaps, last = [], redis.clock.seconds()
        for run_id in (OTHER, RUN_ID, OTHER, RUN_ID):
            redis.next_connection(greeting(run_id))
            gaps.append(redis.clock.seconds() - last)
            last = redis.clock.seconds()
        self.assertEqual(gaps, [1, 2, 4, 4])
        redis.next_connection()
        redis.next_connection().close()
        last = redis.clock.seconds()
        redis.next_connection()
        self.assertEqual(redis.clock.seconds() - last, 1)

    def test_policy_at_first(self) -> None:
        """What the server does without memory is known as soon as it is connected to."""
        redis = MemoryRedis()
        self.assertFalse(redis.gate.keeps_all)
        redis.connect()
        self.assertTrue(redis.gate.keeps_all)

    def test_policy_that_drops(self) -> None:
        """A server that may drop counters is said to do so, once; so is the end of that."""
        redis = MemoryRedis()
        with log_lines() as lines:
            end = redis.connect(greeting(policy="allkeys-lru"))
            self.assertTrue(redis.gate.up)
            self.assertFalse(redis.gate.keeps_all)
            self.look(redis, end, said("maxmemory_policy:volatile-ttl\r\n"))
            self.assertFalse(redis.gate.keeps_all)
            self.look(redis, end, said("maxmemory_policy:noeviction\r\n"))
            self.assertTrue(redis.gate.keeps_all)
            self.look(redis, end, said("maxmemory_policy:noeviction\r\n"))
        drops = "Redis at /redis.sock may drop counters: its maxmemory-policy is allkeys-lru"
        self.assertEqual(
            lines,
            [
                "Redis at /redis.sock is up",
                f"{drops} and has to be noeviction",
                "Redis at /redis.sock keeps all that it has",
            ],
        )

    def test_policy_that_cannot_be_read(self) -> None:
        """Then what was known stays, and it is asked again."""
        redis = MemoryRedis()
        end = redis.connect()
        for reply in (b"-NOPERM no\r\n", b":7\r\n", said("# Memory\r\n"), b"-BUSY script\r\n"):
            self.look(redis, end, reply)
            self.assertTrue(redis.gate.keeps_all)
        end.close()
        redis.clock.advance(1)
        redis.refuse()
        redis.clock.advance(POLICY_S)
        self.assertTrue(redis.gate.keeps_all)

    def test_policy_and_a_fault_of_ours(self) -> None:
        """An error nobody thought of is logged, and the policy is looked at again."""
        redis = MemoryRedis()
        end = redis.connect()
        self.patch(redis.gate, "_note_policy", lambda _: 1 // 0)
        self.look(redis, end, said("maxmemory_policy:noeviction\r\n"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        redis.clock.advance(POLICY_S)
        self.assertEqual(end.received(), [[b"INFO", b"memory"]])

    def look(self, redis: MemoryRedis, end: ServerEnd, reply: bytes) -> None:
        """Wait until the server is asked again, and have it answer so."""
        redis.clock.advance(POLICY_S)
        self.assertEqual(end.received(), [[b"INFO", b"memory"]])
        end.send(reply)


class StopTests(SynchronousTestCase):
    def assert_stops(self, redis: MemoryRedis) -> None:
        """Stop the gate and see that nothing is left and nothing is logged."""
        with log_lines() as lines:
            stopped = redis.gate.stopService()
            redis.clock.advance(0)
            redis.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(redis.clock.getDelayedCalls(), [])
        self.assertEqual(lines, [])
        self.failureResultOf(redis.gate.call(b"PING"), RedisUnavailable)

    def test_never_started(self) -> None:
        """A gate that never started can be stopped."""
        self.assert_stops(MemoryRedis())

    def test_before_the_first_attempt(self) -> None:
        """The wait for the next attempt ends."""
        redis = MemoryRedis()
        redis.gate.startService()
        self.assert_stops(redis)

    def test_connecting(self) -> None:
        """An attempt under way is given up."""
        redis = MemoryRedis()
        redis.gate.startService()
        redis.clock.advance(1)
        self.assert_stops(redis)

    def test_greeting(self) -> None:
        """A connection that was not greeted yet is closed."""
        redis = MemoryRedis()
        redis.gate.startService()
        redis.clock.advance(1)
        end = redis.accept()
        self.assert_stops(redis)
        self.assertFalse(end.open)

    def test_connected(self) -> None:
        """All connections are closed and the calls on them fail."""
        redis = MemoryRedis(pool_size=2)
        ends = [redis.connect(), redis.next_connection()]
        call = redis.gate.call(b"PING")
        self.assert_stops(redis)
        self.failureResultOf(call, RedisUnavailable)
        self.assertEqual([end.open for end in ends], [False, False])

    def test_after_a_lost_connection(self) -> None:
        """A connection that is being replaced leaves nothing either."""
        redis = MemoryRedis()
        redis.connect().close()
        self.assert_stops(redis)

    def test_started_again(self) -> None:
        """A stopped gate can be started again."""
        redis = MemoryRedis()
        redis.connect()
        self.assert_stops(redis)
        redis.connect()
        self.assertTrue(redis.gate.up)
