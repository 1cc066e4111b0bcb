"""What a spreadsheet is given, and what a reader of bounds may say."""

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.audit import _cell
from tests.command_line import command


class CellTests(SynchronousTestCase):
    def test_formulas(self) -> None:
        """Whatever a spreadsheet would compute stands behind an apostrophe."""
        for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "－1"):  # noqa: RUF001
            with self.subTest(text=text):
                self.assertEqual(_cell(text), f"'{text}")

    def test_plain(self) -> None:
        """Anything else stands as it is."""
        self.assertEqual(_cell("curl/8.0 =1"), "curl/8.0 =1")
        self.assertEqual((_cell(None), _cell(5), _cell(True)), ("", "5", "True"))  # noqa: FBT003
        self.assertEqual(_cell(UUID(int=1)), str(UUID(int=1)))


class UsageTests(SynchronousTestCase):
    def test_wrong_usage(self) -> None:
        """What cannot be meant is told before anything is touched."""
        for arguments in (
            ["tail", "-n", "0"],
            ["show"],
            ["show", "nothing"],
            ["export"],
            ["export", "--format", "xml"],
            ["export", "--format", "csv", "--until", "soon"],
            ["verify", "--signer", "zz"],
        ):
            with self.subTest(arguments=arguments):
                self.assertEqual(command("audit", *arguments).exit_code, 2)

    def test_configuration(self) -> None:
        """Every command needs to know its database."""
        for arguments in (["tail"], ["verify"], ["replay"], ["export", "--format", "csv"]):
            self.assertIn("DATABASE_URL: must be set", command("audit", *arguments).stderr)
