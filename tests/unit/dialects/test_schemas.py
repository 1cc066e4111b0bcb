"""JSON schemas are opaque but bounded."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.schemas import (
    MAX_LEVELS,
    MAX_PROPERTIES,
    MAX_SCHEMA_BYTES,
    MAX_SUBSCHEMAS,
    MAX_VALUES,
    json_schema,
    measure,
)
from neuronetz_twisted.errors import InvalidRequest

TEXT = {"type": "string"}

KEYWORDS = ["$ref", "$defs", "a", "b", "properties", "items", "anyOf", "allOf", "type", "pattern"]


def obj(**properties: Any) -> dict[str, Any]:
    """An object with these properties."""
    return {"type": "object", "properties": properties}


def chain(length: int, **last: Any) -> dict[str, Any]:
    """Definitions each of which leads to the next one."""
    defs: dict[str, Any] = {
        f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{length}": last}}


def deep(levels: int, inside: dict[str, Any]) -> dict[str, Any]:
    """A schema at the bottom of lists within lists."""
    for _ in range(levels):
        inside = {"items": inside}
    return inside


def only_defs(schema: dict[str, Any]) -> dict[str, Any]:
    """The definitions of a schema."""
    return {"$defs": schema["$defs"]}


def wide(levels: int, times: int, keyword: str) -> dict[str, Any]:
    """Definitions each of which has the next one `times` times in a list."""
    defs: dict[str, Any] = {
        f"d{number}": {keyword: [{"$ref": f"#/$defs/d{number + 1}"}] * times}
        for number in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": TEXT}}


ORDINARY: tuple[dict[str, Any], ...] = (
    {},
    TEXT,
    obj(),
    obj(name=TEXT, age={"type": "integer", "minimum": 0, "maximum": 150}),
    {**obj(name=TEXT), "required": ["name"], "additionalProperties": False},
    obj(tags={"type": "array", "items": TEXT, "maxItems": 2000, "minItems": 1.0}),
    obj(code={"type": "string", "pattern": "^[A-Z]{3}$", "minLength": 3, "maxLength": 3}),
    obj(pattern=TEXT, maxLength={"type": "integer"}, **{"$ref": TEXT}),
    {"type": "array", "prefixItems": [TEXT, {"type": "null"}], "items": False},
    {"anyOf": [TEXT, {"type": ["number", "null"]}, {"enum": ["a", 1, None, {"$ref": "x"}]}]},
    {"$defs": {"a": obj(x=TEXT)}, **obj(a={"$ref": "#/$defs/a"}, b={"$ref": "#/$defs/a"})},
    {"allOf": [{"$ref": "#/definitions/a"}, TEXT], "definitions": {"a": TEXT}},
    {"oneOf": [TEXT, {"not": TEXT}], "$ref": "#/oneOf/1"},
    {"default": {"pattern": "]", "maxLength": 10**9}, "const": {"$ref": "#/const"}},
    {"$defs": {"unused": {"$ref": "#/$defs/unused"}}},
    chain(MAX_LEVELS // 2 - 1, type="string"),
    {"anyOf": [{"enum": list(range(1000))}] * 4},
    obj(**{f"p{number}": True for number in range(MAX_PROPERTIES)}),
    {"anyOf": [obj(**{f"p{number}": TEXT for number in range(200)})] * 2},
)

LOOSE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("pattern", {"type": "string", "pattern": "a"}),
    ("pattern", obj(a={"pattern": "^]$"})),
    ("pattern", {"items": {"pattern": 1}}),
    ("PATTERN", {"PROPERTIES": {"a": {"ITEMS": {"PATTERN": "^+$"}}}}),
    ("pattern", {"$defs": {"a": {"pattern": "^($"}}, "anyOf": [{"$ref": "#/$defs/a"}]}),
    ("pattern", {"prefixItems": [TEXT, {"if": {"then": {"pattern": "^\\d$"}}}]}),
    ("pattern", {"patternProperties": {"x": {"pattern": "("}}}),
    ("maxLength", {"maxLength": 2001}),
    ("minLength", {"minLength": -1}),
    ("maxItems", {"maxItems": 1e9}),
    ("minItems", {"minItems": "3"}),
    ("maxItems", {"maxItems": True}),
)

REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bytes", {"description": "x" * MAX_SCHEMA_BYTES}),
    ("values", {"enum": [0] * MAX_VALUES}),
    ("back to itself", {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}),
    (
        "back to itself",
        obj(
            a={"$ref": "#/properties/b"},
            b={"items": {"$ref": "#/properties/c"}},
            c={"allOf": [{"$ref": "#/properties/a"}]},
        ),
    ),
    ("begin with #/", {"properties": {"child": {"$ref": "#"}}}),
    ("begin with #/", {"$ref": "https://example.com/schema.json"}),
    ("begin with #/", {"$ref": "other.json#/a"}),
    ("begin with #/", {"$ref": {"a": 1}}),
    ("begin with #/", {"$REF": "http://127.0.0.1/"}),
    ("is long", {"$ref": "#/" + "a" * 300}),
    ("no schema", {"$ref": "#/$defs/a"}),
    ("no schema", {"$ref": "#/anyOf/7", "anyOf": [TEXT]}),
    ("no schema", {"$ref": "#/anyOf/x", "anyOf": [TEXT]}),
    ("no schema", {"$ref": "#/anyOf/99999999999999999999", "anyOf": [TEXT]}),
    ("no schema", {"$ref": "#/type", "type": "object"}),
    ("deeper", chain(MAX_LEVELS, type="string")),
    ("deeper", chain(2000)),
    ("deeper", {"anyOf": [chain(10)], **deep(24, {"$ref": "#/$defs/d0"}), **only_defs(chain(10))}),
    ("schemas", wide(8, 8, "anyOf")),
    ("schemas", wide(8, 8, "prefixItems")),
    ("schemas", {"type": ["object"] * 200, "properties": {"a": {"type": ["object"] * 200}}}),
    ("properties", obj(**{f"p{number}": True for number in range(MAX_PROPERTIES + 1)})),
    ("properties", {"allOf": [obj(**{f"p{number}": TEXT for number in range(200)})] * 2}),
    (
        "properties",
        {
            "allOf": [{"$ref": "#/$defs/a"}, {"anyOf": [{"$ref": "#/$defs/a"}]}],
            "$defs": {"a": obj(**{f"p{number}": TEXT for number in range(200)})},
        },
    ),
    ("characters", obj(**{"x" * 257: TEXT})),
)


class MeasureTests(SynchronousTestCase):
    def test_ordinary(self) -> None:
        """What clients send is within all bounds, and is what goes on."""
        for schema in ORDINARY:
            with self.subTest(schema=str(schema)[:200]):
                self.assertEqual(measure(schema, "format").loose_ends, ())
                self.assertIs(json_schema(schema, "format"), schema)

    def test_measures(self) -> None:
        """Bytes as JSON; references written out, types each for itself."""
        schema = {"$defs": {"a": obj(x=TEXT)}, **obj(a={"$ref": "#/$defs/a"}, b={"type": [1, 2]})}
        measured = measure(schema, "format")
        self.assertEqual(measured.size, len(orjson.dumps(schema)))
        # Itself, the reference, what it leads to with its property, and b twice.
        self.assertEqual(measured.subschemas, 1 + 1 + 2 + 2)

    def test_loose_ends(self) -> None:
        """What a grammar cannot keep is found wherever it is a keyword, and refused in a format."""
        for keyword, schema in LOOSE:
            with self.subTest(schema=schema):
                found = measure(schema, "parameters").loose_ends
                self.assertEqual({loose.keyword for loose in found}, {keyword})
                self.assertTrue(all(keyword in loose.schema for loose in found))
                with self.assertRaises(InvalidRequest) as caught:
                    json_schema(schema, "format")
                self.assertIn(keyword, caught.exception.message)
                self.assertEqual(caught.exception.param, "format")

    def test_refused(self) -> None:
        """Too large, or with a reference that cannot be followed; the message says which."""
        for word, schema in REFUSED:
            with self.subTest(schema=str(schema)[:200]):
                with self.assertRaises(InvalidRequest) as caught:
                    measure(schema, "format")
                self.assertIn(word, caught.exception.message)
                self.assertEqual(caught.exception.param, "format")

    def test_not_an_object(self) -> None:
        """A schema of `true` is none that Ollama takes."""
        values: tuple[Any, ...] = (True, [], "object", 1)
        for value in values:
            with self.subTest(value=value), self.assertRaises(InvalidRequest):
                json_schema(value, "format")

    @settings(deadline=None)
    @given(
        st.recursive(
            st.sampled_from(["#/$defs/a", "#/$defs/b", "#/properties/a", "^a+$", 1, None, True]),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "$ref",
                            "$defs",
                            "a",
                            "b",
                            "properties",
                            "items",
                            "anyOf",
                            "allOf",
                            "type",
                            "pattern",
                            "maxItems",
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=30,
        )
    )
    def test_anything(self, value: Any) -> None:
        """Of whatever comes a schema is made or a refusal, and its measure is within the bounds."""
        schema = {"$defs": {"a": value, "b": value}, "items": value, "$ref": "#/$defs/a"}
        try:
            measured = measure(schema, "format")
        except InvalidRequest:
            return
        self.assertLessEqual(measured.subschemas, MAX_SUBSCHEMAS)
