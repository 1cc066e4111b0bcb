from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import __version__
from neuronetz_twisted.cli import gateway
from tests.command_line import command


class GatewayTests(SynchronousTestCase):
    def test_every_command_explains_itself(self) -> None:
        """Each command has help, without any setting."""
        for name in gateway.commands:
            result = command(name, "--help")
            self.assertEqual(result.exit_code, 0)
            self.assertIn(f"neuronetz-gateway {name}", result.stdout)

    def test_every_command_that_tells_something_has_json(self) -> None:
        """`--json` is everywhere but in `serve`, which becomes another program."""
        without = {
            name
            for name, known in gateway.commands.items()
            if "--json" not in {option for each in known.params for option in each.opts}
        }
        self.assertEqual(without, {"serve"})

    def test_destructive_commands_can_be_told_yes(self) -> None:
        """What loses something asks, unless --yes."""
        asking = {
            name
            for name, known in gateway.commands.items()
            if "--yes" in {option for each in known.params for option in each.opts}
        }
        self.assertEqual(asking, {"disable-tenant", "disable-key", "revoke-key", "migrate"})

    def test_version(self) -> None:
        """The version of the package."""
        self.assertIn(__version__, command("--version").stdout)

    def test_usage(self) -> None:
        """What is no command or lacks an option ends with status 2."""
        for arguments in (["nonsense"], ["create-tenant"], ["revoke-key"], ["create-key"]):
            result = command(*arguments)
            self.assertEqual(result.exit_code, 2)
            self.assertIn("Usage:", result.stderr)
