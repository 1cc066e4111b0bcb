"""Credentials in PostgreSQL, as the verifier knows them (SPEC 5)."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from attrs import frozen
from twisted.internet.defer import Deferred

from neuronetz_twisted.limits import SetLimits
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.queries import find_key_record, mark_used, usable_keys
from neuronetz_twisted.vocabulary import KeyRecord


@frozen
class PostgresKeyStore:
    """The `KeyStore` of `seams`. Every method may fail with `DatabaseUnavailable`."""

    database: DatabaseThreads

    def find(self, prefix: str) -> Deferred[KeyRecord | None]:
        """The credential with this 12-character prefix, joined with key and tenant."""
        return self.database.run(partial(find_key_record, prefix=prefix))

    def used(self, prefix: str, *, rehashed: str | None) -> Deferred[None]:
        """Note that a credential was verified just now; `rehashed` replaces its argon2 hash."""
        return self.database.run(partial(mark_used, prefix=prefix, rehashed=rehashed))

    def usable(self, key_ids: Sequence[UUID]) -> Deferred[Mapping[UUID, SetLimits]]:
        """Those of the keys that are active, unexpired, and of an active tenant, as of now.

        With each comes what is set for it.
        """
        return self.database.run(partial(usable_keys, key_ids=key_ids))
