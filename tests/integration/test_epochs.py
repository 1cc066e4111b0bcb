"""The triggers: each change of what a principal is made of is counted and told (SPEC 5)."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.servers import admin_connection, new_database, service_connection
from tests.tenants import KEY, OTHER, PREFIX, ROWS, TENANT

LIFT = "UPDATE gateway.tenants SET epoch = epoch + 1000000000, changed_at = clock_timestamp()"


@frozen
class Change:
    """A statement, and the epochs that it adds to the tenant and to the other one."""

    statement: str
    tenant: int
    other: int = 0


CHANGES = (
    Change("UPDATE tenants SET status = 'disabled' WHERE name = 'acme'", 1),
    Change("UPDATE tenants SET allow_all_models = true WHERE name = 'acme'", 1),
    Change("UPDATE tenants SET allowed_models = '{llama3}' WHERE name = 'acme'", 1),
    Change("UPDATE tenants SET status = 'disabled'", 1, 1),
    Change("UPDATE tenants SET name = 'acme two' WHERE name = 'acme'", 0),
    Change("UPDATE tenants SET status = 'active'", 0),
    Change(f"INSERT INTO tenant_limits (tenant_id, rpm) VALUES ('{OTHER}', 1)", 0, 1),
    Change("UPDATE tenant_limits SET rpm = 6", 1),
    Change("DELETE FROM tenant_limits", 1),
    Change(
        f"INSERT INTO api_keys (tenant_id, name, scopes) VALUES ('{OTHER}', 'x', '{{chat}}')", 0, 1
    ),
    Change("UPDATE api_keys SET status = 'disabled'", 1),
    Change("UPDATE api_keys SET scopes = '{chat,embeddings}'", 1),
    Change("UPDATE api_keys SET expires_at = now()", 1),
    Change("UPDATE api_keys SET allowed_models = '{llama3}'", 1),
    Change(f"UPDATE api_keys SET tenant_id = '{OTHER}'", 1, 1),
    Change("UPDATE key_limits SET tpm = 1", 1),
    Change("DELETE FROM key_limits", 1),
    Change(
        "INSERT INTO api_key_credentials (prefix, key_id, secret_hash)"
        f" VALUES ('nz_bbbbbbbbb', '{KEY}', 'hash')",
        1,
    ),
    Change("UPDATE api_key_credentials SET expires_at = now()", 1),
    Change("UPDATE api_key_credentials SET last_used_at = now(), secret_hash = 'new'", 0),
    Change("DELETE FROM api_key_credentials", 1),
    Change("DELETE FROM api_keys", 1),
    Change(f"INSERT INTO revocations (prefix) VALUES ('{PREFIX}')", 1),
    Change(f"INSERT INTO revocations (key_id) VALUES ('{KEY}')", 1),
)


class Epochs(SynchronousTestCase):
    """Each change of what a principal is made of is counted and told, by whomever it is made."""

    def setUp(self) -> None:
        """A database with rows, somebody who listens, and a session of the service."""
        urls = new_database(self)
        self.listener = admin_connection(self, urls.admin_url)
        self.listener.execute(ROWS)
        self.listener.execute("LISTEN tenant_changed")
        self.listener.execute("LISTEN key_revoked")
        self.service = service_connection(self, urls.url)

    def epochs(self) -> dict[str, tuple[int, Any]]:
        """Each tenant's epoch and time of change, by id."""
        rows = self.service.execute("SELECT id::text, epoch, changed_at FROM tenants").fetchall()
        return {tenant_id: (epoch, changed_at) for tenant_id, epoch, changed_at in rows}

    def told(self) -> list[tuple[str, str]]:
        """The notifications that have been sent since the last call, by channel."""
        # The marker comes last: notifications of one session arrive in order of commit.
        self.service.execute("NOTIFY tenant_changed, 'marker'")
        heard: list[tuple[str, str]] = []
        for notification in self.listener.notifies(timeout=10):
            if notification.payload == "marker":
                return heard
            heard.append((notification.channel, notification.payload))
        raise AssertionError("the marker was lost")

    def test_changes(self) -> None:
        """Each statement adds its number of epochs, moves the time and tells the new epoch."""
        for change in CHANGES:
            with self.subTest(statement=change.statement):
                with self.service.transaction(force_rollback=True):
                    before = self.epochs()
                    self.service.execute(change.statement)
                    after = self.epochs()
                grown = {name: after[name][0] - before[name][0] for name in before}
                moved = {name: after[name][1] > before[name][1] for name in before}
                expected = {TENANT: change.tenant, OTHER: change.other}
                self.assertEqual(grown, expected)
                self.assertEqual(moved, {name: n > 0 for name, n in expected.items()})

    def test_told(self) -> None:
        """The notification carries the tenant's id and its new epoch, once per change."""
        epoch = self.epochs()[TENANT][0]
        self.told()
        self.service.execute("UPDATE api_keys SET status = 'disabled'")
        self.service.execute("UPDATE tenants SET status = 'disabled' WHERE name = 'acme'")
        self.service.execute("UPDATE tenants SET name = 'acme two' WHERE name = 'acme'")
        self.assertEqual(
            self.told(),
            [
                ("tenant_changed", f"{TENANT} {epoch + 1}"),
                ("tenant_changed", f"{TENANT} {epoch + 2}"),
            ],
        )

    def test_new_and_gone_tenants_are_told(self) -> None:
        """A tenant's first epoch is told, and one past its last when it goes."""
        self.told()
        new = str(uuid4())
        self.service.execute("INSERT INTO tenants (id, name) VALUES (%s, 'new')", (new,))
        self.service.execute("DELETE FROM tenants WHERE name = 'new'")
        self.assertEqual(
            self.told(), [("tenant_changed", f"{new} 1"), ("tenant_changed", f"{new} 2")]
        )

    def test_tenant_with_keys_is_not_deleted(self) -> None:
        """A tenant goes after its keys, so that the change of those is seen by every reading."""
        with self.assertRaises(psycopg.errors.ForeignKeyViolation):
            self.service.execute("DELETE FROM tenants WHERE name = 'acme'")

    def test_bare_revocation(self) -> None:
        """A row with nothing but a prefix or a key id revokes, bumps and tells."""
        for column, value in (("prefix", PREFIX), ("key_id", KEY)):
            with self.subTest(column=column):
                self.service.execute("UPDATE api_keys SET status = 'active'")
                epoch = self.epochs()[TENANT][0]
                self.told()
                self.service.execute(
                    f"INSERT INTO gateway.revocations ({column}) VALUES ('{value}')"
                )
                status = self.service.execute("SELECT status::text FROM api_keys").fetchall()
                self.assertEqual(status, [("revoked",)])
                self.assertEqual(
                    self.told(),
                    [("tenant_changed", f"{TENANT} {epoch + 1}"), ("key_revoked", value)],
                )

    def test_revoked_once_more(self) -> None:
        """A key that is revoked already changes no principal; the row is kept and told."""
        revoke = f"INSERT INTO revocations (prefix) VALUES ('{PREFIX}')"
        self.service.execute(revoke)
        before = self.epochs()
        self.told()
        self.service.execute(revoke)
        self.assertEqual(self.epochs(), before)
        self.assertEqual(self.told(), [("key_revoked", PREFIX)])
        rows = self.service.execute("SELECT count(*) FROM revocations").fetchone()
        self.assertEqual(rows, (2,))

    def test_lifted_after_a_restore(self) -> None:
        """The statement for a restored database lifts every epoch, and each gateway hears of it."""
        before = self.epochs()
        self.told()
        self.service.execute(LIFT)
        after = self.epochs()
        for tenant_id, (epoch, changed_at) in before.items():
            self.assertEqual(after[tenant_id][0], epoch + 1_000_000_000)
            self.assertGreater(after[tenant_id][1], changed_at)
        self.assertEqual(
            sorted(self.told()),
            sorted(("tenant_changed", f"{name} {epoch}") for name, (epoch, _) in after.items()),
        )

    def test_the_document_says_so(self) -> None:
        """What was tried here is what operators are told to run."""
        text = (Path(__file__).parents[2] / "docs" / "SPEC.md").read_text(encoding="utf-8")
        self.assertTrue(LIFT in " ".join(text.split()))

    def test_revocation_of_nothing_is_refused(self) -> None:
        """A mistyped prefix is an error, not a revocation that revokes nothing."""
        for column, value in (("prefix", "nz_zzzzzzzzz"), ("key_id", OTHER)):
            with (
                self.subTest(column=column),
                self.assertRaises(psycopg.errors.ForeignKeyViolation),
            ):
                self.service.execute(f"INSERT INTO revocations ({column}) VALUES ('{value}')")

    def test_revocation_names_one_key_in_one_way(self) -> None:
        """Neither or both of prefix and key id is refused."""
        for columns, values in (
            ("reason", "'lost'"),
            ("prefix, key_id", f"'{PREFIX}', '{KEY}'"),
        ):
            with self.subTest(columns=columns), self.assertRaises(psycopg.errors.CheckViolation):
                self.service.execute(f"INSERT INTO revocations ({columns}) VALUES ({values})")
