"""PostgreSQL from the reactor: whole transactions in a few threads, each with a deadline.

The server is asked to keep limits of time (`engine`); since a frozen one keeps none, `threads`
keeps them on this side.

A pooled connection is not pinged before use, which would cost each transaction a round trip. An
idle connection has nothing to say, so one that can be read was closed by the server: looking takes
microseconds, and one dead connection empties the pool. So a restart of the server costs no errors.

Before the first transaction the schema's revision is read. Until it is the right one, the database
counts as unavailable; a migration that is run meanwhile heals it (SPEC 14).
"""

import select
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.engine import connection_arguments, service_engine
from neuronetz_twisted.stores.faults import WrongSchema, lacks_schema, unavailable
from neuronetz_twisted.stores.lifeline import Lifeline
from neuronetz_twisted.stores.revisions import require_head
from neuronetz_twisted.stores.threads import (
    BoundedThreads,
    ThreadedReactor,
    Threads,
    TooManyCalls,
)

T = TypeVar("T")

# Below two seconds, so that the refusal is with the client within two (SPEC 5).
DEADLINE_S = 1.5
_APPLICATION = "neuronetz-gateway"
_FOR_NOW = (
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


class DatabaseThreads(Service):
    """Runs functions in transactions as role gateway_app, never more than it can finish.

    `url` is that of the database. `pool_size` is the number of threads, with a connection each;
    `overflow` calls more may wait for one. Unless `keep`, a connection is closed behind its
    transaction. `deadline_s` counts from the call. Anything beyond is refused at once, and so is
    everything while all threads are stuck with a server that hangs.
    """

    name = "database"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - figures that operators and tests turn one by one
        self,
        reactor: ThreadedReactor,
        url: str,
        *,
        pool_size: int,
        overflow: int,
        keep: bool = True,
        deadline_s: float = DEADLINE_S,
        threads: Threads | None = None,
    ) -> None:
        self._arguments = connection_arguments(url, _APPLICATION)
        self._threads = BoundedThreads(
            reactor, size=pool_size, overflow=overflow, deadline_s=deadline_s, threads=threads
        )
        self._engine = service_engine(
            url, application_name=_APPLICATION, pool_size=pool_size, keep=keep
        )
        # First of all, before SQLAlchemy asks a new server for its version.
        event.listen(self._engine, "connect", self._connected, insert=True)
        event.listen(self._engine, "checkout", self._checked_out)
        event.listen(self._engine, "checkin", self._checked_in)
        self._current = threading.local()
        self._schema_seen = False
        self._trouble: type[BaseException] | None = None

    def startService(self) -> None:
        """Take calls; nothing is connected before the first."""
        super().startService()
        self._threads.start()

    def stopService(self) -> Deferred[None]:
        """Refuse calls, wait for those in flight (four seconds at most), close what is open."""
        super().stopService()
        return Deferred.fromCoroutine(self._threads.stop(self._engine.dispose))

    def run(self, fn: Callable[[Connection], T]) -> Deferred[T]:
        """Call `fn` with a connection inside a transaction of its own, in a thread.

        `fn` returns a plain value and touches nothing of the reactor's. Fails with
        `DatabaseUnavailable` when the server is away, read-only, not migrated or too slow, or too
        much is in flight; whether a transaction that failed so has committed is then unknown. Any
        other error of `fn` passes through and rolls back. Cancelling gives up the answer, not the
        transaction.
        """
        answer = self._threads.call(partial(self._transact, fn))
        return answer.addCallbacks(self._note_there, self._note_failure)

    def dedicated(
        self, prepare: Callable[[psycopg.Connection], object]
    ) -> Deferred[psycopg.Connection]:
        """Open a connection outside of the pool, in autocommit, that the caller owns and closes.

        `prepare` is called with it in the thread. Fails with `DatabaseUnavailable` as `run` does.
        """
        opening = self._threads.call(partial(self._open, prepare), late=psycopg.Connection.close)
        return opening.addErrback(self._note_failure)

    def _transact(self, fn: Callable[[Connection], T], lifeline: Lifeline) -> T:
        self._current.lifeline = lifeline
        try:
            with self._engine.begin() as connection:
                if not self._schema_seen:
                    require_head(connection)
                    self._schema_seen = True
                return fn(connection)
        except DBAPIError as error:
            if lacks_schema(error.orig):
                # Perhaps it was taken back: the next call looks.
                self._schema_seen = False
            if _is_unavailable(error):
                raise unavailable(error.orig) from None
            raise

    def _open(
        self, prepare: Callable[[psycopg.Connection], object], lifeline: Lifeline
    ) -> psycopg.Connection:
        try:
            connection = psycopg.connect(**self._arguments, autocommit=True)
            try:
                lifeline.hold(connection.fileno())
                prepare(connection)
            except BaseException:
                connection.close()
                raise
        except psycopg.OperationalError as error:
            raise unavailable(error) from None
        return connection

    def _connected(self, connection: psycopg.Connection, record: Any) -> None:
        record.info["new"] = True
        self._current.lifeline.hold(connection.fileno())

    def _checked_out(self, connection: psycopg.Connection, record: Any, _: object) -> None:
        if not record.info.pop("new", False) and _readable(connection.fileno()):
            raise InvalidatePoolError
        self._current.lifeline.hold(connection.fileno())

    def _checked_in(self, *_: object) -> None:
        # Before the pool has it back: a late cut must not hit the next call's work.
        self._current.lifeline.release()

    def _note_there(self, result: T) -> T:
        if self._trouble is not None:
            self._trouble = None
            self._log.info("the database is back")
        return result

    def _note_failure(self, failure: Failure) -> Failure:
        """Write one line for each trouble when it begins, whoever was the first to meet it."""
        if failure.check(TooManyCalls, CancelledError):
            return failure
        trouble = failure.check(WrongSchema, DatabaseUnavailable)
        if trouble is None:
            return self._note_there(failure)
        if trouble is not self._trouble:
            self._trouble = trouble
            text = "{reason}" if trouble is WrongSchema else "the database is away: {reason}"
            self._log.warn(text, reason=failure.getErrorMessage())
        return failure


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _is_unavailable(error: DBAPIError) -> bool:
    """Whether the same call might do later; if not, it is a fault of the call."""
    return (
        isinstance(error, OperationalError)
        or error.connection_invalidated
        or isinstance(error.orig, _FOR_NOW)
    )
