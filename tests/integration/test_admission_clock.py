"""Time on a real server: Redis' own clock, also when somebody sets it, and the ends of periods."""

from datetime import UTC, datetime

from tests.admission_known import DAY, MONTH, OK, REFUSED, RPM, SLOTS, UNKNOWN
from tests.integration.script_case import TODAY, TenantTestCase
from tests.script_session import TIMED, Beat


class ClockTests(TenantTestCase):
    """What time does to limits."""

    def test_redis_own_clock(self) -> None:
        """The time is Redis', in seconds since 1970; so is the day."""
        before = int(self.session.call("TIME")[0])
        answer = self.tenant.admit("1")
        after = int(self.session.call("TIME")[0])
        self.assertTrue(before <= answer[-1] <= after)
        days = {datetime.fromtimestamp(at, UTC).strftime("%Y%m%d") for at in (before, after)}
        self.assertIn(str(answer[2]), days)

    def test_clock_steps_back(self) -> None:
        """An hour back, nobody is admitted who should not be, and nothing freezes."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (2, -1, 1, -1, -1, -1)
        tenant.admit("1")
        tenant.settle("1", "a", 5)
        self.later(10)
        tenant.admit("2")
        self.later(-3600)
        self.assertEqual(tenant.admit("3")[:3], [RPM, 0, 51])
        self.later(31)
        self.assertEqual(tenant.admit("3")[:3], [RPM, 0, 20])
        self.later(20)
        self.assertEqual(tenant.admit("3")[0], OK)

    def test_an_hour_back(self) -> None:
        """Leases, pendings and tombstones end after the time that they have, and not before."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (-1, -1, 1, -1, -1, 100)
        tenant.admit("1", prompt=40, lease=0)
        tenant.release("gone", "a")
        self.later(10)
        tenant.look()
        self.later(-3600)
        self.assertEqual(tenant.admit("2", prompt=10, lease=0)[:3], [SLOTS, 0, 20])
        self.later(19.9)
        self.assertEqual(tenant.admit("2", prompt=10, lease=0)[:3], [SLOTS, 0, 1])
        self.later(0.2)
        self.assertEqual(tenant.admit("2", prompt=10, lease=0)[:2], [OK, 0])
        self.assertEqual(tenant.admit("gone")[0], REFUSED)
        self.later(30)
        self.assertEqual(tenant.admit("gone", prompt=1, lease=0)[:2], [OK, 0])
        self.assertEqual(tenant.look()[6], 49)
        self.later(840)
        self.assertEqual(tenant.admit("3", prompt=1, lease=0), [UNKNOWN])
        tenant.rebuild([])
        self.assertEqual(tenant.admit("3", prompt=1, lease=0)[8], 88)

    def test_an_hour_forth(self) -> None:
        """A minute begins anew, what runs is back with its heartbeat, and going back is no gain."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (2, -1, 2, -1, -1, 100)
        beats = [Beat(id=one, key="a", tokens=40, day=TODAY) for one in "12"]
        for one in "12":
            self.assertEqual(tenant.admit(one, prompt=40, lease=0)[0], OK)
        self.later(3600)
        tenant.heartbeat(beats)
        self.assertEqual(tenant.look()[6:7] + tenant.look()[10:11], [20, 2])
        self.assertEqual(tenant.admit("3", prompt=1, lease=0)[:3], [SLOTS, 0, 30])
        tenant.settle("1", "a", 40)
        tenant.settle("2", "a", 40)
        self.assertEqual(tenant.admit("3", prompt=1, lease=0)[0], OK)
        self.assertEqual(tenant.admit("4", prompt=1, lease=0)[0], OK)
        self.later(-3600)
        self.assertEqual(tenant.admit("5", prompt=1, lease=0)[:3], [RPM, 0, 61])
        self.later(61)
        self.assertEqual(tenant.admit("5", prompt=1, lease=0)[0], OK)

    def test_small_steps(self) -> None:
        """A clock that is set back again and again holds nothing up for longer than it was set."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (1, -1, -1, -1, -1, -1)
        tenant.admit("1")
        tries = 0
        while tenant.admit("2")[0] == RPM:
            tries += 1
            self.later(-0.5)
            tenant.look()
            self.later(1.5)
        self.assertTrue(61 <= 1.5 * tries <= 61 + 0.5 * tries + 1.5, tries)

    def test_months_end(self) -> None:
        """A call counts for the day and month of its admission, whenever it draws and ends."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (-1, -1, -1, 100, 150, -1)
        self.later(7.5 * 86_400 - 1)
        self.assertEqual(tenant.admit("old", prompt=40, lease=50)[:3], [OK, 50, 20_261_130])
        self.assertEqual(tenant.admit("2", prompt=20, lease=0)[:3], [DAY, 0, 1])
        self.later(1)
        self.assertEqual(tenant.admit("new", prompt=90, lease=1)[:3], [OK, 1, 20_261_201])
        self.assertEqual(tenant.extend("old", "a", 120), [OK, 100])
        self.assertEqual(tenant.extend("new", "a", 120), [OK, 100])
        self.assertEqual(tenant.look()[11:14], [100, 100, 200])
        self.assertEqual(tenant.settle("old", "a", 70), [OK])
        self.assertEqual(tenant.settle("new", "a", 100), [OK])
        self.assertEqual(tenant.admit("3", prompt=50, lease=1)[:3], [MONTH, 0, 31 * 86_400])
        self.assertEqual(tenant.admit("3", prompt=50, lease=0)[:3], [DAY, 0, 86_400])
        lines = [("t", "day", "2026-11-30", 70), ("t", "month", "2026-11-01", 70)]
        tenant.flushed(["old"], [*lines, ("t", "total", "1970-01-01", 70)])
        self.assertEqual(tenant.look()[11:14], [100, 100, 170])
