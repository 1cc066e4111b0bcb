"""The scripts of limits on a real server: each rule alone, and all of them against a model."""

import re
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

from hiredis import HiredisError
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import TestCase

from tests.admission_machine import AdmissionMachine
from tests.admission_known import MONTH, OK, REFUSED, RPM, SLOTS, STALE, TPM, UNKNOWN
from tests.figures import EXACT
from tests.integration.killable_redis import KillableRedis
from tests.script_session import REAL, TIMED, Beat, RedisSession, ScriptSet, TenantScripts
from tests.waiting import until

NOON_S = 1_795_435_200
"""2026-11-23, 12:00 UTC."""

EXAMPLES = settings(
    max_examples=2000 if EXACT else 40,
    stateful_step_count=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class ScriptTestCase(TestCase):
    """Tests that have a server of their own."""

    timeout = 900

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Start it."""
        self.server = KillableRedis()
        self.addCleanup(self.server.clean_up)
        await self.server.start()
        self.session = RedisSession(str(self.server.target().path))
        self.addCleanup(self.session.close)


class ModelTests(ScriptTestCase):
    def test_any_sequence(self) -> None:
        """Whatever happens, in any order: Redis answers as the model, and nothing is lost."""

        class Machine(AdmissionMachine):
            session = self.session

        run_state_machine_as_test(Machine, settings=EXAMPLES)


class ScriptTests(ScriptTestCase):
    """What each script promises, on Redis' own clock or on one that the test sets."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Have a tenant that Redis knows."""
        await super().setUp()
        self.tenant = self.known_tenant(REAL)

    def known_tenant(self, scripts: ScriptSet) -> TenantScripts:
        """A tenant whose ledger is empty."""
        tenant = TenantScripts(self.session, str(uuid4()), scripts)
        self.now_s = float(NOON_S)
        self.session.set_clock(NOON_S * 1000)
        self.assertEqual(tenant.rebuild([]), [OK])
        return tenant

    def later(self, seconds: float) -> None:
        """Move the clock that the test sets."""
        self.now_s += seconds
        self.session.set_clock(int(self.now_s * 1000))

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

    def test_small_minute(self) -> None:
        """Where a minute has less than a lease, the first one is what the minute has."""
        self.tenant.limits["t"] = (-1, 100, -1, -1, -1, -1)
        self.assertEqual(self.tenant.admit("1", prompt=30, lease=256)[:2], [OK, 70])
        self.assertEqual(self.tenant.admit("2", prompt=100, lease=256)[:3], [TPM, 0, 61])

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

    def test_released(self) -> None:
        """A released id is refused for a minute; all that it took is there again."""
        tenant = self.known_tenant(TIMED)
        tenant.limits["t"] = (1, 100, 1, 100, 100, 100)
        for call_id in "12":
            self.assertEqual(tenant.admit(call_id, prompt=50, lease=50)[:2], [OK, 50])
            self.assertEqual(tenant.release(call_id, "a"), [OK])
        self.later(59)
        self.assertEqual(tenant.admit("2"), [REFUSED])

    def test_days(self) -> None:
        """The script names each day as the calendar does, leap years and all."""
        tenant = self.known_tenant(TIMED)
        for number in range(400):
            at = NOON_S + number * 86_399 * 37
            self.session.set_clock(at * 1000)
            answer = tenant.admit(str(number))
            self.assertEqual(str(answer[2]), datetime.fromtimestamp(at, UTC).strftime("%Y%m%d"))

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

    def test_without_memory(self) -> None:
        """Out of memory nothing begins, and what ends frees."""
        self.tenant.admit("1")
        self.session.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.session.call("CONFIG", "SET", "maxmemory", "1")
        with self.assertRaisesRegex(HiredisError, "^OOM"):
            self.tenant.admit("2")
        with self.assertRaisesRegex(HiredisError, "^OOM"):
            self.tenant.heartbeat([])
        self.assertEqual(self.tenant.settle("1", "a", 5), [OK])
        self.assertEqual(self.tenant.flushed(["1"], []), [OK])
        self.assertEqual(self.tenant.release("2", "a"), [OK])

    def test_large_batches(self) -> None:
        """A heartbeat and a flush of thousands go at once."""
        ids = [str(number) for number in range(3000)]
        beats = [Beat(id=one, key="a", tokens=3, day="2026-11-23") for one in ids]
        self.assertEqual(self.tenant.heartbeat(beats), [OK])
        bud = self.tenant.key("bud")
        self.assertEqual(self.session.call("HGET", bud, "sum:t:total"), b"9000")
        self.assertEqual(self.tenant.flushed(ids + ids, []), [OK])
        self.assertIsNone(self.session.call("HGET", bud, "sum:t:total"))

    def test_keys_expire(self) -> None:
        """Windows and slots that nobody uses go; the budget stays."""
        self.tenant.admit("1")
        self.tenant.count()
        for name in ("win:t", "win:k:a", "slots:t", "slots:k:a", "list:t", "list:k:a"):
            self.assertGreater(self.session.call("PTTL", self.tenant.key(name)), 100_000, name)
        for name in ("bud", "pend"):
            self.assertEqual(self.session.call("PTTL", self.tenant.key(name)), -1)


class KeyTests(ScriptTestCase):
    """Where the scripts reach."""

    def test_declared(self) -> None:
        """No script touches a key that it was not given, all of them under the tenant's tag."""
        watcher = RedisSession(str(self.server.target().path))
        self.addCleanup(watcher.close)
        watcher.call("MONITOR")
        tenant = TenantScripts(self.session, "tenant-of-test")
        run_all(tenant)
        self.session.call("PING", "the end")
        given: set[bytes] = set()
        seen = Counter[str]()
        while b"the end" not in (line := watcher.reply()):
            words = re.findall(rb'"((?:[^"\\]|\\.)*)"', line)
            name = words[0].upper().decode()
            if b" lua]" not in line:
                given = set(words[3 : 3 + int(words[2])]) if name.startswith("EVAL") else set()
                self.assertTrue(all(b"{tenant-of-test}" in key for key in given))
            elif name != "TIME":
                seen[name] += 1
                keys = words[1:] if name in ("DEL", "UNLINK") else words[1:2]
                self.assertLessEqual(set(keys), given, line)
        self.assertGreaterEqual(
            set(seen),
            {"HMGET", "HSET", "HGET", "HDEL", "ZADD", "ZREM", "HSCAN", "PEXPIRE", "UNLINK"},
        )


class ClusterTests(TestCase):
    """A server that is a cluster of one: it refuses keys that do not live together."""

    timeout = 60

    async def test_all_scripts(self) -> None:
        """Every script runs, for several tenants, and leaves what it should."""
        server = KillableRedis(extra="cluster-enabled yes\n")
        self.addCleanup(server.clean_up)
        await server.start()
        session = RedisSession(str(server.target().path))
        self.addCleanup(session.close)
        session.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await until(lambda: b"cluster_state:ok" in session.call("CLUSTER", "INFO"))
        with self.assertRaisesRegex(HiredisError, "^CROSSSLOT"):
            session.call("EVAL", "#!lua\nreturn 1", 2, "{a}x", "{b}x")
        for _ in range(3):
            run_all(TenantScripts(session, str(uuid4())))


def run_all(tenant: TenantScripts) -> None:
    """Run every script, on ways that change something."""
    day = "2026-11-23"
    tenant.limits["t"] = (100, 10_000, 100, 10_000, 10_000, 10_000)
    beat = Beat(id="3", key="b", tokens=5, day=day)
    answers = [
        tenant.admit("1"),
        tenant.rebuild([("t", "day", day, 5)]),
        tenant.admit("1"),
        tenant.admit("2", key="b"),
        tenant.extend("1", "a", 100),
        tenant.settle("1", "a", 10),
        tenant.release("2", "b"),
        tenant.heartbeat([beat]),
        tenant.flushed(["1"], [("t", "day", day, 15)]),
        tenant.count(),
        tenant.raise_epoch(2),
        tenant.admit("4"),
    ]
    codes = [answer[0] for answer in answers]
    if codes != [UNKNOWN, OK, OK, OK, OK, OK, OK, OK, OK, OK, 2, STALE]:
        raise AssertionError(codes)
    tenant.epoch = 2
    for limits, code in (((1, -1, -1), RPM), ((-1, 5, -1), TPM), ((-1, -1, 1), SLOTS)):
        tenant.limits["t"] = (*limits, -1, -1, -1)
        if tenant.admit("5")[0] != code:
            raise AssertionError("limits are not held")
    tenant.gen = "2"
    if tenant.rebuild([]) != [OK] or tenant.count()[0] != OK:
        raise AssertionError("a new generation is not begun")
