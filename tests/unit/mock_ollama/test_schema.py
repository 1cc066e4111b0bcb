"""Values that satisfy a schema."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.schema import MAX_DEPTH, instance

NODE = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}


class InstanceTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each keyword that the twin knows, alone."""
        text = {"type": "string"}
        for schema, value in (
            ({}, None),
            (True, None),
            ({"const": [1]}, [1]),
            ({"enum": ["b", "a"]}, "b"),
            (text, "text"),
            (text | {"minLength": 6}, "textxx"),
            (text | {"maxLength": 2}, "te"),
            (text | {"format": "date"}, "2026-08-01"),
            ({"type": "boolean"}, True),
            ({"type": "null"}, None),
            ({"type": []}, None),
            ({"type": ["integer", "null"]}, 0),
            ({"type": "integer", "minimum": 3}, 3),
            ({"type": "integer", "exclusiveMinimum": 3}, 4),
            ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
            ({"type": "integer", "maximum": -3}, -3),
            ({"type": "number", "maximum": -3.5}, -3.5),
            ({"type": "integer", "exclusiveMaximum": 0}, -1),
            ({"type": "array"}, []),
            ({"items": text, "minItems": 2}, ["text", "text"]),
            ({"prefixItems": [text], "items": {"type": "integer"}, "type": "array"}, ["text"]),
            ({"type": "object"}, {}),
            ({"properties": {"a": text, "b": {"type": "integer"}}}, {"a": "text", "b": 0}),
            ({"properties": {"a": text, "b": {}}, "required": ["a"]}, {"a": "text"}),
            ({"required": ["z"]}, {"z": None}),
            ({"anyOf": [text, {"type": "null"}]}, "text"),
            ({"oneOf": [{"const": 1}]}, 1),
            ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 5}}}, 5),
            ({"$ref": "#/nothing"}, None),
            ({"$ref": "#/const/x", "const": 1}, None),
            (
                {"allOf": [{"properties": {"a": text}, "required": ["a"]}, {"required": ["b"],
                 "properties": {"b": {"const": 1}}, "type": "object"}]},
                {"a": "text", "b": 1},
            ),
            ({"allOf": [{"type": "string"}]}, "text"),
            ({"type": "integer", "minimum": "x", "maximum": True}, 0),
            ({"enum": 1, "anyOf": {}, "allOf": 2, "type": "object", "properties": 3}, {}),
            ({"anyOf": [1], "type": "array", "minItems": "x", "prefixItems": 5}, []),
            ({"required": [1, "a"], "properties": {"a": 5}}, {"a": None}),
        ):  # fmt: skip
            with self.subTest(schema=schema):
                self.assertEqual(instance(schema), value)

    def test_endless(self) -> None:
        """A schema that contains itself ends in null, one that is only itself is null."""
        value, depth = instance(NODE), 0
        while value is not None:
            value, depth = value["next"], depth + 1
        self.assertEqual(depth, MAX_DEPTH + 1)
        self.assertIsNone(instance({"$ref": "#"}))

    @given(
        st.recursive(
            st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "boolean"])}),
            lambda inner: (
                st.fixed_dictionaries({"type": st.just("array"), "items": inner})
                | st.dictionaries(st.text(max_size=3), inner).map(
                    lambda parts: {"type": "object", "properties": parts, "required": list(parts)}
                )
            ),
        )
    )
    def test_has_the_type(self, schema: dict[str, Any]) -> None:
        """The value has the type that the schema names."""
        types = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
        self.assertIsInstance(instance(schema), types[schema["type"]])
