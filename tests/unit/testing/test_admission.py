"""The fake limiter is as strict as Redis."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import ModelsUnavailable, RedisUnavailable
from neuronetz_twisted.seams import Verdict
from neuronetz_twisted.testing.admission import FakeCatalog, FakeCatalogStore, FakeLimiter
from neuronetz_twisted.testing.calls import TENANT, made_model, made_principal


class FakeLimiterTests(SynchronousTestCase):
    def test_epochs(self) -> None:
        """A smaller epoch than the largest seen is stale; a smaller report changes nothing."""
        limiter = FakeLimiter()
        limiter.raise_epoch(TENANT, 3)
        limiter.raise_epoch(TENANT, 2)
        for epoch, verdict in ((2, Verdict.STALE), (3, Verdict.ADMITTED), (4, Verdict.ADMITTED)):
            asked = limiter.admit("id", made_principal(epoch=epoch))
            self.assertIs(self.successResultOf(asked), verdict)

    def test_away(self) -> None:
        """A Redis that is gone answers nothing."""
        limiter = FakeLimiter(away=True)
        self.failureResultOf(limiter.admit("id", made_principal()), RedisUnavailable)
        self.failureResultOf(limiter.raise_epoch(TENANT, 1), RedisUnavailable)


class CatalogTests(SynchronousTestCase):
    def test_models(self) -> None:
        """Until it is expired."""
        catalog = FakeCatalog([made_model()])
        self.assertEqual(list(catalog.models()), ["llama3:latest"])
        catalog.expired = True
        with self.assertRaises(ModelsUnavailable):
            catalog.models()

    def test_store(self) -> None:
        """What is saved is loaded."""
        store = FakeCatalogStore()
        self.successResultOf(store.save([made_model()], 5.0))
        self.assertEqual(self.successResultOf(store.load()), ([made_model()], 5.0))
        store.away = True
        self.failureResultOf(store.load(), RedisUnavailable)
