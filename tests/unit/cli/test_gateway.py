from collections.abc import Iterator

import click
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import __version__
from neuronetz_twisted.cli import gateway
from tests.command_line import command


def every(group: click.Group = gateway) -> Iterator[tuple[str, click.Command]]:
    """Each command with its name, also those within a group that does nothing by itself."""
    for name, known in group.commands.items():
        if isinstance(known, click.Group) and not known.invoke_without_command:
            yield from ((f"{name} {inner}", command) for inner, command in every(known))
        else:
            yield name, known


class GatewayTests(SynchronousTestCase):
    def test_every_command_explains_itself(self) -> None:
        """Each command has help, without any setting."""
        for name, _ in every():
            result = command(*name.split(), "--help")
            self.assertEqual(result.exit_code, 0)
            self.assertIn(f"neuronetz-gateway {name}", result.stdout)

    def test_every_command_that_tells_something_has_json(self) -> None:
        """`--json` is everywhere but in `serve`, which never answers, and with other formats."""
        without = {
            name
            for name, known in every()
            if "--json" not in {option for each in known.params for option in each.opts}
        }
        self.assertEqual(without, {"serve", "audit export"})

    def test_destructive_commands_can_be_told_yes(self) -> None:
        """What loses something asks, unless --yes."""
        asking = {
            name
            for name, known in every()
            if "--yes" in {option for each in known.params for option in each.opts}
        }
        access = {"disable-tenant", "disable-key", "revoke-key"}
        self.assertEqual(asking, {*access, "prompts erase", "migrate", "remove-backend"})

    def test_version(self) -> None:
        """The version of the package."""
        self.assertIn(__version__, command("--version").stdout)

    def test_usage(self) -> None:
        """What is no command or lacks an option ends with status 2."""
        for arguments in (["nonsense"], ["create-tenant"], ["revoke-key"], ["create-key"]):
            result = command(*arguments)
            self.assertEqual(result.exit_code, 2)
            self.assertIn("Usage:", result.stderr)
