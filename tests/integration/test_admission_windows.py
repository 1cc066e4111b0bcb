"""Windows on a real server: no minute has more than its limit, and none of it is lost."""

from collections import Counter
from datetime import UTC, datetime

from tests.admission_known import OK, RPM, TPM
from tests.integration.script_case import TenantTestCase
from tests.script_session import TIMED


class WindowTests(TenantTestCase):
    """What a minute has."""

    def test_redis_own_clock(self) -> None:
        """The time is Redis', in seconds since 1970; so is the day."""
        before = int(self.session.call("TIME")[0])
        answer = self.tenant.admit("1")
        after = int(self.session.call("TIME")[0])
        self.assertTrue(before <= answer[-1] <= after)
        days = {datetime.fromtimestamp(at, UTC).strftime("%Y%m%d") for at in (before, after)}
        self.assertIn(str(answer[2]), days)

    def test_thousand_at_once(self) -> None:
        """A thousand calls in one moment count as a thousand."""
        self.tenant.limits["t"] = (60, -1, -1, -1, -1, -1)
        codes = Counter(self.tenant.admit(str(number))[0] for number in range(1000))
        self.assertEqual(codes, {OK: 60, RPM: 940})

    def test_no_minute_has_more(self) -> None:
        """At any time the minute before has no more than the limit, and as many as it may."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["a"] = (60, -1, -1, -1, -1, -1)
        admitted: list[float] = []
        for number in range(3000):
            self.later(0.07)
            if tenant.admit(str(number))[0] == OK:
                admitted.append(self.now_s)
        for at in admitted:
            self.assertLessEqual(sum(at - 60 <= other <= at for other in admitted), 60)
        self.assertGreaterEqual(len(admitted), 3 * 60)

    def test_time_to_wait(self) -> None:
        """Who waits as long as he is told is admitted, and not a second before."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (2, -1, -1, -1, -1, -1)
        tenant.admit("1")
        self.later(20)
        tenant.admit("2")
        self.later(20)
        code, level, wait, *_ = tenant.admit("3")
        self.assertEqual((code, level, wait), (RPM, 0, 21))
        self.later(20)
        self.assertEqual(tenant.admit("3")[0], RPM)
        self.later(1)
        self.assertEqual(tenant.admit("3")[0], OK)

    def test_small_minute(self) -> None:
        """Where a minute has less than a lease, the first one is what the minute has."""
        self.tenant.limits["t"] = (-1, 100, -1, -1, -1, -1)
        self.assertEqual(self.tenant.admit("1", prompt=30, lease=256)[:2], [OK, 70])
        self.assertEqual(self.tenant.admit("2", prompt=100, lease=256)[:3], [TPM, 0, 61])

    def test_given_back(self) -> None:
        """Tokens are given back in the second in which they were taken, and not a second later."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (100, 1000, -1, -1, -1, -1)
        tenant.admit("1", prompt=0, lease=100)
        self.later(30)
        tenant.admit("2", prompt=0, lease=100)
        tenant.settle("1", "a", 10)
        self.assertEqual(tenant.count()[4], 890)
        self.later(31)
        self.assertEqual(tenant.count()[4], 900)
        tenant.admit("3", prompt=0, lease=50)
        self.later(61)
        tenant.admit("4", prompt=0, lease=70)
        tenant.settle("3", "a", 0)
        tenant.release("2", "a")
        self.assertEqual(tenant.count()[3:5], [1000, 930])

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
