"""The directives inside a prompt."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.directives import (
    Directive,
    DirectiveError,
    Fault,
    FaultKind,
    Grouping,
    find_directive,
    read_directive,
    without_directives,
)


class DirectiveTests(SynchronousTestCase):
    def test_all_keys(self) -> None:
        """Every key is read, in any order, with its unit."""
        found = find_directive(["say [[wait=1.5s size=100 delay=20ms n=200]] please"])
        self.assertEqual(found, Directive(tokens=200, delay=0.02, size=100, wait=1.5))

    def test_faults(self) -> None:
        """Each fault is read with its frame count or status."""
        faults = {
            "reset@5": Fault(FaultKind.RESET, after=5),
            "hang@0": Fault(FaultKind.HANG, after=0),
            "nofinal": Fault(FaultKind.NOFINAL),
            "error@5": Fault(FaultKind.ERROR, after=5),
            "garbage@5": Fault(FaultKind.GARBAGE, after=5),
            "nocounts": Fault(FaultKind.NOCOUNTS),
            "status:503": Fault(FaultKind.STATUS, status=503),
        }
        for text, fault in faults.items():
            with self.subTest(fault=text):
                self.assertEqual(find_directive([f"[[fault={text}]]"]), Directive(fault=fault))

    def test_combined(self) -> None:
        """A fault goes together with the other keys."""
        found = find_directive(["[[n=50 delay=5ms fault=reset@5]]"])
        fault = Fault(FaultKind.RESET, after=5)
        self.assertEqual(found, Directive(tokens=50, delay=0.005, fault=fault))

    def test_tools_and_thinking(self) -> None:
        """Tools to call may be named or numbered, in frames as told."""
        found = find_directive(["[[tool=a tool=b tools=2 calls=apart think=3]]"])
        expected = Directive(tools=("a", "b"), calls=2, grouping=Grouping.APART, thoughts=3)
        self.assertEqual(found, expected)

    def test_alone(self) -> None:
        """A directive outside of a prompt needs no brackets, and a prompt's own goes before it."""
        default = read_directive("n=3 fault=nofinal")
        self.assertEqual(default, Directive(tokens=3, fault=Fault(FaultKind.NOFINAL)))
        self.assertEqual(read_directive(""), Directive())
        self.assertRaises(DirectiveError, read_directive, "fault=nothing")
        self.assertEqual(find_directive(["x"], default), default)
        self.assertEqual(find_directive(["[[n=4]]"], default), Directive(tokens=4))

    def test_last_wins(self) -> None:
        """The last directive of the last text counts, and it replaces the others whole."""
        found = find_directive(["[[n=1 delay=1s]] [[n=2]]", "[[n=3]]", "no directive"])
        self.assertEqual(found, Directive(tokens=3))

    def test_ordinary_brackets(self) -> None:
        """Double brackets that name no key are ordinary text."""
        for text in ("[[ -f x ]]", "[[Main Page]]", "[[a=1]]", "[[", "[[]]", "[n=3]", "[[n]]"):
            with self.subTest(text=text):
                self.assertEqual(find_directive([text]), Directive())

    def test_mistakes(self) -> None:
        """A directive with a known key and a mistake is an error, not the default behaviour."""
        for text in (
            "n=x",
            "n=-1",
            "n=99999999999",
            "n=3 dealy=5ms",
            "n=1 n=2",
            "n=1 again",
            "delay=5",
            "delay=9999s",
            "delay=ms",
            "size=9999999",
            "fault=boom",
            "fault=reset@",
            "fault=reset@x",
            "fault=status",
            "fault=status@5",
            "fault=status:200",
            "fault=nofinal@5",
            "calls=both",
            "tools=x",
            "think=x",
        ):
            with self.subTest(text=text):
                self.assertRaises(DirectiveError, find_directive, [f"[[{text}]]"])

    def test_removed_from_text(self) -> None:
        """The text without directives is what a person would have written."""
        self.assertEqual(without_directives("hello [[n=5]]"), "hello")

    @given(st.lists(st.text(alphabet="[]n=delayfut 05ms@:x", max_size=60), max_size=4))
    def test_any_text(self, texts: list[str]) -> None:
        """No text does anything but give a directive or a directive error."""
        try:
            found = find_directive(texts)
        except DirectiveError:
            return
        self.assertIsInstance(found, Directive)
