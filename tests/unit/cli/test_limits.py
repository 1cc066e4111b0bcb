from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.limits import BUDGETS, CAPS, RATES, in_words
from neuronetz_twisted.limits import LIMIT_NAMES, Limits
from tests.command_line import command


class WordsTests(SynchronousTestCase):
    def test_what_is_set(self) -> None:
        """One cell has what is set by a word for each, and nothing where nothing is."""
        record = Limits(rpm=5, budget_month=7, max_predict=9).as_row()
        self.assertEqual(
            in_words(record, {**RATES, **BUDGETS, **CAPS}), "rpm 5, month 7, predict 9"
        )
        self.assertEqual(in_words(record, BUDGETS), "month 7")
        self.assertIsNone(in_words(Limits().as_row(), {**RATES, **BUDGETS, **CAPS}))

    def test_each_limit_has_a_word(self) -> None:
        """A limit that is added must be told to people as well."""
        self.assertCountEqual({**RATES, **BUDGETS, **CAPS}.values(), LIMIT_NAMES)


class UsageTests(SynchronousTestCase):
    def test_one_owner_and_something_to_set(self) -> None:
        """Nobody, two owners, nothing, and words out of place are told before any connection."""
        for arguments in (
            ["set-limits", "--rpm", "1"],
            ["set-limits", "--tenant", "a", "--key", "b", "--rpm", "1"],
            ["set-limits", "--tenant", "a"],
            ["set-limits", "--key", "a"],
            ["set-limits", "--tenant", "a", "--rpm", "0"],
            ["set-limits", "--tenant", "a", "--max-body", "2147483648"],
            ["set-limits", "--tenant", "a", "--rpm", "inherit"],
            ["set-limits", "--tenant", "a", "--day", "1"],
            ["set-budget", "--total", "1"],
            ["set-budget", "--tenant", "a"],
            ["set-budget", "--tenant", "a", "--month", "inherit"],
            ["set-budget", "--tenant", "a", "--total", "1000000000001"],
            ["set-budget", "--key", "a", "--rpm", "1"],
            ["create-tenant", "--name", "a", "--tpm", "inherit"],
            ["set-key", "--prefix", "a"],
            ["set-key", "--prefix", "a", "--concurrent", "many"],
        ):
            result = command(*arguments)
            self.assertEqual(result.exit_code, 2, arguments)
            self.assertIn("Usage:", result.stderr)
