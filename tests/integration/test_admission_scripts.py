"""All scripts of admission on a real server: against a model, in what they touch, and where."""

import re
import socket
from collections import Counter
from uuid import uuid4

from hiredis import HiredisError
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import TestCase

from tests.admission_known import OK, RPM, SLOTS, STALE, TPM, UNKNOWN
from tests.admission_machine import AdmissionMachine
from tests.figures import EXACT
from tests.integration.killable_redis import KillableRedis
from tests.integration.script_case import ScriptTestCase, TenantTestCase
from tests.script_session import Beat, RedisSession, TenantScripts
from tests.waiting import until

EXAMPLES = settings(
    max_examples=2000 if EXACT else 40,
    stateful_step_count=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class ModelTests(ScriptTestCase):
    def test_any_sequence(self) -> None:
        """Whatever happens, in any order: Redis answers as the model, and nothing is lost."""

        class Machine(AdmissionMachine):
            session = self.session

        run_state_machine_as_test(Machine, settings=EXAMPLES)


class ServerTests(TenantTestCase):
    """What the scripts do to the server."""

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
        with socket.create_server(("127.0.0.1", 0)) as free:
            bus = free.getsockname()[1]
        # Without a port of its own every such server on a machine takes the same for its bus.
        config = f"cluster-enabled yes\nbind 127.0.0.1\ncluster-port {bus}\n"
        server = KillableRedis(extra=config)
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
        tenant.look(),
        tenant.raise_epoch(2),
        tenant.admit("4"),
    ]
    codes = [answer[0] for answer in answers]
    if codes != [UNKNOWN, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, 2, STALE]:
        raise AssertionError(codes)
    tenant.epoch = 2
    for limits, code in (((1, -1, -1), RPM), ((-1, 5, -1), TPM), ((-1, -1, 1), SLOTS)):
        tenant.limits["t"] = (*limits, -1, -1, -1)
        if tenant.admit("5")[0] != code:
            raise AssertionError("limits are not held")
    tenant.gen = "2"
    if tenant.rebuild([]) != [OK] or tenant.count()[0] != OK or tenant.look()[0] != OK:
        raise AssertionError("a new generation is not begun")
