"""What callers read of their limits, on a real server: figures, epochs, generations."""

from tests.admission_known import OK, RPM, STALE, UNKNOWN
from tests.integration.script_case import NOON_S, TODAY, TenantTestCase
from tests.script_session import TIMED

LEFT = slice(-7, -1)


class FigureTests(TenantTestCase):
    """What is left, and of which level."""

    def test_tighter_level(self) -> None:
        """Of tenant and key the one with less left is told; the tenant where both have the same."""
        for tenant_limit, key_limit, told in (
            (10, 20, 10),
            (20, 10, 10),
            (-1, 10, 10),
            (10, -1, 10),
            (-1, -1, -1),
            (0, 5, 0),
            (5, 0, 0),
        ):
            tenant = self.known_tenant(TIMED)
            tenant.limits = {
                "t": (tenant_limit, tenant_limit, *[-1] * 4),
                "a": (key_limit, key_limit, *[-1] * 4),
            }
            self.assertEqual(tenant.look()[1:5], [told] * 4)

    def test_level_with_less_left(self) -> None:
        """What another key has taken is gone from the tenant's limit, not from this key's."""
        tenant = self.known_tenant(TIMED)
        tenant.limits = {"t": (10, 1000, *[-1] * 4), "a": (8, 900, *[-1] * 4)}
        self.assertEqual(tenant.admit("1", "b", prompt=0, lease=300)[3:7], [10, 9, 1000, 700])
        self.assertEqual(tenant.look("a")[1:5], [8, 8, 1000, 700])
        self.assertEqual(tenant.look("b")[1:5], [10, 9, 1000, 700])
        for number in range(3):
            tenant.admit(f"more-{number}", "b", prompt=0, lease=0)
        self.assertEqual(tenant.look("a")[1:5], [10, 6, 1000, 700])

    def test_least_budget(self) -> None:
        """The budget with least left is told, by its period; used up it has nothing left."""
        tenant = self.known_tenant(TIMED)
        self.assertEqual(tenant.look()[5:8], [0, 0, NOON_S])
        for place in range(3):
            for scope in ("t", "a"):
                for least in (400, 1, 0):
                    budgets = [1000, 1000, 1000]
                    budgets[place] = least
                    tenant.limits = {scope: (-1, -1, -1, *budgets)}
                    self.assertEqual(tenant.look()[5:8], [place + 1, least, NOON_S])
        tenant.rebuild([("k:a", "total", "1970-01-01", 500)])
        tenant.limits = {"a": (-1, -1, -1, -1, -1, 400), "t": (-1, -1, -1, -1, 900, -1)}
        self.assertEqual(tenant.look()[5:8], [3, 0, NOON_S])

    def test_look(self) -> None:
        """What counts is told for tenant and key, by kind; asking takes nothing."""
        tenant = self.known_tenant(TIMED)
        lines = [("t", "day", TODAY, 1), ("t", "month", "2026-11-01", 20)]
        lines += [("t", "total", "1970-01-01", 300), ("k:a", "day", TODAY, 2)]
        lines += [("k:a", "month", "2026-11-01", 40), ("k:a", "total", "1970-01-01", 600)]
        tenant.rebuild(lines)
        tenant.admit("1", "a", prompt=5, lease=0)
        tenant.admit("2", "b", prompt=2, lease=5)
        tenant.admit("3", "a", prompt=5, lease=0)
        tenant.settle("3", "a", 5)
        for _ in range(2):
            self.assertEqual(tenant.look()[8:14], [3, 17, 2, 18, 37, 317])
            self.assertEqual(tenant.look()[14:], [2, 10, 1, 12, 50, 610])
        self.later(31)
        self.assertEqual(tenant.look()[8:11], [3, 17, 0])
        self.later(30)
        self.assertEqual(tenant.look()[8:14], [0, 0, 0, 18, 37, 317])
        tenant.gen = "2"
        self.assertEqual(tenant.look(), [UNKNOWN])

    def test_refused_has_figures(self) -> None:
        """A refusal tells what is left too."""
        self.tenant.limits["a"] = (1, 100, -1, -1, 500, -1)
        told = self.tenant.admit("1", prompt=10, lease=20)[LEFT]
        self.assertEqual(told, [1, 0, 100, 70, 2, 470])
        self.assertEqual(self.tenant.admit("2")[LEFT], told)


class WordTests(TenantTestCase):
    """Epochs and generations: who has not heard is told, and nothing else happens."""

    def test_epoch(self) -> None:
        """The largest epoch ever told stays, whoever tells it; who knows a smaller one is stale."""
        self.assertEqual(self.tenant.raise_epoch(5), [5])
        self.assertEqual(self.tenant.raise_epoch(4), [5])
        for epoch, code in ((4, STALE), (5, OK), (7, OK), (6, STALE)):
            self.tenant.epoch = epoch
            self.assertEqual(self.tenant.admit(f"of {epoch}")[0], code)
            self.assertEqual(self.tenant.count()[0], code)
        self.assertEqual(self.tenant.count(), [STALE, 7])
        self.assertEqual(self.tenant.raise_epoch(10), [10])
        self.tenant.epoch = 9
        self.assertEqual(self.tenant.admit("9"), [STALE, 10])

    def test_generations(self) -> None:
        """What was pending in another generation is gone; epoch, clock and windows are kept."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (2, -1, -1, -1, -1, 1000)
        tenant.rebuild([("t", "total", "1970-01-01", 500)])
        tenant.raise_epoch(3)
        tenant.epoch = 3
        self.later(100)
        tenant.admit("1", prompt=100, lease=0)
        self.later(-50)
        tenant.look()
        tenant.gen = "2"
        for answer in (tenant.admit("2"), tenant.extend("1", "a", 9), tenant.count()):
            self.assertEqual(answer, [UNKNOWN])
        self.assertEqual(tenant.settle("1", "a", 9), [UNKNOWN])
        self.assertEqual(tenant.heartbeat([]), [UNKNOWN])
        self.assertEqual(tenant.flushed([], []), [UNKNOWN])
        tenant.rebuild([("t", "total", "1970-01-01", 300)])
        self.assertEqual(tenant.look()[13], 300)
        tenant.admit("2", prompt=100, lease=0)
        tenant.rebuild([("t", "total", "1970-01-01", 310)])
        self.assertEqual(tenant.look()[13], 410)
        self.assertEqual(tenant.admit("3")[:3], [RPM, 0, 61])
        self.assertEqual(self.session.call("ZCARD", tenant.key("pend")), 1)
        tenant.epoch = 2
        self.assertEqual(tenant.count(), [STALE, 3])
