"""The fake limiter is as strict as Redis."""

from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.allowance import allowance_of
from neuronetz_twisted.admission.answers import Granted, Looked, Stale
from neuronetz_twisted.admission.limits import caller_of
from neuronetz_twisted.admission.script_calls import Caller, Demand
from neuronetz_twisted.errors import (
    LimitsUnavailable,
    ModelsUnavailable,
    RateLimited,
    RedisUnavailable,
    Refusal,
)
from neuronetz_twisted.testing.admission import (
    DEFAULTS,
    NOBODY_LIMITED,
    UNUSED,
    FakeCatalog,
    FakeCatalogStore,
    FakeLimiter,
)
from neuronetz_twisted.testing.calls import TENANT, made_model, made_principal


def caller(epoch: int = 1) -> Caller:
    """Somebody."""
    who = made_principal(epoch=epoch)
    return caller_of(who, allowance_of(who, DEFAULTS))


def demand(epoch: int = 1) -> Demand:
    """A call of his."""
    return Demand(id="id", caller=caller(epoch), prompt=3, lease=9)


class FakeLimiterTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A limiter that refuses nobody."""
        self.limiter = FakeLimiter()

    def asked(self, epoch: int = 1) -> list[Deferred[Any]]:
        """The two questions that take something."""
        return [self.limiter.admit(demand(epoch)), self.limiter.count(caller(epoch))]

    def test_granted(self) -> None:
        """What is asked is given and kept, and so is what a call has cost, once."""
        granted, figures = map(self.successResultOf, self.asked())
        self.assertEqual(granted, Granted(9, self.limiter.day, NOBODY_LIMITED))
        self.assertEqual(figures, NOBODY_LIMITED)
        self.assertEqual((self.limiter.admitted, self.limiter.counted), ([demand()], [caller()]))
        self.limiter.settle("id", 5)
        self.limiter.settle("id", 6)
        self.limiter.release("other")
        self.assertEqual((self.limiter.settled, self.limiter.released), ({"id": 5}, ["other"]))

    def test_epochs(self) -> None:
        """A smaller epoch than the largest seen is stale; a smaller report changes nothing."""
        self.limiter.raise_epoch(TENANT, 3)
        self.limiter.raise_epoch(TENANT, 2)
        self.assertEqual(self.limiter.told, [(TENANT, 3), (TENANT, 2)])
        for answer in map(self.successResultOf, self.asked(2)):
            self.assertEqual(answer, Stale(3))
        for epoch in (3, 4):
            for answer in map(self.successResultOf, self.asked(epoch)):
                self.assertNotIsInstance(answer, Stale)
        self.assertEqual({known.epoch for known in self.limiter.counted}, {3, 4})

    def test_refused(self) -> None:
        """Who is over a limit takes nothing, and can still see what is left."""
        refusal: Refusal = RateLimited(limit="requests", retry_after=9, why="x", fields=())
        self.limiter.refusal = refusal
        for asking in self.asked():
            self.assertIs(self.failureResultOf(asking, RateLimited).value, refusal)
        self.assertEqual((self.limiter.admitted, self.limiter.counted), ([], []))
        looked = Looked(NOBODY_LIMITED, UNUSED, UNUSED)
        self.assertEqual(self.successResultOf(self.limiter.look(caller())), looked)

    def test_away(self) -> None:
        """A Redis that is gone answers nothing."""
        self.limiter.away = True
        for asking in self.asked():
            self.failureResultOf(asking, LimitsUnavailable)
        self.failureResultOf(self.limiter.look(caller()), LimitsUnavailable)
        self.failureResultOf(self.limiter.raise_epoch(UUID(int=1), 1), RedisUnavailable)

    def test_held(self) -> None:
        """While the gate is held nobody has an answer."""
        self.limiter.gate.held = True
        asked = [*self.asked(), self.limiter.look(caller())]
        for asking in asked:
            self.assertNoResult(asking)
        self.limiter.gate.release_all()
        for asking in asked:
            self.successResultOf(asking)


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
