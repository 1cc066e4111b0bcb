from neuronetz_twisted.admission.generation import HEARTBEAT_S
from neuronetz_twisted.admission.telling import AT_ONCE, BEATS_OF_ENDED, PER_BEAT, PER_END
from neuronetz_twisted.errors import LimitsUnavailable
from neuronetz_twisted.ledger import Flushed
from neuronetz_twisted.seams import RedisReply
from tests.unit.admission.limiting import OTHER, LimiterTestCase
from tests.unit.admission.scripted_redis import (
    DAY,
    GONE,
    LINE,
    OK,
    UNKNOWN,
    Call,
    demand,
)
from tests.unit.admission.standings import GEN


class TellTests(LimiterTestCase):
    def test_settled(self) -> None:
        """The end of a call is told at the end of the turn, once."""
        self.admit()
        self.limiter.settle("id", 33)
        self.limiter.settle("id", 99)
        self.limiter.release("id")
        self.limiter.settle("another process's", 1)
        self.clock.advance(0)
        self.assertEqual(self.redis.names(), ["settle"])
        self.assertEqual(self.redis.the("settle").args, [GEN, "id", 1, 33])

    def test_settled_together(self) -> None:
        """Those of a turn are told together, by tenant and in portions; each is mended alone."""
        for number in range(PER_END + 1):
            self.admit(str(number))
        self.admit("other", "U")
        self.redis.replies["settle"] = lambda call: [1] * ((len(call.args) - 2) // 3) + GONE
        for number in range(PER_END + 1):
            self.limiter.settle(str(number), number)
        self.limiter.settle("other", 7)
        self.clock.advance(0)
        settled = [call for call in self.redis.calls if call.name == "settle"]
        self.assertEqual(
            [(call.keys[0], len(call.args)) for call in settled],
            [("nz:{T}:bud", 1 + 3 * PER_END), ("nz:{T}:bud", 4), ("nz:{U}:bud", 4)],
        )
        mended = [call.args[1] for call in self.redis.calls if call.name == "heartbeat"]
        self.assertEqual(mended, [str(PER_END - 1), str(PER_END), "other"])

    def test_settled_until_acknowledged(self) -> None:
        """It is told again until Redis has acknowledged it."""
        self.admit()
        self.redis.away = True
        self.limiter.settle("id", 33)
        self.clock.advance(1.0)
        self.redis.away = False
        self.clock.advance(1.0)
        self.assertEqual(self.redis.names(), ["settle"])

    def test_settled_while_doubtful(self) -> None:
        """While nothing stands it waits, and is then told under the generation that does."""
        self.admit()
        self.standing.connected(OTHER)
        self.limiter.settle("id", 33)
        self.assertEqual(self.redis.names(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.redis.names(), ["heartbeat", "settle"])
        self.assertEqual(self.redis.the("heartbeat").args[3:], [33, DAY, 0])
        self.assertEqual(self.redis.the("settle").args[0], f"{OTHER}-n")

    def test_settled_and_lost(self) -> None:
        """A call that Redis has lost is put back as one that has ended."""
        for reply, names in (
            (GONE, ["settle", "heartbeat"]),
            (UNKNOWN, ["settle", "rebuild", "heartbeat"]),
        ):
            self.admit(str(reply))
            self.redis.replies["settle"] = reply
            self.limiter.settle(str(reply), 33)
            self.clock.advance(0)
            self.assertEqual(self.redis.names(), names)
            self.assertEqual(self.redis.the("heartbeat").args[3:], [33, DAY, 0])

    def test_settled_after_the_ledger_has_it(self) -> None:
        """A call that is not held any more needs no pending."""
        self.admit()
        del self.redis.replies["settle"]
        self.limiter.settle("id", 33)
        self.clock.advance(0)
        self.limiter.flushed(Flushed("T", ["id"], [LINE]))
        self.redis.the("settle").answer.callback(GONE)
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["settle", "flushed"])

    def test_released(self) -> None:
        """A call that does not take place gives everything back, and is not alive."""
        self.admit()
        self.limiter.release("id")
        self.limiter.release("id")
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["release"])

    def test_flushed(self) -> None:
        """What the ledger has is told with its values; then nothing is held any more."""
        self.admit()
        self.limiter.settle("id", 33)
        self.clock.advance(0)
        self.limiter.flushed(Flushed("T", ["id", "another process's"], [LINE]))
        self.assertEqual(
            self.redis.the("flushed").args,
            [GEN, 2, "id", "another process's", "t", "day", DAY, 500],
        )
        self.redis.calls.clear()
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), [])

    def test_flushed_in_batches(self) -> None:
        """What waits is told in one script; until then the calls are held."""
        self.admit()
        self.limiter.settle("id", 33)
        self.clock.advance(0)
        self.redis.away = True
        self.limiter.flushed(Flushed("T", ["id"], [LINE]))
        self.limiter.flushed(Flushed("T", ["b"], [LINE]))
        self.redis.away = False
        self.redis.calls.clear()
        self.clock.advance(0.2)
        self.assertEqual(self.redis.the("flushed").args[:4], [GEN, 2, "id", "b"])
        self.assertEqual(self.redis.names(), ["flushed"])

    def test_flushed_while_another_is_under_way(self) -> None:
        """A batch that is committed meanwhile follows at once."""
        del self.redis.replies["flushed"]
        self.limiter.flushed(Flushed("T", ["a"], [LINE]))
        first = self.redis.the("flushed")
        self.limiter.flushed(Flushed("T", ["b"], [LINE]))
        self.limiter.flushed(Flushed("U", ["c"], [LINE]))
        self.redis.the("flushed").answer.callback(OK)
        self.redis.replies["flushed"] = OK
        first.answer.callback(OK)
        self.assertEqual([call.args[2] for call in self.redis.calls], ["a", "c", "b"])

    def test_flushed_while_doubtful(self) -> None:
        """While nothing stands it waits for the generation that does."""
        self.standing.connected(OTHER)
        self.limiter.flushed(Flushed("T", ["id"], [LINE]))
        self.assertEqual(self.redis.names(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.redis.the("flushed").args[0], f"{OTHER}-n")

    def test_flushed_unknown(self) -> None:
        """A tenant that is new to Redis is told to it first."""
        self.once("flushed", UNKNOWN, OK)
        self.limiter.flushed(Flushed("T", ["id"], [LINE]))
        self.clock.advance(0.2)
        self.assertEqual(self.redis.names(), ["flushed", "rebuild", "flushed"])


class HeartbeatTests(LimiterTestCase):
    def test_each_tenant_once(self) -> None:
        """One script for each tenant, all of them in one turn, every ten seconds."""
        for request_id, tenant in (("a", "T"), ("b", "T"), ("c", "U")):
            self.admit(request_id, tenant)
        del self.redis.replies["heartbeat"]
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(
            [(call.keys[0], len(call.args)) for call in self.redis.calls],
            [("nz:{T}:bud", 11), ("nz:{U}:bud", 6)],
        )
        for call in self.redis.calls:
            call.answer.callback(OK)

    def test_many_calls(self) -> None:
        """Very many calls of a tenant are told in several scripts."""
        self.limiter = self.made(most_held=PER_BEAT + 1)
        for number in range(PER_BEAT + 1):
            self.admit(str(number))
        self.successResultOf(self.limiter._telling.put_back(GEN))
        self.assertEqual([len(call.args) for call in self.redis.calls], [1 + 5 * PER_BEAT, 6])

    def test_very_many_calls(self) -> None:
        """Scripts go out a few at a time, and a failure keeps none of the others back."""
        self.limiter = self.made(most_held=10 * AT_ONCE)
        for number in range(2 * AT_ONCE + 1):
            self.admit(str(number), f"T{number}")
        del self.redis.replies["heartbeat"]
        told = self.limiter._telling.put_back(GEN)
        sizes = []
        while self.redis.calls:
            sizes.append(len(self.redis.calls))
            calls = list(self.redis.calls)
            self.redis.calls.clear()
            calls[0].lose()
            for call in calls[1:]:
                call.answer.callback(OK)
        self.assertEqual(sizes, [AT_ONCE, AT_ONCE, 1])
        self.assertEqual(self.failureResultOf(told, LimitsUnavailable).value.why, "heartbeat")

    def test_ended_calls(self) -> None:
        """Those that only wait for the ledger are told of rarely, and then with their cost."""
        self.admit("a")
        self.admit("b", "U")
        self.limiter.settle("b", 33)
        self.clock.advance(0)
        self.redis.calls.clear()
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual([call.keys[0] for call in self.redis.calls], ["nz:{T}:bud"])
        self.clock.pump([HEARTBEAT_S] * (BEATS_OF_ENDED - 2))
        self.assertEqual(len(self.redis.calls), BEATS_OF_ENDED - 1)
        self.clock.advance(HEARTBEAT_S)
        told = [(call.keys[0], call.args[3:]) for call in self.redis.calls[-2:]]
        self.assertEqual(told, [("nz:{T}:bud", [266, DAY, 1]), ("nz:{U}:bud", [33, DAY, 0])])

    def test_failures_are_mended_by_the_next(self) -> None:
        """A heartbeat that was lost, or that Redis does not take, is followed by the next."""
        self.admit()
        self.redis.replies["heartbeat"] = UNKNOWN
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["heartbeat", "rebuild", "heartbeat"])
        del self.redis.replies["heartbeat"]
        self.clock.advance(HEARTBEAT_S)
        self.redis.the("heartbeat").lose()
        self.redis.replies["heartbeat"] = OK
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(len(self.redis.calls), 5)

    def test_fault(self) -> None:
        """A fault of ours is logged and stops no heartbeat."""
        self.admit()
        del self.redis.replies["heartbeat"]
        self.clock.advance(HEARTBEAT_S)
        self.redis.the("heartbeat").answer.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["heartbeat", "heartbeat"])
        self.redis.the("heartbeat").lose()

    def test_put_back(self) -> None:
        """Another Redis is told of all that runs or is not in the ledger before it admits."""
        self.admit("a")
        self.admit("b", "U")
        self.limiter.settle("b", 33)
        self.clock.advance(0)
        self.redis.calls.clear()
        known: set[str] = set()

        def heartbeat(call: Call) -> RedisReply:
            return OK if call.keys[0] in known else UNKNOWN

        def rebuild(call: Call) -> RedisReply:
            known.add(call.keys[0])
            return OK

        self.redis.replies |= {"heartbeat": heartbeat, "rebuild": rebuild}
        self.standing.connected(OTHER)
        self.refused(self.limiter.admit(demand("c")), "generation")
        self.clock.advance(0.0)
        self.assertEqual(self.redis.names(), ["heartbeat", "rebuild", "heartbeat"] * 2)
        self.assertEqual(self.redis.calls[2].args[3:], [266, DAY, 1])
        self.assertEqual(self.redis.calls[5].args[3:], [33, DAY, 0])
        self.assertTrue(self.standing.is_open)

    def test_not_put_back(self) -> None:
        """Until all of it is acknowledged nobody is admitted."""
        self.admit("a")
        del self.redis.replies["heartbeat"]
        self.standing.connected(OTHER)
        self.clock.advance(0.0)
        self.redis.the("heartbeat").lose()
        self.assertFalse(self.standing.is_open)
        self.redis.replies["heartbeat"] = OK
        self.clock.advance(0.2)
        self.assertTrue(self.standing.is_open)
