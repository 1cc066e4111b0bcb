"""Budgets on a real server: what is pending and what the ledger has, in every period."""

from datetime import UTC, datetime

from tests.admission_known import MONTH, OK, UNKNOWN
from tests.integration.script_case import NOON_S, TenantTestCase
from tests.script_session import REAL, TIMED, Beat, TenantScripts


class BudgetTests(TenantTestCase):
    """What a period has."""

    def test_nothing_by_halves(self) -> None:
        """A call that one limit refuses takes nothing of any other."""
        refusing = ((0, -1, -1), (-1, 20, -1), (-1, -1, 0))
        for limits in refusing:
            for scope in ("t", "a"):
                tenant = self.known_tenant(REAL)
                tenant.limits[scope] = (*limits, -1, -1, -1)
                self.assertNotEqual(tenant.admit("1", prompt=25)[0], OK)
                self.assert_untouched(tenant)
        for place in range(3):
            for scope in ("t", "a"):
                tenant = self.known_tenant(REAL)
                budgets = [-1] * 3
                budgets[place] = 10
                tenant.limits[scope] = (-1, -1, -1, *budgets)
                code, level, *_ = tenant.admit("1", prompt=10)
                self.assertEqual((code, level), (20 + place, "ta".index(scope)))
                self.assert_untouched(tenant)

    def assert_untouched(self, tenant: TenantScripts) -> None:
        """See that the tenant has used nothing."""
        tenant.limits.clear()
        tenant.limits["t"] = (100, 10_000, 100, 10_000, 10_000, 10_000)
        self.assertEqual(tenant.count()[1:7], [100, 99, 10_000, 10_000, 1, 10_000])
        self.assertEqual(tenant.admit("2", prompt=0, lease=1)[4:9], [99, 10_000, 9999, 1, 9999])

    def test_last_of_a_budget(self) -> None:
        """A budget grants what is left of it as a lease; with nothing for an answer it refuses."""
        self.tenant.limits["t"] = (-1, -1, -1, -1, 100, -1)
        self.assertEqual(self.tenant.admit("1", prompt=40, lease=256)[:2], [OK, 60])
        self.assertEqual(self.tenant.settle("1", "a", 60), [OK])
        self.assertEqual(self.tenant.admit("2", prompt=40, lease=256)[0], MONTH)
        self.assertEqual(self.tenant.admit("3", prompt=39, lease=256)[:2], [OK, 1])
        self.assertEqual(self.tenant.extend("3", "a", 41), [OK, 40])
        self.assertEqual(self.tenant.settle("3", "a", 30), [OK])
        self.assertEqual(self.tenant.admit("4", prompt=10, lease=0)[:2], [OK, 0])

    def test_ends_of_periods(self) -> None:
        """A budget that is used up is to be asked again when its period has ended."""
        tenant = self.known_tenant(TIMED)
        for place, wait in ((0, 12 * 3600), (1, 7 * 86400 + 12 * 3600), (2, 12 * 3600)):
            budgets = [-1] * 3
            budgets[place] = 0
            tenant.limits["a"] = (-1, -1, -1, *budgets)
            self.assertEqual(tenant.admit("1")[:3], [20 + place, 1, wait])
        self.later(wait + 6 * 86400)
        tenant.limits["a"] = (-1, -1, -1, -1, 0, -1)
        moment = datetime.fromtimestamp(self.now_s, UTC)
        for _ in range(30):
            wait = tenant.admit("1")[2]
            end = datetime.fromtimestamp(self.now_s + wait, UTC)
            self.assertEqual((end.day, end.hour, end.minute, end.second), (1, 0, 0, 0))
            self.assertEqual((end.year * 12 + end.month), (moment.year * 12 + moment.month + 1))
            self.later(wait + 86400 * 11)
            moment = datetime.fromtimestamp(self.now_s, UTC)

    def test_days(self) -> None:
        """The script names each day as the calendar does, leap years and all."""
        tenant = self.known_tenant(TIMED)
        for number in range(400):
            at = NOON_S + number * 86_399 * 37
            self.session.set_clock(at * 1000)
            answer = tenant.admit(str(number), prompt=0, lease=0)
            self.assertEqual(str(answer[2]), datetime.fromtimestamp(at, UTC).strftime("%Y%m%d"))

    def test_nobody_speaks_for_it(self) -> None:
        """A pending without a heartbeat counts 15 minutes, a settled one until it is flushed."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (-1, -1, -1, -1, -1, 1000)
        tenant.admit("dead", prompt=100, lease=100)
        tenant.admit("settled", prompt=100, lease=100)
        tenant.settle("settled", "a", 150)
        self.later(899)
        self.assertEqual(tenant.count()[6], 650)
        self.later(1)
        self.assertEqual(tenant.admit("1", prompt=0, lease=0), [UNKNOWN])
        tenant.rebuild([])
        self.assertEqual(tenant.admit("1", prompt=0, lease=0)[8], 850)
        self.assertEqual(tenant.flushed(["settled"], [("t", "total", "1970-01-01", 150)]), [OK])
        self.assertEqual(tenant.count()[6], 850)

    def test_bounded_forgetting(self) -> None:
        """However much is to be forgotten, a call forgets ten, and tombstones end."""
        tenant = self.known_tenant(TIMED)
        for number in range(50):
            tenant.release(str(number), "a")
        self.later(61)
        for number in range(3):
            tenant.admit(f"new {number}".replace(" ", "-"))
        left = self.session.call("ZCARD", tenant.key("pend"))
        self.assertEqual(left, 50 - 30 + 3)

    def test_old_days_go(self) -> None:
        """The ledger's values of days that are long over are not kept for ever."""
        tenant = self.known_tenant(TIMED)
        for number in range(300):
            day = datetime.fromtimestamp(self.now_s, UTC).date().isoformat()
            tenant.flushed([], [("t", "day", day, number), ("t", "total", "1970-01-01", number)])
            self.later(86_400)
        for _ in range(50):
            tenant.flushed([], [])
        kept = [name for name in self.session.call("HKEYS", tenant.key("bud")) if b"day" in name]
        self.assertLess(len(kept), 65)
        self.assertEqual(self.session.call("HGET", tenant.key("bud"), "base:t:total"), b"299")

    def test_ledger_never_falls(self) -> None:
        """Values of the ledger that arrive late change nothing."""
        lines = [("t", "day", "2026-11-23", 50), ("k:a", "month", "2026-11-01", 70)]
        self.tenant.flushed(["1"], lines)
        self.tenant.flushed(["2"], [(scope, period, day, 10) for scope, period, day, _ in lines])
        kept = self.session.call(
            "HMGET", self.tenant.key("bud"), "base:t:day:2026-11-23", "base:k:a:month:2026-11-01"
        )
        self.assertEqual(kept, [b"50", b"70"])

    def test_large_batches(self) -> None:
        """A heartbeat and a flush of thousands go at once."""
        ids = [str(number) for number in range(3000)]
        beats = [Beat(id=one, key="a", tokens=3, day="2026-11-23") for one in ids]
        self.assertEqual(self.tenant.heartbeat(beats), [OK])
        bud = self.tenant.key("bud")
        self.assertEqual(self.session.call("HGET", bud, "sum:t:total"), b"9000")
        self.assertEqual(self.tenant.flushed(ids + ids, []), [OK])
        self.assertIsNone(self.session.call("HGET", bud, "sum:t:total"))
