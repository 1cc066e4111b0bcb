import contextlib
import io
import json
from datetime import UTC, datetime, timedelta, timezone

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.output import (
    Columns,
    Fault,
    Record,
    moment,
    note,
    printable,
    show_all,
    show_one,
)

COLUMNS: Columns = {"name": lambda record: record["name"], "all": lambda record: record["all"]}


def table(records: list[Record], *, as_json: bool = False) -> str:
    """What is printed for a list."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        show_all(records, COLUMNS, as_json=as_json)
    return out.getvalue()


def properties(record: Record) -> str:
    """What is printed for one record."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        show_one(record, as_json=False)
    return out.getvalue()


class ShowTests(SynchronousTestCase):
    def test_json_is_one_line(self) -> None:
        """A program reads one line with all records."""
        text = table([{"name": "a", "all": None}], as_json=True)
        self.assertEqual(text.count("\n"), 1)
        self.assertEqual(json.loads(text), [{"name": "a", "all": None}])

    def test_a_row_in_a_pipe_is_one_line(self) -> None:
        """Without a terminal nothing is wrapped or cut, however long it is."""
        name = "n" * 500
        self.assertIn(name, table([{"name": name, "all": True}]))

    def test_values_in_words(self) -> None:
        """Nothing, yes, no and lists are told as words."""
        text = properties({"a_b": None, "c": True, "d": False, "e": [], "f": ["x", "y"], "g": 0})
        rows = [line.split() for line in text.splitlines() if line.strip()]
        self.assertEqual(
            rows,
            [
                ["a", "b", "-"],
                ["c", "yes"],
                ["d", "no"],
                ["e", "none"],
                ["f", "x,", "y"],
                ["g", "0"],
            ],
        )

    def test_values_are_text(self) -> None:
        """Markup is not obeyed, and control characters do not reach a terminal."""
        text = properties({"name": "[red]x[/red]\x1b[2J\n"})
        self.assertIn("[red]x[/red]?[2J?", text)
        self.assertNotIn("\x1b", text)


class MomentTests(SynchronousTestCase):
    def test_times_are_utc_in_seconds(self) -> None:
        """Another zone is converted; no time is no text."""
        zone = timezone(timedelta(hours=2))
        self.assertEqual(
            moment(datetime(2027, 1, 31, 1, 0, 0, 5, tzinfo=zone)), "2027-01-30T23:00:00Z"
        )
        self.assertEqual(moment(datetime(2027, 1, 31, tzinfo=UTC)), "2027-01-31T00:00:00Z")
        self.assertIsNone(moment(None))


class ErrorTests(SynchronousTestCase):
    def test_a_fault_is_one_line(self) -> None:
        """Whatever a fault holds, it is one printable line with the program's name."""
        out = io.StringIO()
        Fault("first\nsecond\x1b").show(out)
        self.assertEqual(out.getvalue(), "neuronetz-gateway: first second?\n")

    def test_notes_go_to_the_standard_error(self) -> None:
        """What is said beside the result does not disturb who reads the result."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            note("by the way")
        self.assertEqual((out.getvalue(), err.getvalue()), ("", "by the way\n"))

    def test_printable(self) -> None:
        """Letters of any script stay, what steers a terminal goes."""
        self.assertEqual(printable("Größe\x07\x9b"), "Größe??")
