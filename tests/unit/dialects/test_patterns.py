"""Which regular expressions go on to the model host."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.patterns import MAX_PATTERN, is_readable

_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\(\?:|\{[^}]*\}|.", re.DOTALL)


class PatternTests(SynchronousTestCase):
    def test_readable(self) -> None:
        """What llama.cpp's grammars can say."""
        for pattern in (
            "^a$",
            "^[a-z]+$",
            "^(?:\\([0-9]{3}\\))?[0-9]{3}-[0-9]{4}$",
            "^(a|b)*$",
            "^a|b$",
            "^(a(b(c{2,})?)+)$",
            "^a{0,2000}$",
            "^a{5}b{2,}c{1,3}$",
            "^.*$",
            "^é+\\.\\$$",
            '^a"b$',
            "^[\\]\\-]$",
            "^[^\\n]*$",
            "^[(){}*+?|]$",
            "^ \n$",
            "^" + "(" * 8 + "a" + ")" * 8 + "$",
            "^" + "a" * (MAX_PATTERN - 2) + "$",
        ):
            with self.subTest(pattern=pattern):
                self.assertTrue(is_readable(pattern))

    def test_not_readable(self) -> None:
        """What is an error there, or worse: it goes round for ever or ends the process."""
        for pattern in (
            "",
            "^",
            "$",
            "^$",
            "a",
            "^a",
            "a$",
            "^a\\$",
            "^]$",
            "^}$",
            "^a]$",
            "^[]a]$",
            "^[^]a]$",
            "^[]$",
            "^[a$",
            "^+a$",
            "^{2}times$",
            "^a|*$",
            "^(*)$",
            "^(|a)$",
            "^()$",
            "^(a$",
            "^a)$",
            "^\\(a)$",
            "^(?=a)b$",
            "^(?<=x)*$",
            "^(?i)a$",
            "^a**$",
            "^a{2}{3}$",
            "^a{2,5000}$",
            "^a{2001}$",
            "^a{,2}$",
            "^a{99999999999999999999}$",
            "^a{b}$",
            "^\\d+$",
            "^[\\w]$",
            "^\\u0041$",
            "^(a)\\1$",
            "^a^b$",
            "^a$b$",
            "^" + "(" * 9 + "a" + ")" * 9 + "$",
            "^" + "a" * (MAX_PATTERN - 1) + "$",
        ):
            with self.subTest(pattern=pattern):
                self.assertFalse(is_readable(pattern))

    @settings(deadline=200)
    @given(st.text(alphabet="ab[](){}|*+?\\^$,12:", max_size=MAX_PATTERN))
    def test_quick(self, inside: str) -> None:
        """No pattern takes long, and what passes can be read from left to right without a fault."""
        if is_readable(f"^{inside}$"):
            self.assertTrue(_reads(inside), inside)


def _reads(inside: str) -> bool:
    """Go through a pattern as llama.cpp does: never a repetition of nothing, never a stray end."""
    said = [False]
    for token in _TOKEN.findall(inside):
        if token in "]}" or (token[0] in "*+?{" and not said[-1]):
            return False
        if token in ("(", "(?:"):
            said.append(False)
        elif token == ")":
            said.pop()
        if token[0] != "(":
            said[-1] = token != "|"
    return len(said) == 1
