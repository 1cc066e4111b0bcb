"""The record survives the gateway, and the gateway the loss of what keeps it (SPEC 9).

Small sizes; `tests/long/test_records.py` has the full ones.
"""

import resource
import time
from collections import Counter

import psutil
from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.http_client import Caller, ask, request_bytes
from tests.processes import eventually
from tests.records import House, recording_house, restarted

KILLS = 3
READY_S = within(5.0)
DENIED_S = within(1.0)
BACK_S = within(3.0)


class KillTests(SynchronousTestCase):
    def test_killed(self) -> None:
        """Each call that the model host saw has exactly one row, however the gateway ended."""
        house = recording_house(self)
        for kill in range(KILLS):
            with house.load():
                time.sleep(0.3 + 0.13 * kill)
                house.stack.gateway.kill()
            house.look_at_mock()
            self.assertTrue(restarted(house) < READY_S)
        rows = house.settle(self)
        self.assertTrue(Counter(row.outcome for row in rows)["unknown"] > 0)

    def test_a_sibling_adopts(self) -> None:
        """Of two gateways on one state directory one is killed: the other records its calls."""
        house = recording_house(self)
        other = house.another()
        with house.load(house.stack, other):
            time.sleep(0.5)
            house.stack.gateway.kill()
        self.assertEqual(len(house.writers()), 2)
        house.settle(self, 45)
        self.assertEqual(len(house.writers()), 1)

    def test_stopped(self) -> None:
        """A gateway that ends as asked leaves nothing behind."""
        house = recording_house(self)
        with house.load():
            time.sleep(0.3)
            self.assertEqual(house.stack.gateway.terminate(), 0)
        self.assertEqual(house.writers(), set())
        rows = house.settle(self)
        self.assertNotIn("unknown", {row.outcome for row in rows})


class DenyTests(SynchronousTestCase):
    def status(self, house: House, path: str = "/api/tags") -> int:
        """The status of a list, or of a page."""
        return ask(house.stack.port, "GET", path, key=house.key).status

    def test_files_cannot_grow(self) -> None:
        """No record, no answer: 503 but for health; all is well by itself once there is room."""
        house = recording_house(self)
        self.assertEqual(house.call(house.stack)[1], 200)
        gateway = psutil.Process(house.stack.gateway.pid)
        _, most = gateway.rlimit(psutil.RLIMIT_FSIZE)
        gateway.rlimit(psutil.RLIMIT_FSIZE, (4096, most))
        eventually(lambda: self.status(house) == 503, DENIED_S)
        refused = ask(house.stack.port, "GET", "/api/tags", key=house.key)
        self.assertEqual(refused.json()["code"], "audit_unavailable")
        self.assertTrue(int(refused.headers["retry-after"]) > 0)
        self.assertEqual(house.call(house.stack)[1], 503)
        pages = [self.status(house, path) for path in ("/", "/healthz", "/readyz")]
        self.assertEqual(pages, [200, 200, 503])
        gateway.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, most))
        eventually(lambda: self.status(house) == 200, BACK_S)
        self.assertEqual(house.call(house.stack)[1], 200)
        house.settle(self)

    def test_database_away(self) -> None:
        """Calls go on without PostgreSQL; nothing of them is lost or doubled."""
        house = recording_house(self, REDIS_KEY_CACHE_TTL_S="600")
        with house.load():
            time.sleep(0.3)
            with house.without_database():
                time.sleep(1.0)
            time.sleep(0.3)
        self.assertEqual(set(house.statuses), {200})
        rows = house.settle(self)
        self.assertEqual({row.outcome for row in rows if row.client_id}, {"ok"})

    def test_poison(self) -> None:
        """Whatever bytes a caller puts into what is recorded, records go on to the database."""
        house = recording_house(self)
        for agent in (b"\xff\xfe\xed\xa0\x80", b"a\tb", b'"\\\\u0000"', "\u2028\u202e".encode()):
            request = request_bytes("GET", "/api/tags", key=house.key)
            head = request.replace(b"Host:", b"User-Agent: " + agent + b"\r\nHost:")
            with Caller(house.stack.port, head) as caller:
                self.assertIn(b" 200 ", caller.read_to_end()[:20])
        began = time.monotonic()
        word, status = house.call(house.stack)
        self.assertEqual(status, 200)
        eventually(lambda: word in {row.client_id for row in house.rows()})
        self.assertTrue(time.monotonic() - began < within(1.0))
        self.assertEqual({row.outcome for row in house.rows()}, {"ok"})
