from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.estimates import (
    IMAGE_TOKENS,
    LARGEST_RATIO,
    LEAST_BYTES,
    LEAST_RATIO,
    PromptEstimates,
)


class PromptEstimatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Know nothing yet."""
        self.estimates = PromptEstimates()

    def learn(self, times: int, prompt_bytes: int, tokens: int) -> None:
        """Have a host count the same prompt a number of times."""
        for _ in range(times):
            self.estimates.learn("T", "m", prompt_bytes, tokens)

    def test_at_first(self) -> None:
        """The safe ratio, rounded up, and a constant for each image."""
        for size in (0, 1, 3, 4, 1000):
            self.assertEqual(self.estimates.of("T", "m", size), ceil(size / 3))
        self.assertEqual(self.estimates.of("T", "m", 4, images=2), 2 + 2 * IMAGE_TOKENS)

    def test_learns(self) -> None:
        """It comes near to what hosts count, and no model or tenant learns from another."""
        self.learn(300, 4000, 1000)
        self.assertLess(abs(self.estimates.ratio("T", "m") - 4.0), 0.25)
        self.learn(300, 2000, 1000)
        self.assertLess(abs(self.estimates.ratio("T", "m") - 2.0), 0.15)
        self.assertEqual(self.estimates.ratio("T", "n"), 3)
        self.assertEqual(self.estimates.ratio("U", "m"), 3)

    def test_stays_low(self) -> None:
        """Where texts differ it follows the dense ones: most estimates are not short."""
        for turn in range(2000):
            self.estimates.learn("T", "m", 1000, 500 if turn % 5 == 0 else 250)
        self.assertLess(self.estimates.ratio("T", "m"), 2.3)

    def test_a_lie_is_worth_no_more(self) -> None:
        """One count moves it by a small step, whatever it says."""
        self.learn(300, 4000, 1000)
        before = self.estimates.ratio("T", "m")
        self.learn(1, 1_000_000, 1)
        self.assertLess(self.estimates.ratio("T", "m"), before * 1.01)
        self.learn(1, 1000, 10_000_000)
        self.assertGreater(self.estimates.ratio("T", "m"), before * 0.95)

    def test_bounds(self) -> None:
        """A host that only lies moves it to a bound and not beyond."""
        self.learn(1000, 1_000_000, 1)
        self.assertEqual(self.estimates.ratio("T", "m"), LARGEST_RATIO)
        self.learn(1000, 1000, 10_000_000)
        self.assertEqual(self.estimates.ratio("T", "m"), LEAST_RATIO)
        self.assertEqual(self.estimates.of("T", "m", 500), 500)

    def test_what_teaches_nothing(self) -> None:
        """Short prompts, those with images, and counts of nothing."""
        self.estimates.learn("T", "m", LEAST_BYTES - 1, 200)
        self.estimates.learn("T", "m", 1000, 900, images=1)
        self.estimates.learn("T", "m", 1000, 0)
        self.assertEqual(self.estimates.ratio("T", "m"), 3)

    def test_bounded(self) -> None:
        """The model that is longest out of use is forgotten."""
        self.estimates = PromptEstimates(capacity=2)
        for model in ("a", "b", "a", "c"):
            self.estimates.learn("T", model, 1000, 900)
        self.assertLess(self.estimates.ratio("T", "a"), 3)
        self.assertEqual(self.estimates.ratio("T", "b"), 3)
        self.assertLess(self.estimates.ratio("T", "c"), 3)

    @given(
        st.lists(st.tuples(st.integers(0, 10**7), st.integers(-5, 10**7)), max_size=50),
        st.integers(0, 10**7),
    )
    def test_any_counts(self, counts: list[tuple[int, int]], size: int) -> None:
        """Whatever is learnt, an estimate is a whole number between two bounds."""
        estimates = PromptEstimates()
        for prompt_bytes, tokens in counts:
            estimates.learn("T", "m", prompt_bytes, tokens)
        estimate = estimates.of("T", "m", size)
        self.assertIsInstance(estimate, int)
        self.assertLessEqual(size / LARGEST_RATIO, estimate)
        self.assertLessEqual(estimate, size / LEAST_RATIO + 1)
