"""Slots and tombstones on a real server: what ends is free, what runs is kept."""

from tests.admission_known import OK, REFUSED, SLOTS, UNKNOWN
from tests.integration.script_case import TenantTestCase
from tests.script_session import TIMED, Beat

SLOTS_MS = 120_000


class SlotTests(TenantTestCase):
    """What runs at once, and what has ended."""

    def test_slot_ends(self) -> None:
        """The slots of a gateway that died are free after 30 s; those that are renewed are not."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (-1, -1, 2, -1, -1, -1)
        tenant.admit("dead")
        day = "2026-11-23"
        tenant.admit("alive")
        self.later(20)
        tenant.heartbeat([Beat(id="alive", key="a", tokens=1, day=day)])
        self.assertEqual(tenant.admit("1")[:3], [SLOTS, 0, 10])
        self.later(10)
        self.assertEqual(tenant.admit("1")[0], OK)
        self.assertEqual(tenant.admit("2")[0], SLOTS)

    def test_slots_put_back(self) -> None:
        """After a loss the slots of running calls are back, also above the limit."""
        self.tenant.limits["t"] = (-1, -1, 1, -1, -1, -1)
        self.session.call("FLUSHALL")
        self.assertEqual(self.tenant.admit("1"), [UNKNOWN])
        self.tenant.rebuild([])
        day = "2026-11-23"
        beats = [Beat(id=str(n), key="ab"[n % 2], tokens=9, day=day) for n in range(5)]
        self.assertEqual(self.tenant.heartbeat(beats), [OK])
        self.assertEqual(self.session.call("ZCARD", self.tenant.key("slots:t")), 5)
        self.assertEqual(self.session.call("ZCARD", self.tenant.key("slots:k:b")), 2)
        self.assertEqual(self.tenant.admit("new")[0], SLOTS)

    def test_released(self) -> None:
        """A released id is refused for a minute; all that it took is there again."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (1, 100, 1, 100, 100, 100)
        for call_id in "12":
            self.assertEqual(tenant.admit(call_id, prompt=50, lease=50)[:2], [OK, 50])
            self.assertEqual(tenant.release(call_id, "a"), [OK])
        self.later(59)
        self.assertEqual(tenant.admit("2"), [REFUSED])

    def test_first_to_end(self) -> None:
        """Who waits for a slot is told when the next one ends, not when one has ended."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1")
        self.later(12)
        tenant.admit("2")
        tenant.admit("3", "b")
        self.later(18)
        tenant.limits = {"a": (-1, -1, 1, -1, -1, -1)}
        self.assertEqual(tenant.admit("4")[:3], [SLOTS, 1, 12])
        tenant.limits = {"t": (-1, -1, 2, -1, -1, -1)}
        self.assertEqual(tenant.admit("4")[:3], [SLOTS, 0, 12])
        tenant.limits = {"t": (-1, -1, 3, -1, -1, -1)}
        self.assertEqual(tenant.admit("4")[0], OK)
        tenant.limits = {"t": (-1, -1, 0, -1, -1, -1)}
        tenant.settle("4", "a", 0)
        self.later(12)
        self.assertEqual(tenant.admit("5")[:3], [SLOTS, 0, 1])

    def test_kept_for_its_lease(self) -> None:
        """Each lease is kept for as long as it runs, whatever was booked in its second before."""
        tenant = self.known_tenant(TIMED)
        tenant.admit("1", prompt=10, lease=20)
        beat = Beat(id="1", key="a", tokens=60, day="2026-11-23")
        for lease in (lambda: tenant.admit("2"), lambda: tenant.heartbeat([beat])):
            self.later(1)
            tenant.look()
            tenant.extend("1", "a", 50)
            for name in ("slots:t", "slots:k:a"):
                self.session.call("PEXPIRE", tenant.key(name), 9000)
            self.assertEqual(lease()[0], OK)
            for name in ("slots:t", "slots:k:a"):
                self.assertGreater(self.session.call("PTTL", tenant.key(name)), SLOTS_MS - 2000)

    def test_ended_slots_go(self) -> None:
        """Slots that have ended are forgotten, some each second."""
        tenant = self.known_tenant(TIMED)
        for number in range(50):
            tenant.admit(str(number))
        self.later(30)
        for left in (50 - 20 + 1, 31 - 20 + 1, 12 - 10 + 1, 4):
            tenant.admit(f"new {self.now_s}")
            for name in ("slots:t", "slots:k:a"):
                self.assertEqual(self.session.call("ZCARD", tenant.key(name)), left)
            self.later(1)
