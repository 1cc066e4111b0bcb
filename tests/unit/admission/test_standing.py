from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.generation import QUARANTINE_S
from neuronetz_twisted.admission.standing import MARKER, MOST_CLAIMS, Standing
from neuronetz_twisted.errors import DatabaseUnavailable, LimitsUnavailable, RedisUnavailable
from neuronetz_twisted.seams import RedisArgument, RedisReply
from tests.unit.admission.scripted_redis import NOW_S, ScriptedRedis

RUN = "a" * 40
OTHER = "b" * 40
KEY = MARKER.encode()
ALONE, NOT_ALONE = False, True


class StandingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have an empty Redis and no other process."""
        self.clock = Clock()
        self.redis = ScriptedRedis()
        self.others: Deferred[bool] = succeed(ALONE)
        self.put_back: list[str] = []
        self.nonces = iter("pqrstuvwxyz")
        self.standing = Standing(
            self.clock,
            self.redis,
            others=lambda: self.others,
            nonce=lambda: next(self.nonces),
            chance=lambda: 1.0,
        )
        self.standing.startService()

    def connect(self, run_id: str = RUN) -> None:
        """Have a connection, and let the marker be looked at."""
        self.standing.connected(run_id)
        self.clock.advance(0.0)

    def wait_of(self) -> int:
        """How long a refused caller is told to wait."""
        with self.assertRaises(LimitsUnavailable) as raised:
            self.standing.admitting()
        wait: int | None = raised.exception.retry_after
        assert wait is not None
        return wait

    def test_closed_at_first(self) -> None:
        """Before a connection nothing stands, and looking says so without failing."""
        self.assertFalse(self.standing.is_open)
        self.assertIsNone(self.standing.gen)
        self.assertEqual(self.wait_of(), 1)
        self.successResultOf(self.standing.look())
        self.assertEqual(self.redis.commands, [])

    def test_alone(self) -> None:
        """A single gateway on an empty server is open at once."""
        self.connect()
        self.assertTrue(self.standing.is_open)
        self.assertEqual(self.standing.admitting(), f"{RUN}-p")
        self.assertEqual(self.standing.gen, f"{RUN}-p")
        self.assertEqual(self.redis.keys[KEY], f"{RUN}-p {NOW_S * 1000 + 500}".encode())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_as_soon_as_connected(self) -> None:
        """Another server closes before anything is asked of it; the same one does not."""
        self.connect()
        self.standing.connected(RUN)
        self.assertTrue(self.standing.is_open)
        self.standing.connected(OTHER)
        self.assertFalse(self.standing.is_open)
        self.assertIsNone(self.standing.gen)

    def test_quarantine(self) -> None:
        """With others alive the claim waits for them, and says so to whoever asks."""
        self.others = succeed(NOT_ALONE)
        self.connect()
        self.assertEqual(self.standing.gen, f"{RUN}-p")
        self.assertEqual(self.wait_of(), int(QUARANTINE_S) + 1)
        self.clock.advance(QUARANTINE_S - 0.5)
        self.assertEqual(self.wait_of(), 1)
        self.clock.advance(0.5)
        self.assertTrue(self.standing.is_open)

    def test_puts_back(self) -> None:
        """Nobody is admitted before our own calls are in Redis again."""
        back: Deferred[None] = Deferred()

        def put_back(gen: str) -> Deferred[None]:
            self.put_back.append(gen)
            return back

        self.standing.put_back = put_back
        self.connect()
        self.assertEqual(self.put_back, [f"{RUN}-p"])
        self.assertFalse(self.standing.is_open)
        back.callback(None)
        self.assertTrue(self.standing.is_open)

    def test_not_put_back(self) -> None:
        """Where that fails it is tried again until it is done."""
        answers = [fail(LimitsUnavailable()), fail(LimitsUnavailable()), succeed(None)]

        def put_back(gen: str) -> Deferred[None]:
            self.put_back.append(gen)
            return answers.pop(0)

        self.standing.put_back = put_back
        self.connect()
        self.clock.advance(0.2)
        self.assertFalse(self.standing.is_open)
        self.clock.advance(0.4)
        self.assertTrue(self.standing.is_open)
        self.assertEqual(len(self.put_back), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stores_away(self) -> None:
        """Redis or the database away: closed, and tried again."""
        self.redis.away = True
        self.connect()
        self.redis.away = False
        self.others = fail(DatabaseUnavailable())
        self.clock.advance(0.2)
        self.assertFalse(self.standing.is_open)
        self.others = succeed(ALONE)
        self.clock.advance(0.4)
        self.assertTrue(self.standing.is_open)

    def test_well_again(self) -> None:
        """After a success the pauses begin anew."""
        for server in (RUN, OTHER):
            self.redis.away = True
            self.connect(server)
            self.redis.away = False
            self.clock.advance(0.2)
            self.assertTrue(self.standing.is_open)

    def test_connected_during_a_pause(self) -> None:
        """A server that comes is looked at at once, however long the pause; no look is put off."""
        self.redis.away = True
        self.connect()
        self.redis.away = False
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.standing.connected(OTHER)
        self.clock.advance(0.0)
        self.assertTrue(self.standing.is_open)
        self.standing.connected(RUN)
        self.redis.away = True
        self.successResultOf(self.standing.look())
        self.redis.away = False
        self.clock.advance(0.0)
        self.assertTrue(self.standing.is_open)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_log_of_a_claim(self) -> None:
        """That counters are built again is said once it is so, not at each attempt."""
        call = self.redis.call
        full = True

        def refusing(command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
            if full and command == b"SET":
                return fail(RedisUnavailable("full"))
            return call(command, *args)

        self.redis.call = refusing  # type: ignore[method-assign] # this one writes nothing
        with capturedLogs() as events:
            self.connect()
            self.clock.pump([0.2, 0.4])
            full = False
            self.clock.advance(0.8)
        self.assertTrue(self.standing.is_open)
        lines = [formatEvent(event) for event in events]
        again = "the counters of Redis are lost or new and are built again"
        self.assertEqual(lines.count(again), 1)

    def test_strange_answers(self) -> None:
        """A server that does not tell the time as it should is not believed."""
        for time in (None, [b"1"], [1, 2], b"1"):
            self.redis.time = time
            self.connect(RUN)
            self.successResultOf(self.standing.look())
            self.assertFalse(self.standing.is_open)

    def test_flushed_while_open(self) -> None:
        """A look that finds the marker gone claims a new generation."""
        self.connect()
        self.redis.keys.clear()
        self.successResultOf(self.standing.look())
        self.assertEqual(self.standing.gen, f"{RUN}-q")

    def test_old_copy(self) -> None:
        """A marker of another server is replaced."""
        self.redis.keys[KEY] = f"{OTHER}-n 1".encode()
        self.connect()
        self.assertEqual(self.standing.gen, f"{RUN}-p")

    def test_another_is_first(self) -> None:
        """Of two who claim at the same time one is taken by both."""
        theirs = f"{RUN}-theirs {NOW_S * 1000}".encode()

        def others() -> Deferred[bool]:
            self.redis.keys[KEY] = theirs
            return succeed(NOT_ALONE)

        self.standing._others = others
        self.connect()
        self.assertEqual(self.standing.gen, f"{RUN}-theirs")
        self.assertTrue(self.standing.is_open)

    def test_a_marker_that_does_not_stay(self) -> None:
        """After a few claims in vain it is tried again later, not for ever at once."""
        call = self.redis.call

        def forgetful(command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
            answer = call(command, *args)
            self.redis.keys.clear()
            return answer

        self.redis.call = forgetful  # type: ignore[method-assign] # this one forgets
        self.connect()
        self.assertEqual(self.redis.commands.count(b"SET"), MOST_CLAIMS)
        self.assertFalse(self.standing.is_open)
        self.redis.call = call  # type: ignore[method-assign] # and is well again
        self.clock.advance(0.2)
        self.assertTrue(self.standing.is_open)

    def test_together(self) -> None:
        """Many who doubt look once."""
        self.connect()
        others: Deferred[bool] = Deferred()
        self.others = others
        self.redis.keys.clear()
        looks = [self.standing.look(), self.standing.look()]
        self.assertEqual(self.redis.commands.count(b"GET"), 3)
        others.callback(ALONE)
        for look in looks:
            self.successResultOf(look)

    def test_server_changes_while_it_is_looked_at(self) -> None:
        """What was read from a server that is gone opens nothing: it opens as the new one does."""
        others: Deferred[bool] = Deferred()
        self.others = others
        self.connect()
        self.standing.connected(OTHER)
        self.clock.advance(0.0)
        self.others = succeed(ALONE)
        others.callback(ALONE)
        self.assertTrue(self.standing.admitting().startswith(OTHER))

    def test_unforeseen(self) -> None:
        """A fault of ours is logged, and limits do not stay closed for ever because of it."""
        self.others = fail(ZeroDivisionError())
        self.connect()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.others = succeed(ALONE)
        self.clock.advance(0.2)
        self.assertTrue(self.standing.is_open)

    def test_cancelled(self) -> None:
        """A store that stops and cancels what it was asked ends the look, without a word."""
        self.others = fail(CancelledError())
        self.connect()
        self.assertFalse(self.standing.is_open)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """After the stop nothing is looked at any more."""
        self.redis.away = True
        self.connect()
        self.standing.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.standing.connected(OTHER)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.standing.stopService()
