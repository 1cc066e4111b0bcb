import psycopg
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.faults import (
    DatabaseFault,
    NotMigrated,
    first_line,
    plain_faults,
    unavailable,
)

CANARY = "canary-secret"
NO_ROLE = 'connection failed: FATAL:  role "gateway_app" does not exist'


def told(error: DBAPIError) -> DatabaseFault:
    """What an error becomes."""
    try:
        with plain_faults():
            raise error
    except DatabaseFault as fault:
        return fault


def refused(kind: type[psycopg.Error], words: str) -> ProgrammingError:
    """An error of the server, for a statement with a secret."""
    return ProgrammingError("SELECT 1", {"hash": CANARY}, kind(words))


class FaultTests(SynchronousTestCase):
    def test_what_is_missing_means_not_migrated(self) -> None:
        """No schema, table, column, type or role: the same advice."""
        for kind in (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.UndefinedObject,
            psycopg.errors.InvalidSchemaName,
        ):
            self.assertIsInstance(told(refused(kind, "x does not exist")), NotMigrated)
        error = OperationalError(None, None, psycopg.OperationalError(NO_ROLE))
        self.assertEqual(
            str(told(error)), "the database is not migrated: run neuronetz-gateway migrate"
        )

    def test_only_the_first_line_is_repeated(self) -> None:
        """Neither the statement nor its parameters nor a detail is told."""
        error = refused(psycopg.errors.CheckViolation, f"violates a check\nDETAIL: {CANARY}")
        self.assertEqual(str(told(error)), "the database refuses: violates a check")

    def test_a_connection_that_failed(self) -> None:
        """A server that is away is told apart from one that refuses."""
        error = OperationalError(None, None, psycopg.OperationalError("connection failed: no"))
        self.assertEqual(str(told(error)), "the database cannot be reached: connection failed: no")

    def test_a_lock(self) -> None:
        """A table that somebody holds is named as what it is."""
        error = refused(psycopg.errors.LockNotAvailable, "canceling statement due to lock timeout")
        self.assertIn("in use by another session", str(told(error)))

    def test_unavailable(self) -> None:
        """For the service both are an outage, of which one has an advice."""
        away = unavailable(psycopg.OperationalError("connection  failed\n\tmore"))
        self.assertIs(type(away), DatabaseUnavailable)
        self.assertEqual(str(away), "connection failed")
        self.assertIsInstance(unavailable(psycopg.OperationalError(NO_ROLE)), NotMigrated)

    def test_first_line(self) -> None:
        """Only the first line of a driver's words is kept, without its white space."""
        self.assertEqual(
            first_line(ValueError("connection  failed\n\tSQL: SELECT")), "connection failed"
        )
