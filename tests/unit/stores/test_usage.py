"""Who asks for his own use cannot take the database from others."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.usage import KEPT_S, PostgresUsage
from neuronetz_twisted.testing.calls import made_principal
from neuronetz_twisted.vocabulary import Principal

if TYPE_CHECKING:
    from neuronetz_twisted.stores.postgres import DatabaseThreads

PAGE = {"since": "2026-01-01"}


class HeldDatabase:
    """Keeps every question until the test answers it."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.asked: list[Deferred[Any]] = []

    def run(self, _: object) -> "Deferred[Any]":
        """Keep it."""
        self.asked.append(Deferred())
        return self.asked[-1]


def caller(key: int, tenant: int = 1) -> Principal:
    """A key of a tenant."""
    return made_principal(key_id=UUID(int=key), tenant_id=UUID(int=tenant))


class PostgresUsageTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A database that is slow."""
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.database = HeldDatabase()
        self.usage = PostgresUsage(cast("DatabaseThreads", self.database), self.clock.seconds)

    def test_one_question(self) -> None:
        """All who ask with one key wait for one answer; who leaves takes it from nobody."""
        first, gone, last = (self.usage.own(caller(1)) for _ in range(3))
        self.assertEqual(len(self.database.asked), 1)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.database.asked[0].callback(PAGE)
        self.assertEqual((self.successResultOf(first), self.successResultOf(last)), (PAGE, PAGE))

    def test_kept(self) -> None:
        """The answer is given again for a moment, to that key alone."""
        self.usage.own(caller(1))
        self.database.asked[0].callback(PAGE)
        self.clock.advance(KEPT_S - 0.5)
        self.assertEqual(self.successResultOf(self.usage.own(caller(1))), PAGE)
        self.assertNoResult(self.usage.own(caller(2)))
        self.database.asked[1].callback({})
        self.clock.advance(0.5)
        self.assertNoResult(self.usage.own(caller(1)))
        self.assertEqual(len(self.database.asked), 3)

    def test_clock_set_back(self) -> None:
        """An answer of the future is not kept."""
        self.usage.own(caller(1))
        self.database.asked[0].callback(PAGE)
        self.clock.rightNow -= 3600
        self.assertNoResult(self.usage.own(caller(1)))

    def test_too_many(self) -> None:
        """One question of a tenant at a time, and two of all; the next ones are refused at once."""
        self.usage.own(caller(1, tenant=1))
        self.failureResultOf(self.usage.own(caller(2, tenant=1)), DatabaseUnavailable)
        self.usage.own(caller(3, tenant=3))
        self.failureResultOf(self.usage.own(caller(4, tenant=4)), DatabaseUnavailable)
        self.database.asked[0].callback(PAGE)
        self.assertNoResult(self.usage.own(caller(4, tenant=4)))
        self.assertEqual(len(self.database.asked), 3)

    def test_failure(self) -> None:
        """Each has one of his own; the next one asks anew."""
        waiting = [self.usage.own(caller(1)) for _ in range(2)]
        self.database.asked[0].errback(DatabaseUnavailable("away"))
        one, other = (self.failureResultOf(each, DatabaseUnavailable) for each in waiting)
        self.assertIsNot(one.value, other.value)
        self.assertNoResult(self.usage.own(caller(1)))
