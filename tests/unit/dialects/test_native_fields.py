"""What holds for every field of every table of Ollama's own routes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.fields import apply
from neuronetz_twisted.dialects.native_fields import TABLES
from neuronetz_twisted.dialects.tools import TABLES as TOOL_TABLES
from neuronetz_twisted.errors import InvalidRequest

EACH = (*TABLES, *TOOL_TABLES)
ANYTHING: tuple[Any, ...] = (0, -1, 1.5, 1e308, True, "", "x", [], ["x"], [1], {}, {"a": []})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


class EveryFieldTests(SynchronousTestCase):
    def test_null_is_absent(self) -> None:
        """Null is absent everywhere, and is named nowhere."""
        for title, table in EACH:
            for name in table.folded.values():
                with self.subTest(title, field=name):
                    ignored: list[str] = []
                    self.assertEqual(apply(table, {name: None}, ignored), {})
                    self.assertEqual(ignored, [])

    def test_twins(self) -> None:
        """Another case of a field is refused, be it taken, refused or dropped."""
        for title, table in EACH:
            for name in table.folded.values():
                for twin in (name.upper(), name.title(), name.replace("k", "\N{KELVIN SIGN}")):
                    if twin == name:
                        continue
                    with self.subTest(title, twin=twin):
                        with self.assertRaises(InvalidRequest) as caught:
                            apply(table, {twin: None}, [])
                        self.assertEqual(caught.exception.param, name)

    def test_dropped(self) -> None:
        """Of what is dropped the value is not looked at."""
        for title, table in EACH:
            for name in (*table.dropped, "nobody_knows"):
                for value in ANYTHING:
                    with self.subTest(title, field=name, value=value):
                        ignored: list[str] = []
                        self.assertEqual(apply(table, {name: value}, ignored), {})
                        self.assertEqual(ignored, [name])

    def test_refused(self) -> None:
        """Of what is refused only the neutral value passes, as nothing."""
        for title, table in EACH:
            for name, neutral in table.refused.items():
                for value in ANYTHING:
                    if any(type(value) is type(word) and value == word for word in neutral):
                        self.assertEqual(apply(table, {name: value}, []), {})
                        continue
                    with self.subTest(title, field=name, value=value):
                        self.assertRaises(InvalidRequest, apply, table, {name: value}, [])

    def test_says(self) -> None:
        """Each field says what it takes and what becomes of it."""
        for title, table in EACH:
            for name, check in table.taken.items():
                with self.subTest(title, field=name):
                    self.assertTrue(check.says)
                    self.assertTrue(check.then)

    @settings(deadline=None)
    @given(st.sampled_from(EACH), st.data())
    def test_anything(self, entry: Any, data: st.DataObject) -> None:
        """A field of any value is taken or refused by its name; nothing else happens."""
        _, table = entry
        name = data.draw(st.sampled_from(sorted(table.taken)))
        value = data.draw(json_values | st.sampled_from(ANYTHING))
        try:
            clean = apply(table, {name: value}, [])
        except InvalidRequest as refusal:
            self.assertEqual(refusal.param, name)
            return
        self.assertLessEqual(set(clean), {name})
