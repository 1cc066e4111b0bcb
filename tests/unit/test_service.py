"""What the wiring makes of the settings."""

import resource

from attrs import evolve
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import service
from neuronetz_twisted.edge.address import TrustedProxies
from neuronetz_twisted.edge.proxies import ProxyNames
from neuronetz_twisted.operations.descriptors import OWN
from tests.unit.settings import SETTINGS

URL = "postgresql+psycopg://gateway@127.0.0.1:1/gateway"
REDIS = "redis://127.0.0.1:1/0"


class ConnectionLimitsTests(SynchronousTestCase):
    def total(self, descriptors: int) -> int:
        """How many clients there may be where 1000 are wanted."""
        self.patch(resource, "getrlimit", lambda _: (descriptors, descriptors))
        settings = evolve(
            SETTINGS,
            max_connections=1000,
            ollama_max_connections=64,
            database_pool_size=10,
            audit_spool_max_bytes=20 << 20,
        )
        proxies = ProxyNames(MemoryReactorClock(), TrustedProxies.parse([]))
        return service._connection_limits(settings, proxies).total

    def test_what_is_reserved(self) -> None:
        """Ollama, database, spool and we ourselves come first; one line says what is left."""
        others = 64 + 2 + 2 * (10 + 1 + 2) + 5 + OWN
        for descriptors, total, lines in (
            (others + 1000, 1000, 0),
            (others + 999, 999, 1),
            (others, 1, 1),
        ):
            with self.subTest(descriptors=descriptors), capturedLogs() as events:
                self.assertEqual(self.total(descriptors), total)
                self.assertEqual(len(events), lines)


class WireTests(SynchronousTestCase):
    def test_without_files(self) -> None:
        """While the files of the record cannot be made, everything runs but what needs them."""
        settings = evolve(SETTINGS, database_url=URL, redis_url=REDIS)
        parts = service.wire(settings, MemoryReactorClock(), None)
        names = {each.name for each in parts.services}
        self.assertIn("database", names)
        self.assertNotIn("audit flusher", names)

    def test_origins(self) -> None:
        """Without the setting nothing in the edge knows of origins."""
        for origins, knows in (((), False), (("https://app.example",), True)):
            settings = evolve(SETTINGS, database_url=URL, redis_url=REDIS, cors_origins=origins)
            parts = service.wire(settings, MemoryReactorClock(), None)
            self.assertEqual(parts.edge._site.cross_origin is not None, knows)
