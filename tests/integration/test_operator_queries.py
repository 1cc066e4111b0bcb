"""Tenants and keys as the command line handles them, on a real PostgreSQL as role gateway_app."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.limits import Limits
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.operator_queries import (
    create_key,
    create_tenant,
    list_keys,
    list_tenants,
    revoke,
    set_key_models,
    set_key_status,
    set_tenant_models,
    set_tenant_status,
)
from neuronetz_twisted.stores.records import (
    AmbiguousKey,
    Key,
    KeyIsRevoked,
    NameTaken,
    NoSuchKey,
    NoSuchTenant,
    PrefixTaken,
    Tenant,
)
from neuronetz_twisted.vocabulary import Scope, Status
from tests.servers import new_database

PREFIX = "nz_aaaaaaaaa"


class OperatorCase(SynchronousTestCase):
    """One transaction as role gateway_app, rolled back at the end."""

    def setUp(self) -> None:
        """A connection."""
        engine = service_engine(new_database(self).url, application_name="test")
        self.addCleanup(engine.dispose)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def key(self, name: str, prefix: str, tenant: str = "acme") -> UUID:
        """A key with nothing of its own."""
        return create_key(
            self.connection,
            tenant=tenant,
            name=name,
            scopes=[Scope.CHAT],
            prefix=prefix,
            secret_hash="hash",
        )

    def only_tenant(self) -> Tenant:
        """The one that there is."""
        (tenant,) = list_tenants(self.connection)
        return tenant

    def only_key(self) -> Key:
        """The one that there is."""
        (key,) = list_keys(self.connection)
        return key


class Tenants(OperatorCase):
    """Tenants."""

    def test_create_and_list(self) -> None:
        """A tenant comes back as it was made, in the order of names."""
        limits = Limits(rpm=10, tpm=2000, concurrent=3, budget_month=10**12)
        zebra = create_tenant(
            self.connection, "zebra", allow_all_models=True, models=["b", "a"], limits=limits
        )
        create_tenant(self.connection, "acme")
        acme, found = list_tenants(self.connection)
        self.assertEqual((acme.name, acme.limits), ("acme", Limits()))
        self.assertEqual(
            found,
            Tenant(
                id=zebra,
                name="zebra",
                status=Status.ACTIVE,
                allow_all_models=True,
                models=("a", "b"),
                limits=limits,
                epoch=2,
                created_at=found.created_at,
            ),
        )

    def test_name_taken(self) -> None:
        """A second tenant of the name is refused, and the transaction lives on."""
        create_tenant(self.connection, "acme")
        with self.assertRaises(NameTaken):
            create_tenant(self.connection, "acme")
        self.assertEqual(self.only_tenant().name, "acme")

    def test_status(self) -> None:
        """Disabled and enabled."""
        create_tenant(self.connection, "acme")
        for status in (Status.DISABLED, Status.ACTIVE):
            set_tenant_status(self.connection, "acme", status)
            self.assertEqual(self.only_tenant().status, status)

    def test_models(self) -> None:
        """Only what is named changes."""
        create_tenant(self.connection, "acme")
        for changes, expected in (
            ({"models": ["b", "a"]}, (False, ("a", "b"))),
            ({"allow_all_models": True}, (True, ("a", "b"))),
            ({"allow_all_models": False, "models": []}, (False, ())),
        ):
            set_tenant_models(self.connection, "acme", **changes)
            tenant = self.only_tenant()
            self.assertEqual((tenant.allow_all_models, tenant.models), expected)

    def test_no_such_tenant(self) -> None:
        """Every change of a tenant that is not there names those that are."""
        create_tenant(self.connection, "acme")
        for change in (
            lambda: set_tenant_status(self.connection, "x", Status.DISABLED),
            lambda: set_tenant_models(self.connection, "x", models=[]),
            lambda: self.key("laptop", PREFIX, tenant="x"),
            lambda: list_keys(self.connection, "x"),
        ):
            with self.assertRaisesRegex(NoSuchTenant, "there are: acme"):
                change()


class Keys(OperatorCase):
    """Keys."""

    def setUp(self) -> None:
        """A tenant."""
        super().setUp()
        create_tenant(self.connection, "acme")

    def test_create_and_list(self) -> None:
        """A key comes back as it was made."""
        expires_at = datetime(2030, 1, 1, tzinfo=UTC)
        key_id = create_key(
            self.connection,
            tenant="acme",
            name="laptop",
            scopes=[Scope.RAW, Scope.CHAT],
            prefix=PREFIX,
            secret_hash="hash",
            allow_all_models=False,
            models=["b", "a"],
            limits=Limits(max_predict=5),
            expires_at=expires_at,
            prompt_logging=True,
        )
        found = self.only_key()
        self.assertEqual(
            found,
            Key(
                id=key_id,
                tenant="acme",
                name="laptop",
                prefixes=(PREFIX,),
                scopes=frozenset({Scope.RAW, Scope.CHAT}),
                status=Status.ACTIVE,
                allow_all_models=False,
                models=("a", "b"),
                limits=Limits(max_predict=5),
                prompt_logging=True,
                expires_at=expires_at,
                created_at=found.created_at,
                last_used_at=None,
            ),
        )

    def test_bare_key(self) -> None:
        """A key with nothing of its own leaves all to its tenant."""
        self.key("laptop", PREFIX)
        found = self.only_key()
        self.assertEqual(
            (found.allow_all_models, found.models, found.limits), (None, None, Limits())
        )

    def test_two_credentials(self) -> None:
        """The newest credential comes first, and the last use is that of any."""
        key_id = self.key("laptop", PREFIX)
        self.connection.execute(
            text(
                "INSERT INTO api_key_credentials"
                " (prefix, key_id, secret_hash, created_at, last_used_at)"
                " VALUES ('nz_000000000', :key, 'hash', now() + interval '1 s', now())"
            ),
            {"key": key_id},
        )
        found = self.only_key()
        self.assertEqual(found.prefixes, ("nz_000000000", PREFIX))
        self.assertIsNotNone(found.last_used_at)

    def test_list_of_one_tenant(self) -> None:
        """Keys of all tenants by tenant and name, or of one."""
        create_tenant(self.connection, "other")
        self.key("b", "nz_bbbbbbbbb")
        self.key("a", PREFIX)
        self.key("c", "nz_ccccccccc", tenant="other")
        self.assertEqual([key.name for key in list_keys(self.connection)], ["a", "b", "c"])
        self.assertEqual([key.name for key in list_keys(self.connection, "other")], ["c"])

    def test_taken(self) -> None:
        """A name is unique within its tenant, a prefix everywhere."""
        create_tenant(self.connection, "other")
        self.key("laptop", PREFIX)
        with self.assertRaises(NameTaken):
            self.key("laptop", "nz_bbbbbbbbb")
        with self.assertRaises(PrefixTaken):
            self.key("desktop", PREFIX)
        self.key("laptop", "nz_bbbbbbbbb", tenant="other")

    def test_status(self) -> None:
        """A key is found by prefix, id, name and tenant/name."""
        key_id = self.key("laptop", PREFIX)
        for reference in (PREFIX, str(key_id), "laptop", "acme/laptop"):
            with self.subTest(reference=reference):
                set_key_status(self.connection, reference, Status.DISABLED)
                self.assertEqual(self.only_key().status, Status.DISABLED)
                set_key_status(self.connection, reference, Status.ACTIVE)
                self.assertEqual(self.only_key().status, Status.ACTIVE)

    def test_revoked_for_good(self) -> None:
        """Revoking leaves a record with its reason, and the key never comes back."""
        self.key("laptop", PREFIX)
        revoke(self.connection, PREFIX, "lost")
        self.assertEqual(self.only_key().status, Status.REVOKED)
        reasons = self.connection.execute(text("SELECT reason FROM revocations")).scalars().all()
        self.assertEqual(reasons, ["lost"])
        for status in (Status.ACTIVE, Status.DISABLED):
            with self.assertRaises(KeyIsRevoked):
                set_key_status(self.connection, PREFIX, status)
        revoke(self.connection, PREFIX)

    def test_models(self) -> None:
        """Only what is named changes; None goes back to the tenant's."""
        self.key("laptop", PREFIX)
        for changes, expected in (
            ({"models": ["b", "a"]}, (None, ("a", "b"))),
            ({"allow_all_models": True}, (True, ("a", "b"))),
            ({"allow_all_models": None, "models": None}, (None, None)),
        ):
            set_key_models(self.connection, PREFIX, **changes)
            key = self.only_key()
            self.assertEqual((key.allow_all_models, key.models), expected)

    def test_ambiguous(self) -> None:
        """A name that two tenants use is not guessed; with the tenant it is clear."""
        create_tenant(self.connection, "other")
        self.key("laptop", PREFIX)
        self.key("laptop", "nz_bbbbbbbbb", tenant="other")
        with self.assertRaises(AmbiguousKey) as caught:
            revoke(self.connection, "laptop")
        for prefix in (PREFIX, "nz_bbbbbbbbb"):
            self.assertIn(prefix, str(caught.exception))
        revoke(self.connection, "other/laptop")
        self.assertEqual(
            [key.status for key in list_keys(self.connection)], [Status.ACTIVE, Status.REVOKED]
        )

    def test_no_such_key(self) -> None:
        """Every change of a key that is not there names those that are."""
        self.key("laptop", PREFIX)
        for reference in ("nz_zzzzzzzzz", "x", "other/laptop", str(uuid4()), ""):
            for change in (
                lambda key: revoke(self.connection, key),
                lambda key: set_key_status(self.connection, key, Status.DISABLED),
                lambda key: set_key_models(self.connection, key, models=[]),
            ):
                with (
                    self.subTest(reference=reference),
                    self.assertRaisesRegex(NoSuchKey, f"there are: {PREFIX}"),
                ):
                    change(reference)
        self.assertEqual(self.only_key().status, Status.ACTIVE)
