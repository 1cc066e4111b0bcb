from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.models import models_in_words
from tests.command_line import command


class WordsTests(SynchronousTestCase):
    def test_each_combination(self) -> None:
        """What a tenant or key may use is told so that "nothing" cannot be misread."""
        for allow_all, models, words in (
            (True, ["a"], "all"),
            (True, None, "all"),
            (False, [], "none"),
            (False, ["a", "b"], "a, b"),
            (False, None, "tenant's list"),
            (None, None, "tenant's"),
            (None, ["a"], "a; all if the tenant may"),
        ):
            record = {"allow_all_models": allow_all, "models": models}
            self.assertEqual(models_in_words(record), words)


class SetModelsUsageTests(SynchronousTestCase):
    def test_one_owner_and_one_choice(self) -> None:
        """Nobody, two owners, nothing and two choices are usage errors, before any connection."""
        for arguments in (
            ["--allow-all"],
            ["--tenant", "a", "--key", "b", "--allow-all"],
            ["--tenant", "a"],
            ["--tenant", "a", "--allow-all", "--models", "b"],
            ["--key", "a", "--inherit", "--models", "none"],
            ["--tenant", "a", "--inherit"],
            ["--tenant", "a", "--models", "inherit"],
            ["--tenant", "a", "--models", "x:cloud"],
        ):
            result = command("set-models", *arguments)
            self.assertEqual(result.exit_code, 2, arguments)
            self.assertIn("Usage:", result.stderr)
