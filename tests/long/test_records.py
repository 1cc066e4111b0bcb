"""The record under kills and outages, in full sizes (SPEC 9)."""

import random
import sys
import time
from collections import Counter
from contextlib import ExitStack
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.credentials import new_key
from tests.figures import within
from tests.gateway import marker
from tests.http_client import Caller, ask, chat, request_bytes
from tests.processes import eventually
from tests.records import House, Row, recording_house, restarted

KILLS = 200
DURABLE_KILLS = 20
SIBLING_KILLS = 10
READY_S = within(5.0)
AWAY_S = 300.0
FAULT_S = 5.0
FLOOD_S = 30.0
BACK_S = within(5.0)
FLUSHED_S = 120.0
SPOOL_BYTES = 24 * 1024 * 1024
STREAMS = 300

READ_ONLY = (
    "ALTER ROLE {} SET default_transaction_read_only = on",
    "ALTER ROLE {} RESET ALL",
)
NO_CONNECTIONS = ("ALTER ROLE {} CONNECTION LIMIT 0", "ALTER ROLE {} CONNECTION LIMIT -1")
NO_SPACE = (
    """
    CREATE FUNCTION gateway.no_space() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER no_space BEFORE INSERT ON gateway.audit_log
        FOR EACH ROW EXECUTE FUNCTION gateway.no_space()
    """,
    "DROP FUNCTION gateway.no_space() CASCADE",
)
LOGIN_OF_THE_SERVICE = """
    SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'neuronetz-gateway'
"""
SESSIONS_OF_THE_SERVICE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'neuronetz-gateway'
"""


class RecordsTestCase(SynchronousTestCase):
    def settled(self, house: House) -> list[Row]:
        """The record, held against the mock and its own chains; says what there is."""
        rows = house.settle(self, FLUSHED_S)
        house.verify()
        outcomes = dict(Counter(row.outcome for row in rows).most_common(6))
        sys.stderr.write(f"\n{len(rows)} rows, answers {dict(house.statuses)}, {outcomes}")
        return rows


class KillTests(RecordsTestCase):
    def kill(self, house: House, kills: int) -> None:
        """Kill the gateway again and again, at random moments under load."""
        draw = random.Random(4)
        slowest = 0.0
        for _ in range(kills):
            with house.load():
                time.sleep(draw.uniform(0.05, 0.8))
                house.stack.gateway.kill()
            house.look_at_mock()
            slowest = max(slowest, restarted(house))
        self.settled(house)
        sys.stderr.write(f"; {kills} kills, slowest start {slowest:.1f} s\n")
        self.assertTrue(slowest < READY_S, f"{slowest} s")

    def test_killed(self) -> None:
        """Each call that the model host saw has one row; the ledger is their sum."""
        self.kill(recording_house(self), KILLS)

    def test_killed_with_durability(self) -> None:
        """The same where each intent is on the disk first."""
        self.kill(recording_house(self, AUDIT_DURABILITY="disk"), DURABLE_KILLS)

    def test_two_gateways(self) -> None:
        """Of two gateways on one state directory one is killed each time, the other adopts."""
        house = recording_house(self)
        stacks = [house.stack, house.another()]
        for number in range(SIBLING_KILLS):
            victim = stacks[number % 2]
            with house.load(*stacks):
                time.sleep(0.7)
                victim.gateway.kill()
                time.sleep(0.7)
            house.look_at_mock()
            victim.start()
        self.settled(house)


class OutageTests(RecordsTestCase):
    def known(self, **settings: str) -> House:
        """A house whose key is known for ten minutes, so that the database is not asked for it."""
        house = recording_house(self, REDIS_KEY_CACHE_TTL_S="600", **settings)
        self.assertEqual(house.call(house.stack)[1], 200)
        return house

    def test_database_stopped(self) -> None:
        """Five minutes without PostgreSQL: calls go on, no row is lost or doubled."""
        house = self.known()
        with house.load(callers=4, pause_s=0.05):
            time.sleep(1)
            with house.without_database():
                back = time.monotonic() + AWAY_S
                while time.monotonic() < back:
                    time.sleep(5)
                    house.look_at_mock()
            time.sleep(1)
        self.assertEqual(set(house.statuses), {200})
        rows = self.settled(house)
        self.assertEqual({row.outcome for row in rows if row.client_id}, {"ok"})

    def test_database_refuses(self) -> None:
        """Full, read-only, or out of connections: the same."""
        house = self.known()
        ((login,),) = house.stack.administer(LOGIN_OF_THE_SERVICE)
        for (begin, end), name in (
            (READ_ONLY, login),
            (NO_CONNECTIONS, login),
            (NO_SPACE, ""),
        ):
            with self.subTest(begin=begin), house.load(callers=4, pause_s=0.02):
                time.sleep(0.5)
                house.stack.administer(begin.format(name))
                house.stack.administer(SESSIONS_OF_THE_SERVICE)
                try:
                    time.sleep(FAULT_S)
                    before = len(house.rows())
                    time.sleep(1)
                    self.assertEqual(len(house.rows()), before)
                finally:
                    house.stack.administer(end.format(name))
                time.sleep(0.5)
        self.assertEqual(set(house.statuses), {200})
        self.settled(house)

    def test_spool_full(self) -> None:
        """At the limit nobody is answered but health; all is well again once it has drained."""
        house = self.known(AUDIT_SPOOL_MAX_BYTES=str(SPOOL_BYTES))
        with house.load():
            with house.without_database():
                while not house.statuses[503]:
                    time.sleep(0.2)
                    house.look_at_mock()
                denied = ask(house.stack.port, "GET", "/api/tags", key=house.key)
                self.assertEqual(denied.json()["code"], "audit_unavailable")
                pages = [ask(house.stack.port, "GET", path) for path in ("/healthz", "/readyz")]
                self.assertEqual([page.status for page in pages], [200, 503])
                used = sum(path.stat().st_size for path in house.spool.glob("*/*.seg"))
                self.assertTrue(used <= SPOOL_BYTES, f"{used} bytes")
            eventually(lambda: house.call(house.stack)[1] == 200, FLUSHED_S)
        self.settled(house)


class FloodTests(RecordsTestCase):
    def test_flood(self) -> None:
        """Refusals by the thousand and slow streams by the hundred bring no deny mode."""
        house = recording_house(self)
        refused = Counter[int]()

        def flood() -> None:
            while time.monotonic() < over:
                for key in (new_key(random.randrange), "nz_x", house.key):
                    answer = ask(house.stack.port, "GET", "/api/pull", key=key)
                    refused[answer.status] += 1

        over = time.monotonic() + FLOOD_S
        with ExitStack() as beside:
            body = chat("hi [[n=1000 delay=100ms]]")
            for _ in range(STREAMS):
                headers = {"X-Request-ID": marker()}
                request = request_bytes("POST", "/api/chat", body, key=house.key, headers=headers)
                beside.enter_context(Caller(house.stack.port, request))
            threads = [Thread(target=flood) for _ in range(4)]
            for thread in threads:
                thread.start()
            statuses = set()
            while time.monotonic() < over:
                statuses.add(ask(house.stack.port, "GET", "/api/tags", key=house.key).status)
            for thread in threads:
                thread.join()
        self.assertEqual(statuses, {200})
        self.assertTrue(set(refused) <= {401, 403, 429}, str(refused))
        self.assertEqual(house.stack.gateway.terminate(), 0)
        rows = house.rows()
        counted = sum(row.count for row in rows if row.status in {401, 403, 429, None})
        self.assertEqual(counted, sum(refused.values()))
        sys.stderr.write(f"\n{counted} refusals in {len(rows)} rows\n")
