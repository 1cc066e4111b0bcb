"""A connection that listens, as the reactor reads it.

libpq closes its descriptor by itself when the connection breaks, and a reactor that still watches
that number is broken from then on (it cannot be unregistered, and may belong to someone else). So
the reactor watches a duplicate that only we close.
"""

import os
from collections.abc import Callable

import psycopg
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.faults import first_line


@implementer(IReadDescriptor)
@define(eq=False)
class Notifications:
    """Calls `heard` whenever notifications have arrived; what they say is not read.

    `lost` fires with the reason, for people, when the connection breaks. Whoever made it closes it,
    and the connection.
    """

    connection: psycopg.Connection
    heard: Callable[[], object]
    lost: Deferred[str] = field(factory=Deferred)
    _descriptor: int = field()

    @_descriptor.default
    def _duplicate(self) -> int:
        return os.dup(self.connection.fileno())

    def fileno(self) -> int:
        """What the reactor watches; -1 once closed."""
        return self._descriptor

    def logPrefix(self) -> str:
        """How Twisted names it in its own log lines."""
        return "notifications"

    def doRead(self) -> Failure | None:
        """Take what has arrived; an error ends the connection."""
        connection = self.connection.pgconn
        try:
            connection.consume_input()
        except psycopg.OperationalError as error:
            return Failure(DatabaseUnavailable(first_line(error)))
        if list(iter(connection.notifies, None)):
            self.heard()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has looked away for good."""
        if not self.lost.called:
            self.lost.callback(reason.getErrorMessage())

    def close(self) -> None:
        """Close the duplicate, which the reactor no longer watches."""
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1
