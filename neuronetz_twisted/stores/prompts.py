"""The prompt log in PostgreSQL, as the service that fills it knows it (SPEC 9)."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from attrs import frozen
from twisted.internet.defer import Deferred

from neuronetz_twisted.audit.prompt_texts import PromptText
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.prompt_queries import (
    Sealer,
    delete_expired,
    usage_since,
    write_texts,
)


@frozen
class PostgresPrompts:
    """The `PromptStore` of the audit. Every method may fail with `DatabaseUnavailable`.

    `now` is the clock by which calls have their times.
    """

    database: DatabaseThreads
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def write(self, texts: Sequence[PromptText], sealer: Sealer) -> Deferred[int]:
        """Seal texts of one tenant and keep them, in the thread; how many were not kept."""
        return self.database.run(partial(write_texts, texts=texts, sealer=sealer, now=self.now))

    def delete_expired(self, limit: int) -> Deferred[int]:
        """Delete at most `limit` texts whose time is over; how many they were."""
        return self.database.run(partial(delete_expired, limit=limit))

    def usage_since(
        self, started: datetime, expiring: datetime
    ) -> Deferred[dict[UUID, tuple[int, int]]]:
        """How many texts and bytes each tenant has kept since `started`."""
        return self.database.run(partial(usage_since, started=started, expiring=expiring))
