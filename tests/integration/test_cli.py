"""The command line against a real PostgreSQL: what it says, and what the service would read."""

import os
import tempfile
from pathlib import Path
from typing import Any

import click
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from neuronetz_twisted.admission.credentials import parse_key
from neuronetz_twisted.cli import options
from neuronetz_twisted.limits import LIMIT_NAMES
from neuronetz_twisted.stores.embedded import attached_or_started
from neuronetz_twisted.vocabulary import Scope, Status
from tests.command_line import CHEAP_ARGON2, command, json_of
from tests.commands import CommandCase
from tests.http_peer import peer
from tests.servers import admin_connection, new_database


class TenantTests(CommandCase):
    def test_create_and_list(self) -> None:
        """A tenant has what it was given and nothing else."""
        made = self.json("create-tenant", "--name", "acme", "--rpm", "60", "--tpm", "none")
        made.pop("created_at")
        self.assertEqual(
            made,
            {
                "name": "acme",
                "status": "active",
                "allow_all_models": False,
                "models": [],
                **dict.fromkeys(LIMIT_NAMES),
                "rpm": 60,
            },
        )
        self.json("create-tenant", "--name", "Zoo", "--allow-all-models")
        listed = self.json("list-tenants")
        self.assertEqual({tenant["name"] for tenant in listed}, {"acme", "Zoo"})
        self.assertEqual({tenant["allow_all_models"] for tenant in listed}, {False, True})

    def test_a_name_is_given_once(self) -> None:
        """A second tenant of that name is refused by name."""
        self.json("create-tenant", "--name", "acme")
        self.assertIn("'acme' exists already", self.fault("create-tenant", "--name", "acme"))
        self.assertEqual(len(self.json("list-tenants")), 1)

    def test_disable_and_enable(self) -> None:
        """A tenant's state shows, and counts for its keys."""
        self.json("create-tenant", "--name", "acme")
        prefix = self.key()["prefix"]
        self.assertEqual(
            self.json("disable-tenant", "--name", "acme", "--yes")["status"], "disabled"
        )
        self.assertIs(self.stored(prefix).tenant_status, Status.DISABLED)
        self.assertEqual(self.json("enable-tenant", "--tenant", "acme")["status"], "active")

    def test_unknown_names(self) -> None:
        """The line says which tenants there are."""
        self.assertIn("there are none yet", self.fault("enable-tenant", "--name", "x"))
        self.json("create-tenant", "--name", "acme")
        for arguments in (
            ["disable-tenant", "--name", "x", "--yes"],
            ["create-key", "--tenant", "x", "--name", "ci"],
            ["list-keys", "--tenant", "x"],
            ["set-models", "--tenant", "x", "--allow-all"],
            ["set-limits", "--tenant", "x", "--rpm", "1"],
            ["set-budget", "--tenant", "x", "--day", "1"],
        ):
            self.assertIn("there is no tenant 'x'; there are: acme", self.fault(*arguments))

    def test_a_table_for_a_person(self) -> None:
        """Limits and models are told in words."""
        self.json("create-tenant", "--name", "acme", "--rpm", "60")
        self.assertRegex(self.do("list-tenants").stdout, r"acme +active +none +60 +- +-")


class KeyTests(CommandCase):
    def setUp(self) -> None:
        """Add a tenant that may use everything."""
        super().setUp()
        self.json("create-tenant", "--name", "acme", "--allow-all-models")

    def test_create(self) -> None:
        """The key is well-formed, stands in the database as a hash only, and is told once."""
        made = self.key("--name", "ci", "--scopes", "raw,chat", "--expires", "2127-01-31")
        key = made.pop("key")
        parsed = parse_key(key)
        if parsed is None:
            self.fail("not a key")
        self.assertEqual(
            made,
            {
                "prefix": parsed.prefix,
                "tenant": "acme",
                "name": "ci",
                "scopes": ["chat", "raw"],
                "expires_at": "2127-01-31T00:00:00Z",
                "log_prompts": False,
                **dict.fromkeys(LIMIT_NAMES),
            },
        )
        record = self.stored(parsed.prefix)
        self.assertEqual(record.scopes, {Scope.CHAT, Scope.RAW})
        self.assertTrue(record.secret_hash.startswith("$argon2id$"))
        for arguments in (["list-keys"], ["list-keys", "--json"]):
            self.assertNotIn(key, self.do(*arguments).output)

    def test_create_for_a_person(self) -> None:
        """The key stands on a line of its own, with a curl line for where the gateway is."""
        self.environ |= {"GATEWAY_BIND_HOST": "0.0.0.0", "GATEWAY_BIND_PORT": "81"}
        result = self.do("create-key", "--tenant", "acme", "--name", "ci")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        lines = [line.strip() for line in result.stdout.splitlines()]
        (key,) = (line for line in lines if line.startswith("nz_"))
        self.assertIn(f"curl -H 'Authorization: Bearer {key}' http://127.0.0.1:81/v1/models", lines)

    def test_an_endpoint_is_noted(self) -> None:
        """With an endpoint string the curl line may be wrong, and says so."""
        self.environ["GATEWAY_ENDPOINT"] = "unix:/run/gateway.sock"
        result = self.do("create-key", "--tenant", "acme", "--name", "ci")
        self.assertIn("GATEWAY_ENDPOINT is set", result.stderr)

    def test_list(self) -> None:
        """Keys are listed by prefix, of all tenants or of one."""
        first = self.key()
        self.json("create-tenant", "--name", "zoo")
        self.json("create-key", "--tenant", "zoo", "--name", "ci")
        self.assertEqual(
            [key["tenant"] for key in self.json("list-keys")],
            ["acme", "zoo"],
        )
        (listed,) = self.json("list-keys", "--tenant", "acme")
        listed.pop("created_at")
        self.assertEqual(
            listed,
            {
                "prefix": first["prefix"],
                "prefixes": [first["prefix"]],
                "tenant": "acme",
                "name": "ci",
                "scopes": ["chat", "embeddings"],
                "status": "active",
                "allow_all_models": None,
                "models": None,
                **dict.fromkeys(LIMIT_NAMES),
                "log_prompts": False,
                "expires_at": None,
                "last_used_at": None,
            },
        )

    def test_a_name_is_given_once_per_tenant(self) -> None:
        """A second key of that name is refused, and leaves nothing behind."""
        self.key()
        words = self.fault("create-key", "--tenant", "acme", "--name", "ci")
        self.assertIn("a key named 'ci' exists already", words)
        self.assertEqual(len(self.json("list-keys")), 1)

    def test_disable_enable_revoke(self) -> None:
        """A key goes off, on again, and off for good."""
        prefix = self.key()["prefix"]
        self.assertEqual(
            self.json("disable-key", "--prefix", prefix, "--yes")["status"], "disabled"
        )
        self.assertIs(self.stored(prefix).key_status, Status.DISABLED)
        self.assertEqual(self.json("enable-key", "--prefix", prefix)["status"], "active")
        revoked = self.json("revoke-key", "--prefix", "acme/ci", "--yes")
        self.assertEqual((revoked["prefix"], revoked["status"]), (prefix, "revoked"))
        self.assertIs(self.stored(prefix).key_status, Status.REVOKED)
        self.assertIn("revoked for good", self.fault("enable-key", "--prefix", prefix))

    def test_each_change_raises_the_epoch(self) -> None:
        """What a command changes reaches every gateway, since the tenant's epoch grows."""
        prefix = self.key()["prefix"]
        for arguments in (
            ["disable-key", "--prefix", prefix, "--yes"],
            ["set-models", "--key", prefix, "--models", "a"],
            ["set-models", "--tenant", "acme", "--no-allow-all"],
            ["disable-tenant", "--name", "acme", "--yes"],
            ["revoke-key", "--prefix", prefix, "--yes"],
        ):
            before = self.stored(prefix).epoch
            self.json(*arguments)
            self.assertGreater(self.stored(prefix).epoch, before, arguments)

    def test_a_destructive_command_asks(self) -> None:
        """Without a terminal it is refused; at one the question names the key, and a no is a no."""
        prefix = self.key()["prefix"]
        for arguments in (
            ["revoke-key", "--prefix", prefix],
            ["disable-key", "--prefix", prefix],
            ["disable-tenant", "--name", "acme"],
        ):
            self.assertIn("--yes", self.fault(*arguments))
        asked: list[str] = []

        def say_no(question: str, **_: bool) -> None:
            asked.append(question)
            raise click.Abort

        self.patch(click, "confirm", say_no)
        self.patch(options, "sys", _AtTerminal())
        self.assertEqual(self.do("revoke-key", "--prefix", prefix).exit_code, 1)
        self.assertEqual(asked, [f"Revoke key {prefix} ('ci' of tenant 'acme')?"])
        self.assertIs(self.stored(prefix).key_status, Status.ACTIVE)

    def test_a_pasted_key_is_not_repeated(self) -> None:
        """Given whole, a key is found by its prefix, and an error shows no more than that."""
        key = self.key()["key"]
        self.json("disable-key", "--prefix", key, "--yes")
        unknown = "nz_" + "x" * 41
        words = self.fault("revoke-key", "--prefix", unknown, "--yes")
        self.assertIn("there is no key 'nz_xxxxxxxxx'; there are: ", words)
        self.assertNotIn("x" * 10, words)

    def test_a_name_that_several_tenants_use(self) -> None:
        """The line asks which of them is meant."""
        prefixes = [self.key()["prefix"]]
        self.json("create-tenant", "--name", "zoo")
        prefixes.append(self.json("create-key", "--tenant", "zoo", "--name", "ci")["prefix"])
        words = self.fault("revoke-key", "--prefix", "ci", "--yes")
        for prefix in prefixes:
            self.assertIn(prefix, words)

    def test_warnings(self) -> None:
        """A key that can do nothing yet is made, and its maker is told why it cannot."""
        self.json("create-tenant", "--name", "new one")
        result = self.do("create-key", "--tenant", "new one", "--name", "ci", "--json")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("set-models --tenant 'new one' --allow-all", result.stderr)
        self.json("disable-tenant", "--name", "acme", "--yes")
        result = self.do("create-key", "--tenant", "acme", "--name", "ci")
        self.assertIn("'acme' is disabled", result.stderr)


class ModelTests(CommandCase):
    def setUp(self) -> None:
        """Add a tenant with a key."""
        super().setUp()
        self.json("create-tenant", "--name", "acme")
        self.prefix = self.key()["prefix"]

    def set(self, *arguments: str) -> tuple[Any, Any]:
        """What `set-models` says that may be used now."""
        record = self.json("set-models", *arguments)
        return record["allow_all_models"], record["models"]

    def test_of_a_tenant(self) -> None:
        """All, exactly these, only the list, nothing."""
        tenant = ("--tenant", "acme")
        self.assertEqual(self.set(*tenant, "--allow-all"), (True, []))
        self.assertEqual(
            self.set(*tenant, "--models", "qwen3:8b,LLAMA3.2"),
            (False, ["llama3.2:latest", "qwen3:8b"]),
        )
        self.assertEqual(self.stored(self.prefix).tenant_models, {"llama3.2:latest", "qwen3:8b"})
        self.assertEqual(self.set(*tenant, "--allow-all")[0], True)
        self.assertEqual(
            self.set(*tenant, "--no-allow-all"), (False, ["llama3.2:latest", "qwen3:8b"])
        )
        self.assertEqual(self.set(*tenant, "--models", "none"), (False, []))

    def test_of_a_key(self) -> None:
        """A key has its own until it inherits again."""
        key = ("--key", self.prefix)
        self.assertEqual(self.set(*key, "--models", "a"), (False, ["a:latest"]))
        self.assertEqual(self.set(*key, "--allow-all"), (True, ["a:latest"]))
        self.assertEqual(self.set(*key, "--inherit"), (None, None))
        self.assertIsNone(self.stored(self.prefix).key_models)
        self.assertEqual(self.set(*key, "--models", "none"), (False, []))
        self.assertEqual(self.set(*key, "--models", "inherit"), (None, None))

    def test_what_a_tenant_may_use(self) -> None:
        """Of the installed models the allowed ones, with a word on those that are missing."""
        tags = b'{"models": [{"name": "a:latest"}, {"name": "b:latest"}]}'
        here = peer(
            self, {"/api/version": (200, b'{"version": "0.18.0"}'), "/api/tags": (200, tags)}
        )
        self.environ["OLLAMA_BASE_URL"] = here.url
        list_models = ("list-models", "--tenant", "acme")
        self.assertEqual(self.json(*list_models), [])
        self.set("--tenant", "acme", "--models", "a,z")
        self.assertEqual([model["name"] for model in self.json(*list_models)], ["a:latest"])
        self.assertIn("not installed: z:latest", self.do(*list_models).stderr)
        self.set("--tenant", "acme", "--allow-all")
        self.assertEqual(len(self.json(*list_models)), 2)
        self.json("disable-tenant", "--name", "acme", "--yes")
        self.assertIn("'acme' is disabled", self.do(*list_models).stderr)


class MigrateTests(SynchronousTestCase):
    def test_up_and_down(self) -> None:
        """An empty database is refused with the advice, migrated, used, and emptied again."""
        urls = new_database(self, migrated=False)
        environ = {"DATABASE_URL": urls.url, "DATABASE_ADMIN_URL": urls.admin_url}
        result = command("list-tenants", **environ)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("run neuronetz-gateway migrate", result.stderr)
        first = json_of(command("migrate", "--json", **environ))
        self.assertEqual(first["before"], "base")
        self.assertEqual(
            json_of(command("migrate", "--json", **environ)),
            {"before": first["now"], "now": first["now"]},
        )
        self.assertEqual(json_of(command("list-tenants", "--json", **environ)), [])
        refused = command("migrate", "--to", "base", **environ)
        self.assertIn("--yes", refused.stderr)
        down = json_of(command("migrate", "--to", "base", "--yes", "--json", **environ))
        self.assertEqual(down["now"], "base")
        self.assertEqual(command("list-tenants", **environ).exit_code, 1)

    def test_the_service_role_may_not_migrate(self) -> None:
        """With DATABASE_URL alone and no right to it, the server's own words are one line."""
        urls = new_database(self, migrated=False)
        result = command("migrate", DATABASE_URL=urls.url)
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("permission denied", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_a_database_of_a_newer_version(self) -> None:
        """A revision that this version does not know is left alone."""
        urls = new_database(self)
        admin = admin_connection(self, urls.admin_url)
        admin.execute("UPDATE gateway.alembic_version SET version_num = '9999'")
        result = command("migrate", DATABASE_URL=urls.url, DATABASE_ADMIN_URL=urls.admin_url)
        self.assertEqual(result.exit_code, 1)
        self.assertIn("revision 9999", result.stderr)


class EmbeddedTests(SynchronousTestCase):
    def test_servers_for_a_command(self) -> None:
        """A command starts the servers it needs, migrates them, and leaves none running."""
        state_dir = tempfile.TemporaryDirectory(prefix="nz")
        self.addCleanup(state_dir.cleanup)
        environ = {**CHEAP_ARGON2, "DATABASE_URL": "embedded:", "GATEWAY_STATE_DIR": state_dir.name}
        made = command("create-tenant", "--name", "acme", "--json", **environ)
        if "programs found" in made.stderr:
            raise SkipTest(made.stderr)
        self.assertEqual(json_of(made)["name"], "acme")
        home = Path(state_dir.name) / "embedded"
        self.assertFalse((home / "ready").exists())
        # As a running gateway would own them.
        with attached_or_started(
            state_dir=Path(state_dir.name), postgres=True, redis=False, environ=os.environ
        ):
            (listed,) = json_of(command("list-tenants", "--json", **environ))
            self.assertTrue((home / "ready").exists())
        self.assertEqual(listed["name"], "acme")
        self.assertEqual(
            json_of(command("migrate", "--to", "base", "--yes", "--json", **environ))["now"], "base"
        )


class _AtTerminal:
    """A `sys` whose standard input is a terminal."""

    @property
    def stdin(self) -> "_AtTerminal":
        return self

    def isatty(self) -> bool:
        return True
