from datetime import UTC, datetime, timedelta
from typing import Any, cast

import click
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli import options
from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.vocabulary import Scope

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOTHING = cast("Any", None)


class MomentTests(SynchronousTestCase):
    def test_spans(self) -> None:
        """Hours, days and weeks count from now."""
        self.assertEqual(options.moment_of("12h", NOW), NOW + timedelta(hours=12))
        self.assertEqual(options.moment_of("30d", NOW), NOW + timedelta(days=30))
        self.assertEqual(options.moment_of("2w", NOW), NOW + timedelta(days=14))

    def test_a_date_is_its_first_second(self) -> None:
        """A date means midnight UTC."""
        self.assertEqual(options.moment_of("2027-01-31", NOW), datetime(2027, 1, 31, tzinfo=UTC))

    def test_iso_times(self) -> None:
        """A zone counts, and a time without one is UTC."""
        self.assertEqual(
            options.moment_of("2027-01-31T10:00:00+02:00", NOW),
            datetime(2027, 1, 31, 8, 0, tzinfo=UTC),
        )
        self.assertEqual(
            options.moment_of("2027-01-31T10:00:00", NOW), datetime(2027, 1, 31, 10, tzinfo=UTC)
        )

    def test_anything_else_is_an_error(self) -> None:
        """What is neither is not guessed at."""
        for text in ("soon", "30", "30m", "-1d", "2027-02-30", "٣d", ""):
            self.assertRaises(ValueError, options.moment_of, text, NOW)
        self.assertRaises(
            OverflowError, options.moment_of, "99999w", datetime.max.replace(tzinfo=UTC)
        )


class ExpiryTests(SynchronousTestCase):
    def test_none_is_never(self) -> None:
        """`none` and no option at all both mean that a key does not end."""
        self.assertIsNone(options.expiry(NOTHING, NOTHING, "none"))
        self.assertIsNone(options.expiry(NOTHING, NOTHING, None))

    def test_the_past_is_refused(self) -> None:
        """A key that has ended already is a slip."""
        for text in ("2020-01-01", "0d"):
            error = self.assertRaises(click.BadParameter, options.expiry, NOTHING, NOTHING, text)
            self.assertIn("lies in the past", str(error))

    def test_what_cannot_be_read_is_a_usage_error(self) -> None:
        """Also a moment beyond the calendar."""
        for text in ("soon", "9999-12-31T23:59:59-14:00"):
            self.assertRaises(click.BadParameter, options.expiry, NOTHING, NOTHING, text)


class AmountTests(SynchronousTestCase):
    def test_numbers_and_words(self) -> None:
        """A limit is a whole number, or a word that unsets it, or not given."""
        limit = options.amount(2**31 - 1)
        self.assertEqual(limit(NOTHING, NOTHING, "60"), 60)
        self.assertEqual(limit(NOTHING, NOTHING, "2147483647"), 2**31 - 1)
        self.assertEqual(limit(NOTHING, NOTHING, "none"), "none")
        self.assertEqual(limit(NOTHING, NOTHING, "inherit"), "inherit")
        self.assertIsNone(limit(NOTHING, NOTHING, None))
        self.assertEqual(options.amount(10**12)(NOTHING, NOTHING, "1000000000000"), 10**12)

    def test_others_are_refused(self) -> None:
        """Nought is not "unlimited", and PostgreSQL's integers have an end."""
        for text in ("0", "-1", "1.5", "many", "None", "2147483648", "1" * 14, "", "٣"):
            error = self.assertRaises(
                click.BadParameter, options.amount(2**31 - 1), NOTHING, NOTHING, text
            )
            self.assertIn("from 1 to 2147483647, none or inherit", str(error))


class NameTests(SynchronousTestCase):
    def test_ordinary_names_pass(self) -> None:
        """Letters of any script and spaces inside may stand in a name."""
        for text in ("acme", "Größe 2", "a" * 100, "ci@host"):
            self.assertEqual(options.new_name(NOTHING, NOTHING, text), text)

    def test_others_are_refused(self) -> None:
        """Nothing that would be misread, by a terminal or as `tenant/name`."""
        for text in ("", " acme", "a" * 101, "a/b", "a\x1b[31m", "a\nb", "\udc80"):
            self.assertRaises(click.BadParameter, options.new_name, NOTHING, NOTHING, text)


class KeyReferenceTests(SynchronousTestCase):
    def test_a_whole_key_is_cut_to_its_prefix(self) -> None:
        """A pasted key goes no further than this function."""
        self.assertEqual(
            options.key_reference(NOTHING, NOTHING, "nz_123456789SECRETSECRET"), "nz_123456789"
        )

    def test_prefix_and_name_stay(self) -> None:
        """A prefix, `tenant/name` and nothing at all are kept."""
        for text in ("nz_123456789", "acme/ci", None):
            self.assertEqual(options.key_reference(NOTHING, NOTHING, text), text)


class ListTests(SynchronousTestCase):
    def test_scopes(self) -> None:
        """Scopes come in one order, each once."""
        self.assertEqual(options.scopes(NOTHING, NOTHING, "raw, chat,raw"), (Scope.CHAT, Scope.RAW))
        for text in ("", "chat,", "admin"):
            error = self.assertRaises(click.BadParameter, options.scopes, NOTHING, NOTHING, text)
            self.assertIn("chat, embeddings, raw", str(error))

    def test_models(self) -> None:
        """Names are canonical; `none` and `inherit` are words of their own."""
        self.assertEqual(
            options.model_names(NOTHING, NOTHING, "Qwen3:8B, llama3.2,llama3.2:latest"),
            ("llama3.2:latest", "qwen3:8b"),
        )
        self.assertEqual(options.model_names(NOTHING, NOTHING, "none"), ())
        self.assertEqual(options.model_names(NOTHING, NOTHING, "inherit"), "inherit")
        for text in ("", "a,,b", "gpt:cloud", "a b"):
            self.assertRaises(click.BadParameter, options.model_names, NOTHING, NOTHING, text)


class ConfirmTests(SynchronousTestCase):
    def test_yes_asks_nobody(self) -> None:
        """`--yes` is the answer."""
        self.patch(click, "confirm", self.fail)
        options.confirm("Really?", yes=True)

    def test_without_a_terminal_it_is_refused(self) -> None:
        """A script that forgot --yes is told so."""
        self.patch(options, "sys", _Terminal(there=False))
        error = self.assertRaises(Fault, options.confirm, "Really?", yes=False)
        self.assertIn("--yes", error.message)

    def test_a_person_is_asked(self) -> None:
        """At a terminal the question goes to the standard error and a no aborts."""
        asked: list[tuple[str, dict[str, Any]]] = []
        self.patch(options, "sys", _Terminal(there=True))
        self.patch(click, "confirm", lambda question, **how: asked.append((question, how)))
        options.confirm("Really?", yes=False)
        self.assertEqual(asked, [("Really?", {"abort": True, "err": True})])


class _Terminal:
    """A `sys` whose standard input is a terminal or not."""

    def __init__(self, *, there: bool) -> None:
        self.stdin = self
        self._there = there

    def isatty(self) -> bool:
        return self._there
