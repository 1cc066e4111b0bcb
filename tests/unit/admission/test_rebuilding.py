from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.asking import Asking
from neuronetz_twisted.admission.rebuilding import Rebuilding
from neuronetz_twisted.errors import DatabaseUnavailable, LimitsUnavailable
from neuronetz_twisted.ledger import LedgerLine
from tests.unit.admission.scripted_redis import DAY, LINE, OK, SCRIPTS, UNKNOWN, ScriptedRedis
from tests.unit.admission.standings import GEN, standing


class RebuildingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a generation that stands, and a ledger."""
        self.clock = Clock()
        self.redis = ScriptedRedis({"rebuild": OK})
        self.standing = standing(self.clock, self.redis)
        self.lines: Deferred[Sequence[LedgerLine]] = succeed([LINE])
        self.read: list[str] = []
        self.rebuilding = Rebuilding(
            clock=self.clock,
            asking=Asking(self.redis),
            scripts=SCRIPTS,
            standing=self.standing,
            ledger=self.ledger,
            wait_s=0.25,
        )

    def ledger(self, tenant: str) -> Deferred[Sequence[LedgerLine]]:
        """Read the ledger."""
        self.read.append(tenant)
        return self.lines

    def test_known(self) -> None:
        """The marker is looked at, then Redis is told what the ledger has."""
        looked = len(self.redis.commands)
        self.successResultOf(self.rebuilding.know("T"))
        self.assertEqual(self.redis.commands[looked:], [b"GET", b"TIME"])
        self.assertEqual(self.redis.the("rebuild").args, [GEN, "t", "day", DAY, 500])

    def test_without_a_look(self) -> None:
        """Where the marker is being looked at, only the tenant is told."""
        looked = len(self.redis.commands)
        self.successResultOf(self.rebuilding.rebuild("T"))
        self.assertEqual(self.redis.commands[looked:], [])
        self.assertEqual(self.redis.names(), ["rebuild"])

    def test_together(self) -> None:
        """Many who wait for a tenant have it told once."""
        lines: Deferred[Sequence[LedgerLine]] = Deferred()
        self.lines = lines
        waiting = [self.rebuilding.know("T"), self.rebuilding.know("T")]
        self.assertEqual(self.read, ["T"])
        lines.callback([LINE])
        for waiter in waiting:
            self.successResultOf(waiter)
        self.assertEqual(self.redis.names(), ["rebuild"])

    def test_too_late(self) -> None:
        """Whoever waits for too long is refused; the work goes on for the next."""
        lines: Deferred[Sequence[LedgerLine]] = Deferred()
        self.lines = lines
        refusal = self.failureResultOf(self.late(), LimitsUnavailable)
        self.assertEqual(refusal.value.why, "rebuild")
        lines.callback([LINE])
        self.assertEqual(self.redis.names(), ["rebuild"])

    def test_too_late_for_the_marker(self) -> None:
        """So it does where already the look at the marker has taken too long."""
        look: Deferred[None] = Deferred()
        self.patch(self.standing, "look", lambda: look)
        self.failureResultOf(self.late(), LimitsUnavailable)
        look.callback(None)
        self.assertEqual(self.redis.names(), ["rebuild"])

    def late(self) -> Deferred[None]:
        """Wait for a tenant in vain."""
        waiter = self.rebuilding.know("T")
        self.clock.advance(0.25)
        return waiter

    def test_failures(self) -> None:
        """The ledger away, Redis away, or a Redis that says no: refused."""
        self.lines = fail(DatabaseUnavailable())
        self.failureResultOf(self.rebuilding.know("T"), LimitsUnavailable)
        self.lines = succeed([])
        self.redis.replies["rebuild"] = UNKNOWN
        self.failureResultOf(self.rebuilding.know("T"), LimitsUnavailable)
        self.redis.away = True
        self.failureResultOf(self.rebuilding.rebuild("T"), LimitsUnavailable)

    def test_doubtful_meanwhile(self) -> None:
        """What was read while Redis was replaced by another is not told."""
        lines: Deferred[Sequence[LedgerLine]] = Deferred()
        self.lines = lines
        waiter = self.rebuilding.rebuild("T")
        self.standing.connected("b" * 40)
        lines.callback([LINE])
        refusal = self.failureResultOf(waiter, LimitsUnavailable)
        self.assertEqual(refusal.value.why, "generation")
        self.assertEqual(self.redis.names(), [])

    def test_another_meanwhile(self) -> None:
        """What was read under one generation is not told under a later one; the next read is."""
        lines: Deferred[Sequence[LedgerLine]] = Deferred()
        self.lines = lines
        waiter = self.rebuilding.rebuild("T")
        self.standing.connected("b" * 40)
        self.clock.advance(0.0)
        later = f"{'b' * 40}-n"
        self.assertEqual(self.standing.gen, later)
        lines.callback([LINE])
        refusal = self.failureResultOf(waiter, LimitsUnavailable)
        self.assertEqual(refusal.value.why, "generation")
        self.assertEqual(self.redis.names(), [])
        self.lines = succeed([LINE])
        self.successResultOf(self.rebuilding.rebuild("T"))
        self.assertEqual(self.redis.the("rebuild").args[0], later)
