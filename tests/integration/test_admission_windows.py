"""Windows on a real server: no minute has more than its limit, and none of it is lost."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission_known import OK, REFUSED, RPM, SLOTS, TPM
from tests.figures import EXACT
from tests.integration.script_case import TenantTestCase
from tests.script_session import TIMED, TenantScripts

MINUTE_MS = 60_000
WINDOW_MS = 120_000
GAPS_MS = (0, 0, 0, 1, 999, 1000, 1001, 9_999, 30_000, 59_000, 59_999, 60_000, 60_001, 61_000)


class WindowTests(TenantTestCase):
    """What a minute has."""

    def test_thousand_at_once(self) -> None:
        """A thousand calls in one moment count as a thousand."""
        self.tenant.limits["t"] = (60, -1, -1, -1, -1, -1)
        codes = Counter(self.tenant.admit(str(number))[0] for number in range(1000))
        self.assertEqual(codes, {OK: 60, RPM: 940})

    def test_thousand_in_one_sending(self) -> None:
        """A thousand calls that arrive together, within a millisecond, count as a thousand."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (60, -1, -1, -1, -1, -1)
        tenant.release("first", "a")
        self.assertEqual(tenant.admit("first")[0], REFUSED)
        answers = tenant.admit_at_once(str(number) for number in range(1000))
        self.assertEqual(Counter(answer[0] for answer in answers), {OK: 60, RPM: 940})
        self.assertTrue(all(answer[0] == OK for answer in answers[:60]))

    @settings(max_examples=1000 if EXACT else 50, derandomize=True, database=None, deadline=None)
    @given(
        rpm=st.integers(1, 6),
        gaps=st.lists(st.integers(0, 70_000) | st.sampled_from(GAPS_MS), max_size=60),
    )
    def test_any_arrivals(self, rpm: int, gaps: list[int]) -> None:
        """However calls arrive, no span of 60 s has more than the limit, seen from either end."""
        tenant, at = self.known_tenant(TIMED), 0
        tenant.limits["t"] = (rpm, -1, -1, -1, -1, -1)
        admitted: list[int] = []
        for number, gap in enumerate(gaps):
            at += gap
            self.later(gap / 1000)
            recent = [one for one in admitted if one >= at - MINUTE_MS]
            if tenant.admit(str(number))[0] == OK:
                admitted.append(at)
                self.assertLess(len(recent), rpm)
            else:
                self.assertGreaterEqual(sum(one > at - MINUTE_MS - 1000 for one in admitted), rpm)

    def test_longest_wait(self) -> None:
        """Of the limits that are reached, the one that is free last is named."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=50, lease=0)
        self.later(10)
        tenant.limits = {"t": (1, 60, 1, -1, -1, -1), "a": (-1, -1, -1, -1, -1, -1)}
        self.assertEqual(tenant.admit("2", prompt=50, lease=0)[:3], [RPM, 0, 51])
        tenant.limits = {"t": (-1, -1, 1, -1, -1, -1), "a": (1, -1, 1, -1, -1, -1)}
        self.assertEqual(tenant.admit("2", prompt=50, lease=0)[:3], [RPM, 1, 51])
        tenant.limits = {"t": (-1, -1, 1, -1, -1, -1), "a": (-1, 99, 1, -1, -1, -1)}
        self.assertEqual(tenant.admit("2", prompt=50, lease=0)[:3], [TPM, 1, 51])
        tenant.limits = {"t": (-1, -1, 1, -1, -1, -1), "a": (-1, 100, 1, -1, -1, -1)}
        self.assertEqual(tenant.admit("2", prompt=50, lease=0)[:3], [SLOTS, 0, 20])

    def test_lists(self) -> None:
        """Lists have a window of their own; calls and lists take nothing of each other's."""
        tenant = self.known_tenant(TIMED)
        tenant.limits = {"t": (5, 100, -1, -1, -1, -1), "a": (2, 100, -1, -1, -1, -1)}
        self.assertEqual(tenant.count()[:5], [OK, 2, 1, 100, 100])
        self.later(3)
        self.assertEqual(tenant.count()[:5], [OK, 2, 0, 100, 100])
        self.assertEqual(tenant.count()[:5], [RPM, 1, 58, 2, 0])
        self.assertEqual(tenant.count("b")[:3], [OK, 5, 2])
        self.assertEqual(tenant.admit("1")[3:7], [2, 1, 100, 70])
        tenant.limits = {"a": (1, -1, -1, -1, -1, -1)}
        self.assertEqual(tenant.count()[:3], [RPM, 1, 61])
        tenant.limits = {"t": (3, -1, -1, -1, -1, -1)}
        self.assertEqual(tenant.count("c")[:3], [RPM, 0, 58])
        self.later(58)
        self.assertEqual(tenant.count("c")[:3], [OK, 3, 0])

    def test_kept_for_its_minute(self) -> None:
        """Each second's first booking has its whole minute, also where others looked before."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=10, lease=20)
        bookings = (
            ("win", lambda: tenant.admit("2")),
            ("win", lambda: tenant.extend("1", "a", 50)),
            ("win", lambda: tenant.settle("1", "a", 70)),
            ("list", tenant.count),
            ("list", tenant.count),
        )
        for kind, book in bookings:
            self.later(1)
            self.nearly_over(tenant, kind)
            tenant.look()
            tenant.limits["t"] = (0, -1, -1, -1, -1, -1)
            self.assertEqual([tenant.admit("none")[0], tenant.count()[0]], [RPM, RPM])
            tenant.limits.clear()
            self.assertEqual(book()[0], OK)
            for scope in ("t", "k:a"):
                left = self.session.call("PTTL", tenant.key(f"{kind}:{scope}"))
                self.assertGreater(left, WINDOW_MS - 2000, f"{kind}:{scope}")

    def nearly_over(self, tenant: TenantScripts, kind: str) -> None:
        """Let the windows of one kind end in a few seconds."""
        for scope in ("t", "k:a"):
            self.session.call("PEXPIRE", tenant.key(f"{kind}:{scope}"), 9000)

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
        tenant.limits["a"] = (1, -1, -1, -1, -1, -1)
        self.assertEqual(tenant.admit("3")[:3], [RPM, 1, 61])
        del tenant.limits["a"]
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
