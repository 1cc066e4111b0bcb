"""Durations as Go reads them."""

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.goduration import parse_duration
from mock_ollama.goscan import GoRefused


class DurationTests(SynchronousTestCase):
    def test_read(self) -> None:
        """Numbers with units, several of them, with signs and fractions."""
        for text, seconds in (
            ("0", 0),
            ("-0", 0),
            ("5m", 300),
            ("+1h30m", 5400),
            ("-1.5s", -1.5),
            (".5s", 0.5),
            ("1.s", 1),
            ("10ms", 0.01),
            ("3us", 3e-6),
            ("3\u00b5s4ns", 3.004e-6),
            ("0000000000000000000000000000001s", 1),
        ):
            with self.subTest(text=text):
                self.assertEqual(parse_duration(text), seconds)

    def test_refused(self) -> None:
        """Everything else is refused in Go's words."""
        for text, words in (
            ("", 'time: invalid duration ""'),
            ("-", 'time: invalid duration "-"'),
            ("s", 'time: invalid duration "s"'),
            (".s", 'time: invalid duration ".s"'),
            ("5", 'time: missing unit in duration "5"'),
            ("5x", 'time: unknown unit "x" in duration "5x"'),
            ("99999999999h", 'time: invalid duration "99999999999h"'),
            ("9" * 50 + "s", f'time: invalid duration "{"9" * 50}s"'),
        ):
            with self.subTest(text=text):
                self.assertEqual(str(self.assertRaises(GoRefused, parse_duration, text)), words)
