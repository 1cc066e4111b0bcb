"""A limiter with a Redis that answers as it is told, on a clock of our own."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.answers import Figures, Granted
from neuronetz_twisted.admission.limiter import Limiter
from neuronetz_twisted.admission.owed import Owed
from neuronetz_twisted.errors import LimitsUnavailable
from neuronetz_twisted.ledger import LedgerLine
from neuronetz_twisted.seams import RedisReply
from tests.unit.admission.scripted_redis import (
    DAY,
    GRANTED,
    LINE,
    NOW_S,
    OK,
    SCRIPTS,
    ScriptedRedis,
    demand,
)
from tests.unit.admission.standings import standing

OTHER = "b" * 40
GIVEN = Granted(256, DAY, Figures(60, 59, 100_000, 99_000, "day", 744, NOW_S))
TELLS = {"settle": OK, "release": OK, "heartbeat": OK, "flushed": OK, "rebuild": OK}


class LimiterTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a limiter that is open."""
        self.clock = Clock()
        self.redis = ScriptedRedis({"admit": GRANTED, **TELLS})
        self.standing = standing(self.clock, self.redis)
        self.lines: Deferred[Sequence[LedgerLine]] = succeed([LINE])
        self.limiter = self.made()
        self.limiter.startService()
        self.addCleanup(self.limiter.stopService)

    def made(self, most_owed: int = 100, most_held: int = 100) -> Limiter:
        """Make a limiter."""
        return Limiter(
            self.clock,
            self.redis,
            SCRIPTS,
            standing=self.standing,
            ledger=self.ledger,
            owed=Owed(clock=self.clock, most=most_owed, chance=lambda: 1.0),
            most_held=most_held,
        )

    def ledger(self, tenant: str) -> Deferred[Sequence[LedgerLine]]:
        """Read the ledger."""
        del tenant
        return self.lines

    def hold_ledger(self) -> Deferred[Sequence[LedgerLine]]:
        """Have the ledger answer when the test says so."""
        lines: Deferred[Sequence[LedgerLine]] = Deferred()
        self.lines = lines
        return lines

    def admit(self, request_id: str = "id", tenant: str = "T") -> None:
        """Have a call admitted, and forget that it was asked."""
        self.assertEqual(
            self.successResultOf(self.limiter.admit(demand(request_id, tenant))), GIVEN
        )
        self.redis.calls.clear()

    def refused(self, asking: Deferred[Any], why: str) -> None:
        """See that nobody knows, and which word the operator reads."""
        refusal = self.failureResultOf(asking, LimitsUnavailable).value
        self.assertEqual(refusal.why, why)

    def extend(self, total: int = 522) -> Deferred[int]:
        """Draw a lease."""
        return Deferred.fromCoroutine(self.limiter.extend("id", total))

    def once(self, name: str, first: RedisReply, then: RedisReply) -> None:
        """Have a script answer something else the first time."""
        replies = [first]
        self.redis.replies[name] = lambda _: replies.pop() if replies else then
