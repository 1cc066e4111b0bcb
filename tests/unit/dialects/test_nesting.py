"""How deep JSON is nested."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.nesting import is_deeper

json_values = st.recursive(
    st.none() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


def depth(value: Any) -> int:
    """The same, by recursion."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


class NestingTests(SynchronousTestCase):
    def test_levels(self) -> None:
        """A value is of no level, a list or an object of one, and what is in it of one more."""
        for value, levels in (("[[", 0), (1, 0), ([], 1), ({}, 1), ([1, {}], 2), ({"a": [[]]}, 3)):
            with self.subTest(value=value):
                self.assertFalse(is_deeper(value, levels))
                if levels:
                    self.assertTrue(is_deeper(value, levels - 1))

    @settings(deadline=None)
    @given(json_values, st.integers(0, 5))
    def test_any(self, value: Any, limit: int) -> None:
        """Whatever is nested in whatever."""
        self.assertEqual(is_deeper(value, limit), depth(value) > limit)

    def test_no_stack(self) -> None:
        """No depth is too deep to be asked for."""
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        self.assertTrue(is_deeper(value, 64))
