"""Every change of a key or tenant holds within one second, whatever becomes of the news (SPEC 5).

Each key is warm before its change: proven, cached in the process and in Redis, and in use.
"""

import json
import time
from collections.abc import Callable
from functools import partial

import psycopg
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.engine import connection_arguments
from tests.figures import within
from tests.gateway import marker, shared_stack
from tests.http_client import Answer, Caller, ask, chat, request_bytes
from tests.processes import eventually

HOLDS_S = within(1.0)
CUT_S = within(10.0)
TENANT = "tenant-"


class ChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A warm key."""
        self.stack = shared_stack()
        self.key = self.stack.new_key()
        self.prefix = self.key[:12]
        eventually(lambda: self.chat().status == 200)

    def chat(self) -> Answer:
        """One request that reaches the model host."""
        body = chat("hi", stream=False)
        return ask(self.stack.port, "POST", "/api/chat", body, key=self.key)

    def holds(self, status: int, change: Callable[[], object]) -> None:
        """The answer becomes `status` within a second of the change, and stays so."""
        self.assertNotEqual(self.chat().status, status)
        change()
        changed = time.monotonic()
        eventually(lambda: self.chat().status == status, 3 * HOLDS_S)
        seconds = time.monotonic() - changed
        self.assertTrue(seconds < HOLDS_S, f"after {seconds} s")
        self.assertEqual([self.chat().status for _ in range(5)], [status] * 5)

    def execute(self, statement: str) -> None:
        """Run SQL about the key as any service with the rights of gateway_app may."""
        arguments = connection_arguments(str(self.stack.urls.database_url), "another service")
        with psycopg.connect(**arguments, autocommit=True) as connection:
            connection.execute(statement.encode(), {"prefix": self.prefix})

    def insert_revocation(self) -> None:
        """Revoke the key without the command line."""
        self.execute("INSERT INTO gateway.revocations (prefix) VALUES (%(prefix)s)")

    def deafen(self) -> None:
        """Kill every session of the gateway, the one that listens for changes among them."""
        killed = self.stack.administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway_app'"
        )
        self.assertTrue(killed)

    def silence(self) -> None:
        """Let the database notify nobody of a tenant's new epoch."""
        table = "ALTER TABLE gateway.tenants"
        self.stack.administer(f"{table} DISABLE TRIGGER notify_of_epoch")
        self.addCleanup(self.stack.administer, f"{table} ENABLE TRIGGER notify_of_epoch")

    def test_revocation_by_command(self) -> None:
        """`revoke-key` ends a key."""
        self.holds(401, lambda: self.stack.command("revoke-key", "--prefix", self.prefix, "--yes"))

    def test_revocation_by_insert(self) -> None:
        """So does a bare row in `gateway.revocations`, whoever writes it."""
        self.holds(401, self.insert_revocation)

    def test_revocation_without_a_listener(self) -> None:
        """Also with the listener's connection killed just before."""
        self.deafen()
        self.holds(401, self.insert_revocation)

    def test_revocation_by_command_without_a_listener(self) -> None:
        """Also by the command line."""
        self.deafen()
        self.holds(401, lambda: self.stack.command("revoke-key", "--prefix", self.prefix, "--yes"))

    def test_change_without_notification(self) -> None:
        """What nobody was notified of is found by reading again."""
        self.silence()
        self.holds(
            401,
            lambda: self.execute(
                "UPDATE gateway.api_keys SET status = 'disabled' WHERE id ="
                " (SELECT key_id FROM gateway.api_key_credentials WHERE prefix = %(prefix)s)"
            ),
        )

    def test_revocation_of_an_idle_key(self) -> None:
        """A key that nobody uses meanwhile is refused when it comes a second later."""
        self.insert_revocation()
        revoked = time.monotonic()
        eventually(lambda: time.monotonic() > revoked + HOLDS_S)
        self.assertEqual(self.chat().status, 401)

    def test_tenant(self) -> None:
        """Disabling a tenant shuts its keys out, enabling lets them in again."""
        name = ("--tenant", TENANT + self.prefix)
        self.holds(401, lambda: self.stack.command("disable-tenant", *name, "--yes"))
        self.holds(200, lambda: self.stack.command("enable-tenant", *name))

    def test_models(self) -> None:
        """What a tenant may use changes for keys in use, both ways."""
        name = ("--tenant", TENANT + self.prefix)
        self.holds(403, lambda: self.stack.command("set-models", *name, "--no-allow-all"))
        self.holds(
            200, lambda: self.stack.command("set-models", *name, "--models", "llama3.2:latest")
        )

    def test_limits(self) -> None:
        """So do limits of the tenant and of the key, and what is unset again."""
        for owner in (("--tenant", TENANT + self.prefix), ("--key", self.prefix)):
            for status, cap in ((413, "10"), (200, "none")):
                words = ("set-limits", *owner, "--max-body", cap)
                self.holds(status, partial(self.stack.command, *words))

    def test_limits_without_notification(self) -> None:
        """Also where nobody is notified and no trigger's news arrives."""
        self.silence()
        self.holds(
            413,
            lambda: self.execute(
                "INSERT INTO gateway.key_limits (key_id, max_body_bytes)"
                " SELECT key_id, 10 FROM gateway.api_key_credentials WHERE prefix = %(prefix)s"
                " ON CONFLICT (key_id) DO UPDATE SET max_body_bytes = 10"
            ),
        )

    def test_models_without_notification(self) -> None:
        """The same when nobody is notified."""
        self.silence()
        tenant = f"tenant-{self.prefix}"
        statement = (
            "UPDATE gateway.tenants SET allow_all_models = NOT allow_all_models WHERE name = %s"
        )
        self.holds(403, lambda: self.stack.administer(statement, tenant))
        self.holds(200, lambda: self.stack.administer(statement, tenant))


class RunningStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A stream of a minute under way."""
        self.stack = shared_stack()
        self.key = self.stack.new_key()
        self.word = marker()
        self.prompt = f"{self.word} [[n=3000 delay=20ms]]"

    def revoke(self) -> None:
        """Revoke the stream's key."""
        self.stack.administer("INSERT INTO gateway.revocations (prefix) VALUES (%s)", self.key[:12])

    def cut(self, path: str) -> bytes:
        """What a stream said until a revocation cut it."""
        request = request_bytes("POST", path, chat(self.prompt, stream=True), key=self.key)
        with Caller(self.stack.port, request) as caller:
            caller.read_until(b"said:")
            self.revoke()
            revoked = time.monotonic()
            received = bytes(caller.read_to_end())
            self.assertTrue(time.monotonic() - revoked < CUT_S)
        eventually(lambda: self.stack.mock.entry(self.word)["state"] == "peer_closed", 1)
        self.assertFalse(received.endswith(b"0\r\n\r\n"), "dressed up as complete")
        return received

    def test_native(self) -> None:
        """It ends with an error line and without a final frame."""
        received = self.cut("/api/chat")
        last = json.loads(received.rstrip().rpartition(b"\n")[2])
        self.assertEqual(last["code"], "invalid_api_key")
        self.assertNotIn(b'"done":true', received)

    def test_openai(self) -> None:
        """It ends with an error event and without `[DONE]`."""
        received = self.cut("/v1/chat/completions")
        last = json.loads(received.rstrip().rpartition(b"data: ")[2])
        self.assertEqual(last["error"]["code"], "invalid_api_key")
        self.assertNotIn(b"[DONE]", received)

    def test_not_streamed(self) -> None:
        """An answer that was still being collected becomes the 401."""
        request = request_bytes("POST", "/api/chat", chat(self.prompt, stream=False), key=self.key)
        with Caller(self.stack.port, request) as caller:
            self.stack.mock.entry(self.word)
            self.revoke()
            received = caller.read_to_end()
        self.assertTrue(received.startswith(b"HTTP/1.1 401"))

    def test_another_key_of_the_tenant(self) -> None:
        """A change of the tenant cuts nobody whose key is still good."""
        other = self.stack.new_key(tenant=TENANT + self.key[:12])
        request = request_bytes("POST", "/api/chat", chat("hi [[n=40 delay=20ms]]"), key=other)
        with Caller(self.stack.port, request) as caller:
            caller.read_until(b"said:")
            self.revoke()
            received = caller.read_to_end()
        self.assertTrue(received.endswith(b"0\r\n\r\n"))
        self.assertIn(b'"done":true', received)
