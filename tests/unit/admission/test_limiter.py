from uuid import UUID

from attrs import evolve
from twisted.internet.defer import CancelledError

from neuronetz_twisted.admission.answers import Code, Stale
from neuronetz_twisted.admission.generation import HEARTBEAT_S
from neuronetz_twisted.admission.limiter import STOP_S
from neuronetz_twisted.errors import BudgetExhausted, RateLimited, RedisUnavailable
from tests.unit.admission.limiting import GIVEN, OTHER, LimiterTestCase
from tests.unit.admission.scripted_redis import (
    DAY,
    FIGURES,
    GONE,
    GRANTED,
    LINE,
    OK,
    RELEASED,
    UNKNOWN,
    Level,
    caller,
    demand,
)
from tests.unit.admission.standings import GEN, RUN


class AdmitTests(LimiterTestCase):
    def test_granted(self) -> None:
        """One round trip, under the generation that stands."""
        self.assertEqual(self.successResultOf(self.limiter.admit(demand())), GIVEN)
        self.assertEqual(self.redis.names(), ["admit"])
        self.assertEqual(self.redis.the("admit").args[:3], ["id", GEN, 7])

    def test_stale(self) -> None:
        """A caller whose tenant has changed is read anew by whoever asked; nothing is held."""
        self.redis.replies["admit"] = [int(Code.STALE), 8]
        self.assertEqual(self.successResultOf(self.limiter.admit(demand())), Stale(8))
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["admit"])

    def test_limits(self) -> None:
        """A limit that is reached is its own refusal."""
        self.redis.replies["admit"] = [int(Code.RPM), 1, 9, *FIGURES]
        refused = self.failureResultOf(self.limiter.admit(demand()), RateLimited).value
        self.assertEqual((refused.limit, refused.retry_after), ("requests", 9))
        self.redis.replies["admit"] = [int(Code.DAY), 0, 3600, *FIGURES]
        self.failureResultOf(self.limiter.admit(demand()), BudgetExhausted)
        self.assertEqual(self.redis.names(), ["admit", "admit"])

    def test_not_asked(self) -> None:
        """What was never sent has taken nothing, so nothing is given back."""
        self.redis.away = True
        self.refused(self.limiter.admit(demand()), "redis")
        self.redis.away = False
        self.clock.advance(5.0)
        self.assertEqual(self.redis.names(), [])

    def test_late(self) -> None:
        """An admission whose answer is late is given back until Redis has acknowledged that."""
        del self.redis.replies["admit"], self.redis.replies["release"]
        asking = self.limiter.admit(demand())
        self.redis.the("admit").lose()
        self.refused(asking, "redis")
        self.assertEqual(self.redis.names(), ["admit", "release"])
        self.redis.the("release").lose()
        self.redis.away = True
        self.clock.advance(60.0)
        self.redis.away = False
        self.clock.advance(5.0)
        release = self.redis.the("release")
        self.assertEqual((self.redis.names()[2:], release.args), (["release"], ["id"]))
        release.answer.callback(GONE)
        self.clock.advance(5.0)
        self.assertEqual(len(self.redis.calls), 3)

    def test_nonsense(self) -> None:
        """An answer that is none of the script's is in doubt too."""
        self.redis.replies["admit"] = [1, 2, 3]
        self.refused(self.limiter.admit(demand()), "redis")
        self.assertEqual(self.redis.names(), ["admit", "release"])

    def test_tombstone(self) -> None:
        """An id that was released or has ended is not admitted again."""
        self.redis.replies["admit"] = RELEASED
        self.refused(self.limiter.admit(demand()), "lost")

    def test_closed(self) -> None:
        """Nothing is asked while the generation is doubtful."""
        self.standing.connected(OTHER)
        self.refused(self.limiter.admit(demand()), "generation")
        self.assertEqual(self.redis.names(), [])

    def test_unknown_tenant(self) -> None:
        """A tenant that is new to Redis is told to it, and the call is asked once more."""
        self.once("admit", UNKNOWN, GRANTED)
        self.assertEqual(self.successResultOf(self.limiter.admit(demand())), GIVEN)
        self.assertEqual(self.redis.names(), ["admit", "rebuild", "admit"])

    def test_unknown_still(self) -> None:
        """Once more and not for ever."""
        self.redis.replies["admit"] = UNKNOWN
        self.refused(self.limiter.admit(demand()), "lost")
        self.assertEqual(self.redis.names(), ["admit", "rebuild", "admit"])

    def test_ledger_too_slow(self) -> None:
        """The caller has his answer in time; the next finds the tenant there."""
        lines = self.hold_ledger()
        self.once("admit", UNKNOWN, GRANTED)
        asking = self.limiter.admit(demand("a"))
        self.clock.advance(0.25)
        self.refused(asking, "rebuild")
        lines.callback([LINE])
        self.assertEqual(self.redis.names(), ["admit", "rebuild"])
        self.assertEqual(self.successResultOf(self.limiter.admit(demand("b"))), GIVEN)

    def test_all_lost(self) -> None:
        """An unknown tenant shows that the marker is gone: what runs is put back first."""
        self.admit("a")
        self.redis.keys.clear()
        self.once("admit", UNKNOWN, GRANTED)
        self.standing._nonce = lambda: "m"
        self.successResultOf(self.limiter.admit(demand("b")))
        self.assertEqual(self.redis.names(), ["admit", "heartbeat", "rebuild", "admit"])
        self.assertEqual(self.redis.the("heartbeat").args[0], f"{RUN}-m")
        self.assertEqual(self.redis.the("admit").args[1], f"{RUN}-m")

    def test_client_gone(self) -> None:
        """The question goes on without him, and what it takes is given back."""
        del self.redis.replies["admit"]
        asking = self.limiter.admit(demand())
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.redis.the("admit").answer.callback(GRANTED)
        self.assertEqual(self.redis.names(), ["admit", "release"])
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.names(), ["admit", "release"])

    def test_client_gone_and_refused(self) -> None:
        """Nobody hears of it, and nothing is given back that was not taken."""
        del self.redis.replies["admit"]
        for reply in ([int(Code.RPM), 1, 9, *FIGURES], [int(Code.STALE), 8]):
            self.redis.calls.clear()
            asking = self.limiter.admit(demand())
            asking.cancel()
            self.failureResultOf(asking, CancelledError)
            self.redis.the("admit").answer.callback(reply)
            self.assertEqual(self.redis.names(), ["admit"])

    def test_client_gone_and_a_fault(self) -> None:
        """A fault of ours that nobody waits for is logged."""
        del self.redis.replies["admit"]
        asking = self.limiter.admit(demand())
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.redis.the("admit").answer.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_granted_by_one_that_is_gone(self) -> None:
        """A grant of a Redis that was replaced meanwhile counts for nothing."""
        del self.redis.replies["admit"]
        asking = self.limiter.admit(demand())
        self.standing.connected(OTHER)
        self.redis.the("admit").answer.callback(GRANTED)
        self.refused(asking, "generation")
        self.assertEqual(self.redis.names(), ["admit", "release"])

    def test_room(self) -> None:
        """Nobody is admitted who could not be held, or not be given back."""
        self.limiter = self.made(most_held=1)
        self.admit("a")
        self.refused(self.limiter.admit(demand("b")), "room")
        self.limiter = self.made(most_owed=1)
        del self.redis.replies["admit"], self.redis.replies["release"]
        asking = self.limiter.admit(demand("c"))
        self.redis.the("admit").lose()
        self.refused(asking, "redis")
        self.refused(self.limiter.admit(demand("d")), "room")
        self.redis.the("release").answer.callback(OK)


class ExtendTests(LimiterTestCase):
    def test_extended_too_late(self) -> None:
        """A lease that is granted after the call's end raises nothing of what that has cost."""
        self.admit()
        drawing = self.extend()
        self.limiter.settle("id", 33)
        self.redis.the("extend").answer.callback([1, 522])
        self.assertEqual(self.successResultOf(drawing), 522)
        self.redis.replies["heartbeat"] = OK
        self.standing.connected(OTHER)
        self.clock.advance(0.2)
        self.assertEqual(self.redis.the("heartbeat").args[3:], [33, DAY, 0])

    def test_extended(self) -> None:
        """What the call has in all is kept for its heartbeats."""
        self.admit()
        self.redis.replies["extend"] = [1, 522]
        self.assertEqual(self.successResultOf(self.extend()), 522)
        self.assertEqual(self.redis.the("extend").args[:3], ["id", GEN, 522])
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.redis.the("heartbeat").args[3], 522)

    def test_no_more(self) -> None:
        """A budget without more gives the total that there is."""
        self.admit()
        self.redis.replies["extend"] = [1, 266]
        self.assertEqual(self.successResultOf(self.extend()), 266)

    def test_changed(self) -> None:
        """A lease is drawn against the budgets that are set when it is asked for."""
        self.admit()
        self.redis.replies["extend"] = [1, 266]
        self.successResultOf(self.extend())
        self.assertEqual(self.redis.the("extend").args[3:], [1000, -1, -1, -1, 2000, 3000])
        now = evolve(caller(), tenant_limits=Level(budget_day=266), key_limits=Level())
        self.limiter.change("id", now)
        self.limiter.change("another", now)
        self.successResultOf(self.extend())
        self.assertEqual(self.redis.the("extend").args[3:], [266, -1, -1, -1, -1, -1])

    def test_lost_by_redis(self) -> None:
        """A call that Redis has lost is put back before it gets more."""
        self.admit()
        self.once("extend", GONE, [1, 522])
        self.assertEqual(self.successResultOf(self.extend()), 522)
        self.assertEqual(self.redis.names(), ["extend", "heartbeat", "extend"])
        self.assertEqual(self.redis.the("heartbeat").args[3], 266)

    def test_tenant_lost_by_redis(self) -> None:
        """So is one whose tenant is lost."""
        self.admit()
        replies = [[1, 522], GONE, UNKNOWN]
        self.redis.replies["extend"] = lambda _: replies.pop()
        self.assertEqual(self.successResultOf(self.extend()), 522)
        self.assertEqual(self.redis.names(), ["extend", "rebuild", "extend", "heartbeat", "extend"])

    def test_gone(self) -> None:
        """What cannot be put back gets no more."""
        self.admit()
        self.redis.replies["extend"] = GONE
        self.refused(self.extend(), "lost")

    def test_ended(self) -> None:
        """Nor does a call that is not held, or has ended."""
        self.refused(self.extend(), "ended")
        self.admit()
        self.limiter.settle("id", 33)
        self.refused(self.extend(), "ended")

    def test_away(self) -> None:
        """No answer: the relay may ask again."""
        self.admit()
        asking = self.extend()
        self.redis.the("extend").lose()
        self.refused(asking, "redis")


class EpochTests(LimiterTestCase):
    def test_raised(self) -> None:
        """A new epoch is told under the tenant's key, whatever Redis answers."""
        self.redis.replies["raise_epoch"] = [8]
        self.assertIsNone(self.successResultOf(self.limiter.raise_epoch(UUID(int=1), 8)))
        told = self.redis.the("raise_epoch")
        self.assertEqual(told.keys, ["nz:{00000000-0000-0000-0000-000000000001}:bud"])
        self.assertEqual(told.args, [8])

    def test_away(self) -> None:
        """Without Redis nobody is told."""
        self.redis.away = True
        self.failureResultOf(self.limiter.raise_epoch(UUID(int=1), 8), RedisUnavailable)


class StopTests(LimiterTestCase):
    def test_stop(self) -> None:
        """What is owed is told at the end, for a short while; no heartbeat follows."""
        self.admit()
        self.redis.away = True
        self.limiter.settle("id", 33)
        self.redis.away = False
        stopped = self.limiter.stopService()
        self.clock.advance(0.0)
        self.successResultOf(stopped)
        self.assertEqual(self.redis.names(), ["settle"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_redis_away(self) -> None:
        """Without Redis the stop waits no longer than that."""
        self.admit()
        self.redis.away = True
        self.limiter.settle("id", 33)
        stopped = self.limiter.stopService()
        self.clock.advance(STOP_S - 0.1)
        self.assertNoResult(stopped)
        self.clock.advance(0.1)
        self.successResultOf(stopped)
        self.successResultOf(self.limiter.stopService())
