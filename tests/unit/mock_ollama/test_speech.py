"""What a model says, without any I/O."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.directives import Directive
from mock_ollama.speech import answer_tokens, count_tokens, until_stop


class TokenTests(SynchronousTestCase):
    def test_count_follows_the_text(self) -> None:
        """A token is four bytes begun, whatever the script."""
        self.assertEqual([count_tokens(text) for text in ("", "a", "abcd", "abcde")], [0, 1, 1, 2])
        self.assertEqual(count_tokens("\u4f60\u597d"), 2)

    def test_default_answer(self) -> None:
        """Without a directive the answer is some forty tokens that echo the prompt, each time."""
        tokens = list(answer_tokens(["be kind", "good morning [[x]] to you"], Directive()))
        self.assertEqual(tokens, list(answer_tokens(["good morning to you"], Directive())))
        self.assertTrue(30 <= len(tokens) <= 50)
        self.assertTrue("".join(tokens).startswith("You said: good morning to you. "))

    def test_exact_number(self) -> None:
        """`n` tokens are n tokens, also when the answer has to begin again."""
        for number in (0, 1, 200):
            with self.subTest(number=number):
                directive = Directive(tokens=number)
                self.assertEqual(len(list(answer_tokens(["hi"], directive))), number)
        text = "".join(answer_tokens(["hi"], Directive(tokens=200)))
        self.assertIn("at a time. You said:", text)

    def test_exact_size(self) -> None:
        """`size` is the length of every token's text, and tokens can be told apart."""
        tokens = list(answer_tokens(["hi"], Directive(tokens=3, size=10)))
        self.assertEqual(tokens, ["0 xxxxxxxx", "1 xxxxxxxx", "2 xxxxxxxx"])


class StopTests(SynchronousTestCase):
    def test_cut_before_stop(self) -> None:
        """The text ends before the first stop text, also where that spans tokens."""
        self.assertEqual(list(until_stop(["ab", "cd", "ef"], ("dx", "de"))), ["ab", "c"])

    def test_held_text_is_not_lost(self) -> None:
        """What only looked like a stop text is passed on in the end."""
        self.assertEqual(list(until_stop(["ab", "cd"], ("de",))), ["ab", "cd"])
        self.assertEqual(list(until_stop(["ab", "cd", "x"], ("de",))), ["ab", "cdx"])

    @given(
        st.lists(st.text(alphabet="ab", max_size=3), max_size=12),
        st.lists(st.text(alphabet="ab", min_size=1, max_size=3), max_size=3),
    )
    def test_same_as_on_the_whole_text(self, tokens: list[str], stops: list[str]) -> None:
        """Stopping token by token never lets a stop text through and only cuts at one."""
        whole, sent = "".join(tokens), "".join(until_stop(tokens, tuple(stops)))
        self.assertTrue(whole.startswith(sent))
        self.assertFalse([stop for stop in stops if stop in sent])
        if sent != whole:
            self.assertTrue(any(whole[len(sent) :].startswith(stop) for stop in stops))
