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


class ConnectionLimitsTests(SynchronousTestCase):
    def total(self, descriptors: int) -> int:
        """How many clients there may be where 1000 are wanted."""
        self.patch(resource, "getrlimit", lambda _: (descriptors, descriptors))
        settings = evolve(
            SETTINGS, max_connections=1000, ollama_max_connections=64, database_pool_size=10
        )
        proxies = ProxyNames(MemoryReactorClock(), TrustedProxies.parse([]))
        return service._connection_limits(settings, proxies).total

    def test_what_is_reserved(self) -> None:
        """Ollama, the database and we ourselves come first; one line says what is left (SPEC 8)."""
        others = 64 + 2 + 2 * 10 + OWN
        for descriptors, total, lines in (
            (others + 1000, 1000, 0),
            (others + 999, 999, 1),
            (others, 1, 1),
        ):
            with self.subTest(descriptors=descriptors), capturedLogs() as events:
                self.assertEqual(self.total(descriptors), total)
                self.assertEqual(len(events), lines)
