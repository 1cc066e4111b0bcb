"""The key store on a real PostgreSQL."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection
from twisted.trial.unittest import TestCase

from neuronetz_twisted.limits import LIMIT_NAMES, Limits, SetLimits
from neuronetz_twisted.stores.keys import PostgresKeyStore
from neuronetz_twisted.stores.operator_queries import create_key
from neuronetz_twisted.vocabulary import KeyRecord, Scope, Status
from tests.database import add_tenant, started
from tests.servers import admin_connection, new_database

PREFIX = "nz_aaaaaaaaa"


class KeyStore(TestCase):
    """`PostgresKeyStore`, method by method."""

    def setUp(self) -> None:
        """A database with one tenant and one key."""
        urls = new_database(self)
        self.admin = admin_connection(self, urls.admin_url)
        self.database = started(self, urls.url)
        self.store = PostgresKeyStore(self.database)

    async def add(self, name: str, prefix: str) -> UUID:
        """A key of the tenant acme."""

        def add(connection: Connection) -> UUID:
            return create_key(
                connection,
                tenant="acme",
                name=name,
                scopes=[Scope.CHAT, Scope.RAW],
                prefix=prefix,
                secret_hash="a hash",
            )

        return await self.database.run(add)

    async def test_find(self) -> None:
        """The record joins credential, key and tenant."""
        tenant_id = await self.database.run(add_tenant)
        key_id = await self.add("laptop", PREFIX)
        record = await self.store.find(PREFIX)
        self.assertEqual(
            record,
            KeyRecord(
                tenant_id=tenant_id,
                tenant_status=Status.ACTIVE,
                tenant_allow_all_models=False,
                tenant_models=frozenset(),
                key_id=key_id,
                key_status=Status.ACTIVE,
                key_allow_all_models=None,
                key_models=None,
                prefix=PREFIX,
                secret_hash="a hash",
                scopes=frozenset({Scope.CHAT, Scope.RAW}),
                expires_at=None,
                epoch=3,
            ),
        )

    async def test_find_with_everything_set(self) -> None:
        """A key's own models and the earlier of two expiry dates."""
        await self.database.run(add_tenant)
        await self.add("laptop", PREFIX)
        self.admin.execute("UPDATE gateway.tenants SET allowed_models = '{a,b}'")
        self.admin.execute(
            "UPDATE gateway.api_keys SET allow_all_models = false, allowed_models = '{b}',"
            " status = 'disabled', expires_at = '2031-01-01T00:00:00Z';"
            "UPDATE gateway.api_key_credentials SET expires_at = '2030-01-01T00:00:00Z'"
        )
        record = await self.store.find(PREFIX)
        assert record is not None
        self.assertEqual(record.tenant_models, frozenset({"a", "b"}))
        self.assertEqual(record.key_models, frozenset({"b"}))
        self.assertEqual(record.key_allow_all_models, False)
        self.assertEqual(record.key_status, Status.DISABLED)
        self.assertEqual(record.expires_at, datetime(2030, 1, 1, tzinfo=UTC).timestamp())

    async def test_find_limits(self) -> None:
        """Those of tenant and key, each at its own level, whichever of the two has any."""
        tenant_id = await self.database.run(add_tenant)
        key_id = await self.add("laptop", PREFIX)
        await self.add("desktop", "nz_bbbbbbbbb")
        every = Limits(**{name: number for number, name in enumerate(LIMIT_NAMES)})
        self.admin.execute(f"INSERT INTO gateway.key_limits (key_id, rpm) VALUES ('{key_id}', 7)")
        record = await self.store.find(PREFIX)
        assert record is not None
        self.assertEqual((record.tenant_limits, record.key_limits), (Limits(), Limits(rpm=7)))
        self.admin.execute(
            f"INSERT INTO gateway.tenant_limits VALUES ('{tenant_id}', 0, 1, 2, 3, 4, 5, 6, 7)"
        )
        record = await self.store.find(PREFIX)
        assert record is not None
        self.assertEqual((record.tenant_limits, record.key_limits), (every, Limits(rpm=7)))
        record = await self.store.find("nz_bbbbbbbbb")
        assert record is not None
        self.assertEqual((record.tenant_limits, record.key_limits), (every, Limits()))

    async def test_find_nothing(self) -> None:
        """An unknown prefix is None, whatever its characters."""
        for prefix in (PREFIX, "nz_'; --    ", ""):
            with self.subTest(prefix=prefix):
                self.assertIsNone(await self.store.find(prefix))

    async def test_used(self) -> None:
        """Use is noted; the hash is replaced only by a new one; the tenant's epoch stays."""
        await self.database.run(add_tenant)
        await self.add("laptop", PREFIX)
        state = "SELECT secret_hash, last_used_at > now() - interval '1 minute', epoch"
        state += " FROM gateway.api_key_credentials, gateway.tenants"
        self.assertEqual(self.admin.execute(state).fetchone(), ("a hash", None, 3))
        await self.store.used(PREFIX, rehashed=None)
        self.assertEqual(self.admin.execute(state).fetchone(), ("a hash", True, 3))
        await self.store.used(PREFIX, rehashed="another")
        self.assertEqual(self.admin.execute(state).fetchone(), ("another", True, 3))

    async def test_usable(self) -> None:
        """Each reason for which a key stops being usable, and a key that stays."""
        for change in (
            "UPDATE gateway.tenants SET status = 'disabled'",
            "UPDATE gateway.api_keys SET status = 'disabled' WHERE name = 'laptop'",
            "UPDATE gateway.api_keys SET status = 'revoked' WHERE name = 'laptop'",
            "UPDATE gateway.api_keys SET expires_at = now() WHERE name = 'laptop'",
            f"UPDATE gateway.api_key_credentials SET expires_at = now() WHERE prefix = '{PREFIX}'",
            "DELETE FROM gateway.api_keys WHERE name = 'laptop'",
        ):
            with self.subTest(change=change):
                await self.database.run(add_tenant)
                key_id = await self.add("laptop", PREFIX)
                other = await self.add("desktop", "nz_bbbbbbbbb")
                both = [key_id, other]
                self.assertEqual(set(await self.store.usable(both)), set(both))
                self.admin.execute(change)
                left = await self.store.usable([*both, uuid4()])
                self.assertEqual(set(left), set() if "tenants" in change else {other})
                self.admin.execute("DELETE FROM gateway.api_keys; DELETE FROM gateway.tenants")

    async def test_usable_with_two_credentials(self) -> None:
        """During a rotation one live credential is enough; a date to come does no harm."""
        await self.database.run(add_tenant)
        key_id = await self.add("laptop", PREFIX)
        self.admin.execute(
            "UPDATE gateway.api_keys SET expires_at = now() + interval '1 day';"
            "UPDATE gateway.api_key_credentials SET expires_at = now();"
            "INSERT INTO gateway.api_key_credentials (prefix, key_id, secret_hash)"
            f" VALUES ('nz_bbbbbbbbb', '{key_id}', 'hash')"
        )
        self.assertEqual(set(await self.store.usable([key_id])), {key_id})

    async def test_usable_limits(self) -> None:
        """With each key comes what is set for it and its tenant, as of the tenant's epoch."""
        tenant_id = await self.database.run(add_tenant)
        key_id, other = await self.add("laptop", PREFIX), await self.add("desktop", "nz_bbbbbbbbb")
        self.admin.execute(
            "INSERT INTO gateway.tenant_limits (tenant_id, budget_day) VALUES (%s, 5)", [tenant_id]
        )
        self.admin.execute(
            "INSERT INTO gateway.key_limits (key_id, budget_total) VALUES (%s, 6)", [key_id]
        )
        record = await self.store.find(PREFIX)
        assert record is not None
        tenant, key = Limits(budget_day=5), Limits(budget_total=6)
        self.assertEqual(
            await self.store.usable([key_id, other]),
            {
                key_id: SetLimits(epoch=record.epoch, tenant=tenant, key=key),
                other: SetLimits(epoch=record.epoch, tenant=tenant, key=Limits()),
            },
        )

    async def test_usable_of_nothing(self) -> None:
        """No keys, no answer to wait long for."""
        self.assertEqual(await self.store.usable([]), {})
