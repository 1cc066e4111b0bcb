"""Pendings on a real server: each step twice, late, or after a loss."""

from tests.admission_known import GONE, OK, REFUSED, TOTAL, UNKNOWN
from tests.integration.script_case import TODAY, TenantTestCase
from tests.script_session import TIMED, Beat, TenantScripts

YESTERDAY = "2026-11-22"


class PendingTests(TenantTestCase):
    """What a call counts for, until the ledger has it."""

    def total(self, tenant: TenantScripts, key: str = "a") -> list[int]:
        """All that tenant and key have used."""
        told = tenant.look(key)
        return [told[13], told[19]]

    def test_extend(self) -> None:
        """A lease is a total: asked for twice it is taken once, in both windows, not as a call."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=10, lease=20)
        for _ in range(2):
            self.assertEqual(tenant.extend("1", "a", 50), [OK, 50])
            self.assertEqual(tenant.look()[8:10] + tenant.look()[14:16], [1, 50, 1, 50])
        self.assertEqual(tenant.extend("1", "a", 40), [OK, 50])
        for place in range(6):
            budgets = [-1] * 6
            budgets[place] = 52 + place
            tenant.limits = {"t": (-1, -1, -1, *budgets[:3]), "a": (-1, -1, -1, *budgets[3:])}
            self.assertEqual(tenant.extend("1", "a", 99), [OK, 52 + place])
            self.assertEqual(self.total(tenant), [52 + place] * 2)
        self.assertEqual(tenant.extend("none", "a", 99), [GONE])
        tenant.settle("1", "a", 5)
        self.assertEqual(tenant.extend("1", "a", 99), [GONE])

    def test_extend_keeps(self) -> None:
        """A call that draws leases is alive."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=10, lease=20)
        self.later(800)
        self.assertEqual(tenant.extend("1", "a", 30), [OK, 30])
        self.later(800)
        tenant.admit("2", prompt=0, lease=0)
        self.assertEqual(self.total(tenant), [30, 30])

    def test_settle(self) -> None:
        """A call is what it cost, once; what it cost above its lease is in this second's window."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=10, lease=20)
        self.later(60)
        for cost in (70, 90):
            self.assertEqual(tenant.settle("1", "a", cost), [OK])
            self.assertEqual(self.total(tenant), [70, 70])
            self.assertEqual(tenant.look()[8:11] + tenant.look()[14:17], [1, 70, 0] * 2)
        self.later(1)
        self.assertEqual(tenant.look()[8:10] + tenant.look()[14:16], [0, 40] * 2)
        self.assertEqual(tenant.settle("none", "a", 5), [GONE])

    def test_settle_many(self) -> None:
        """Many at once are as one after the other: each key's own, and none twice."""
        tenant = self.known_tenant(TIMED)
        for name, key in (("1", "a"), ("2", "b"), ("3", "a")):
            tenant.admit(name, key, prompt=10, lease=20)
        told = [("1", "a", 5), ("none", "a", 9), ("2", "b", 70), ("1", "a", 50)]
        self.assertEqual(tenant.settle_all(told), [OK, GONE, OK, OK])
        self.assertEqual(self.total(tenant), [105, 35])
        self.assertEqual(tenant.look("b")[8:11] + tenant.look("b")[14:17], [3, 105, 1, 1, 70, 0])
        self.assertEqual(tenant.look("a")[14:17], [2, 35, 1])

    def test_settle_gives_back_the_last_lease(self) -> None:
        """What is not used of all leases of a second leaves that second."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=10, lease=20)
        self.later(30)
        tenant.extend("1", "a", 50)
        tenant.extend("1", "a", 70)
        self.later(5)
        tenant.settle("1", "a", 20)
        self.assertEqual(tenant.look()[8:10] + tenant.look()[14:16], [1, 30] * 2)
        self.assertEqual(self.total(tenant), [20, 20])
        self.later(26)
        self.assertEqual(tenant.look()[8:10], [0, 0])

    def test_slot_ends_whatever_is_known(self) -> None:
        """A call that has ended has no slot, also where its generation or pending is lost."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1")
        tenant.gen = "2"
        self.assertEqual(tenant.settle("1", "a", 5), [UNKNOWN])
        for name in ("slots:t", "slots:k:a"):
            self.assertEqual(self.session.call("ZCARD", tenant.key(name)), 0)

    def test_release(self) -> None:
        """All is given back, once, in both windows; what is settled stays."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("0", prompt=1, lease=0)
        tenant.admit("1", prompt=10, lease=20)
        self.later(2)
        tenant.extend("1", "a", 40)
        for _ in range(2):
            self.assertEqual(tenant.release("1", "a"), [OK])
            self.assertEqual(tenant.look()[8:], [1, 31, 1, 1, 1, 1] * 2)
        tenant.settle("0", "a", 1)
        self.assertEqual(tenant.release("0", "a"), [GONE])
        self.assertEqual(self.total(tenant), [1, 1])
        self.later(59.999)
        self.assertEqual(tenant.admit("1"), [REFUSED])
        self.later(0.001)
        self.assertEqual(tenant.admit("1")[0], OK)

    def test_heartbeat_puts_back(self) -> None:
        """Calls that Redis has lost count again: for their key, their day, and with a slot each."""
        tenant = self.known_tenant(TIMED)
        beats = [
            Beat(id="1", key="a", tokens=5, day=TODAY),
            Beat(id="2", key="b", tokens=70, day=YESTERDAY),
            Beat(id="3", key="b", tokens=900, day=TODAY, runs=False),
        ]
        for _ in range(2):
            self.assertEqual(tenant.heartbeat(beats), [OK])
            self.assertEqual(tenant.look("a")[10:], [2, 905, 975, 975, 0, 0, 1, 5, 5, 5])
            self.assertEqual(tenant.look("b")[16:], [1, 900, 970, 970])
        self.assertEqual(tenant.settle("1", "a", 2), [OK])
        self.assertEqual(self.total(tenant), [972, 2])
        self.assertEqual(tenant.look()[8:10], [0, 0])

    def test_heartbeat_of_what_is_known(self) -> None:
        """Of a running call the larger counts; a settled one is as it is, an ended one stays so."""
        tenant = self.known_tenant(TIMED)
        for tokens, total in ((50, 50), (40, 50), (60, 60)):
            tenant.heartbeat([Beat(id="1", key="a", tokens=tokens, day=TODAY)])
            self.assertEqual(self.total(tenant), [total, total])
        tenant.settle("1", "a", 30)
        tenant.release("2", "a")
        late = [Beat(id=one, key="a", tokens=99, day=TODAY) for one in "12"]
        tenant.heartbeat([*late, *late])
        self.assertEqual(tenant.look()[10:14], [0, 30, 30, 30])
        self.assertEqual(tenant.look()[16:], [0, 30, 30, 30])
        tenant.flushed(["1"], [])
        tenant.heartbeat(late)
        self.assertEqual(tenant.look()[10:], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0])

    def test_heartbeat_keeps(self) -> None:
        """A running call counts 15 minutes after its last heartbeat, a settled one a day."""
        tenant = self.known_tenant(TIMED)
        runs = Beat(id="1", key="a", tokens=50, day=TODAY)
        ended = Beat(id="2", key="a", tokens=7, day=TODAY, runs=False)
        tenant.heartbeat([runs, ended])
        for wait, total in ((800, 57), (899.999, 57), (0.001, 7), (85_499, 7)):
            self.later(wait)
            self.admitted(tenant, f"at-{self.now_s}", dropped=wait == 0.001)
            self.assertEqual(tenant.look()[13], total)
            if wait == 800:
                tenant.heartbeat([runs, ended])
        self.later(1)
        self.admitted(tenant, "last", dropped=True)
        self.assertEqual(tenant.look()[13], 0)

    def admitted(self, tenant: TenantScripts, call_id: str, *, dropped: bool) -> None:
        """Admit a call; first the ledger is read again, where a pending that counted has gone."""
        if dropped:
            self.assertEqual(tenant.admit(call_id, prompt=0, lease=0), [UNKNOWN])
            tenant.rebuild([])
        self.assertEqual(tenant.admit(call_id, prompt=0, lease=0)[0], OK)

    def test_dropped_and_flushed(self) -> None:
        """What ends by its age may be on the ledger unheard of: nobody passes before it is read."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (-1, -1, -1, -1, -1, 1000)
        tenant.admit("1", prompt=10, lease=990)
        tenant.settle("1", "a", 1000)
        self.later(86_400)
        for ask in (tenant.admit, tenant.admit, lambda _: tenant.count(), lambda _: tenant.look()):
            self.assertEqual(ask("2"), [UNKNOWN])
        self.assertEqual(tenant.rebuild([("t", "total", "1970-01-01", 1000)]), [OK])
        self.assertEqual(tenant.admit("2")[0], TOTAL)

    def test_many_dropped(self) -> None:
        """However many a dead gateway had, the ledger is read once; none but these are in doubt."""
        tenant = self.known_tenant(TIMED)
        for number in range(35):
            tenant.admit(str(number), prompt=10 * (number % 2), lease=0)
        self.later(900)
        self.admitted(tenant, "new", dropped=True)
        self.assertEqual(self.total(tenant), [0, 0])
        self.assertEqual(self.session.call("ZCARD", tenant.key("pend")), 1)
        tenant.release("new", "a")
        tenant.admit("nothing", prompt=0, lease=0)
        self.later(900)
        self.admitted(tenant, "last", dropped=False)

    def test_batches(self) -> None:
        """However many calls one heartbeat or flush has, each counts."""
        for number in (499, 500, 501, 999, 1000, 1001, 1501):
            tenant = self.known_tenant(TIMED)
            ids = [str(one) for one in range(number)]
            beats = [Beat(id=one, key="a", tokens=3, day=TODAY) for one in ids]
            for _ in range(2):
                tenant.heartbeat(beats)
                self.assertEqual(tenant.look()[10:14], [number, 3 * number] + [3 * number] * 2)
            self.assertEqual(self.session.call("ZCARD", tenant.key("pend")), number)
            self.assertEqual(tenant.flushed(ids, []), [OK])
            self.assertEqual(self.total(tenant), [0, 0])
            self.assertEqual(tenant.admit("0"), [REFUSED])

    def test_flushed(self) -> None:
        """What was pending is in the ledger's values, at no moment in neither."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=30, lease=0)
        tenant.admit("2", "b", prompt=8, lease=0)
        tenant.settle("1", "a", 25)
        lines = [("t", "total", "1970-01-01", 25), ("k:a", "total", "1970-01-01", 25)]
        for _ in range(2):
            self.assertEqual(tenant.flushed(["1"], lines), [OK])
            self.assertEqual(self.total(tenant), [33, 25])
        self.assertEqual(tenant.settle("1", "a", 25), [GONE])
        self.assertEqual(tenant.admit("1"), [REFUSED])
