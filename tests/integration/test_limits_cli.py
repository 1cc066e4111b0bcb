"""Limits and budgets on the command line, against a real PostgreSQL, as the service reads them."""

from typing import Any

from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from tests.commands import CommandCase

UNSET: dict[str, int | None] = dict.fromkeys(LIMIT_NAMES)


class LimitsCase(CommandCase):
    def setUp(self) -> None:
        """Add a tenant with a key, neither with anything of its own."""
        super().setUp()
        self.json("create-tenant", "--name", "acme", "--allow-all-models")
        self.prefix = self.key()["prefix"]

    def levels(self, prefix: str = "") -> tuple[Limits, Limits]:
        """What the service reads of tenant and key."""
        record = self.stored(prefix or self.prefix)
        return record.tenant_limits, record.key_limits

    def changed(self, *arguments: str) -> Any:
        """What a command says is set now, which the tenant's epoch has told to all gateways."""
        before = self.stored(self.prefix).epoch
        told = self.json(*arguments)
        self.assertGreater(self.stored(self.prefix).epoch, before)
        return {name: value for name, value in told.items() if name in LIMIT_NAMES}


class SettingTests(LimitsCase):
    """`set-limits` and `set-budget`."""

    def test_of_a_tenant(self) -> None:
        """Only what is named changes; `none` unsets; limits and budgets are apart."""
        tenant = ("--tenant", "acme")
        every = ("--tpm", "2", "--concurrent", "3", "--max-body", "4", "--max-predict", "5")
        limits = UNSET | {
            "rpm": 1,
            "tpm": 2,
            "concurrent": 3,
            "max_body_bytes": 4,
            "max_predict": 5,
        }
        self.assertEqual(self.changed("set-limits", *tenant, "--rpm", "1", *every), limits)
        limits |= {"budget_day": 6, "budget_month": 7, "budget_total": 10**12}
        budgets = ("--day", "6", "--month", "7", "--total", "1000000000000")
        self.assertEqual(self.changed("set-budget", *tenant, *budgets), limits)
        self.assertEqual(self.levels(), (Limits(**limits), Limits()))
        limits |= {"rpm": None, "tpm": 9}
        self.assertEqual(self.changed("set-limits", *tenant, "--rpm", "none", "--tpm", "9"), limits)
        limits |= {"budget_day": None}
        self.assertEqual(self.changed("set-budget", *tenant, "--day", "none"), limits)
        self.assertEqual(self.levels(), (Limits(**limits), Limits()))

    def test_of_a_key(self) -> None:
        """A key has its own until it leaves them to its tenant, by either word."""
        key = ("--key", self.prefix)
        self.json("set-limits", "--tenant", "acme", "--rpm", "50")
        limits = UNSET | {"rpm": 5, "tpm": 6, "budget_day": 7, "budget_total": 8}
        self.changed("set-limits", *key, "--rpm", "5", "--tpm", "6")
        self.assertEqual(self.changed("set-budget", *key, "--day", "7", "--total", "8"), limits)
        self.assertEqual(self.levels(), (Limits(rpm=50), Limits(**limits)))
        self.changed("set-limits", "--key", "acme/ci", "--rpm", "inherit", "--tpm", "none")
        self.changed("set-budget", *key, "--day", "inherit", "--total", "none")
        self.assertEqual(self.levels(), (Limits(rpm=50), Limits()))

    def test_whose_it_is(self) -> None:
        """The answer names the tenant, or the key with its tenant."""
        told = self.json("set-limits", "--tenant", "acme", "--rpm", "5")
        self.assertEqual(told, {"tenant": "acme", **UNSET, "rpm": 5})
        told = self.json("set-budget", "--key", "ci", "--day", "5")
        named = {"prefix": self.prefix, "tenant": "acme", "name": "ci"}
        self.assertEqual(told, {**named, **UNSET, "budget_day": 5})
        self.assertRegex(self.do("set-limits", "--key", "ci", "--rpm", "6").stdout, r"rpm +6")

    def test_no_such_key(self) -> None:
        """The line says which there are."""
        for command in (("set-limits", "--rpm", "1"), ("set-budget", "--day", "1")):
            words = self.fault(command[0], "--key", "x", *command[1:])
            self.assertIn(f"there is no key 'x'; there are: {self.prefix}", words)


class KeyTests(LimitsCase):
    """Limits of a key, in the commands for keys."""

    def test_a_new_key(self) -> None:
        """It has what it was given; without a limit it has none of its own."""
        words = ("--rpm", "5", "--max-body", "100", "--tpm", "none", "--max-predict", "inherit")
        made = self.key("--name", "two", *words)
        limits = {"rpm": 5, "max_body_bytes": 100}
        self.assertEqual({name: made[name] for name in LIMIT_NAMES}, UNSET | limits)
        self.assertEqual(self.levels(made["prefix"]), (Limits(), Limits(**limits)))
        self.assertEqual(self.levels(), (Limits(), Limits()))

    def test_a_new_key_for_a_person(self) -> None:
        """What is not set is not told."""
        words = ("--tenant", "acme", "--name", "two", "--concurrent", "3")
        shown = self.do("create-key", *words).stdout
        self.assertRegex(shown, r"concurrent +3")
        self.assertNotIn("rpm", shown)

    def test_set_key(self) -> None:
        """It changes what is named, and what is kept of prompts only where that is said."""
        told = self.changed("set-key", "--prefix", self.prefix, "--rpm", "5", "--concurrent", "6")
        self.assertEqual(told, UNSET | {"rpm": 5, "concurrent": 6})
        told = self.json("set-key", "--prefix", "acme/ci", "--rpm", "inherit", "--no-log-prompts")
        self.assertEqual((told["rpm"], told["concurrent"], told["log_prompts"]), (None, 6, False))
        told = self.json("set-key", "--prefix", "acme/ci", "--no-log-prompts")
        self.assertEqual(told["concurrent"], 6)
        self.assertEqual(self.levels(), (Limits(), Limits(concurrent=6)))

    def test_lists(self) -> None:
        """Both lists tell what is set at their level."""
        self.json("set-limits", "--key", self.prefix, "--rpm", "5", "--max-body", "7")
        self.json("set-budget", "--tenant", "acme", "--day", "8", "--month", "9")
        self.json("set-limits", "--tenant", "acme", "--max-predict", "6")
        (key,) = self.json("list-keys")
        self.assertEqual((key["rpm"], key["max_body_bytes"], key["budget_day"]), (5, 7, None))
        (tenant,) = self.json("list-tenants")
        self.assertEqual((tenant["rpm"], tenant["budget_day"], tenant["max_predict"]), (None, 8, 6))
        self.assertIn("rpm 5, body 7", self.do("list-keys").stdout)
        self.assertRegex(self.do("list-tenants").stdout, r"- +day 8, month 9 +predict 6")


class NoteTests(LimitsCase):
    """What an operator should know of a value is told beside the result."""

    def test_a_new_tenant(self) -> None:
        """Ordinary values need no word; one that cannot hold does."""
        result = self.do("create-tenant", "--name", "a", "--rpm", "5", "--max-body", "262144")
        self.assertEqual(result.stderr, "")
        result = self.do("create-tenant", "--name", "b", "--max-body", "262145")
        self.assertIn("MAX_REQUEST_BODY_BYTES is 262144", result.stderr)

    def test_caps_above_those_of_all(self) -> None:
        """A cap that is larger than that of all has no effect, for a key as for a tenant."""
        self.environ["MAX_NUM_PREDICT"] = "100"
        for owner in (("--tenant", "acme"), ("--key", self.prefix)):
            result = self.do("set-limits", *owner, "--max-predict", "101")
            self.assertIn("MAX_NUM_PREDICT is 100", result.stderr)
            self.assertEqual(self.do("set-limits", *owner, "--max-predict", "100").stderr, "")

    def test_a_key_beside_the_default(self) -> None:
        """A key's own value under a tenant without one leaves the default to the others."""
        for words in (
            ("set-limits", "--key", "ci", "--rpm", "5", "--tpm", "6"),
            ("set-key", "--prefix", "ci", "--rpm", "5", "--tpm", "6"),
            ("create-key", "--tenant", "acme", "--name", "two", "--rpm", "5", "--tpm", "6"),
        ):
            self.assertIn("the tenant 'acme' has no rpm, tpm of its own", self.do(*words).stderr)
        self.assertEqual(self.do("set-limits", "--tenant", "acme", "--rpm", "5").stderr, "")
        self.assertEqual(self.do("set-limits", "--key", "ci", "--rpm", "5").stderr, "")
        self.assertEqual(self.do("set-limits", "--key", "ci", "--tpm", "inherit").stderr, "")
        self.assertEqual(self.do("set-budget", "--key", "ci", "--day", "5").stderr, "")
