"""A small value that satisfies a JSON schema, the same one each time."""

from collections.abc import Mapping
from math import ceil
from typing import Any

MAX_DEPTH = 24
MAX_LENGTH = 10_000

_FORMATS = {
    "date-time": "2026-08-01T12:00:00Z",
    "date": "2026-08-01",
    "time": "12:00:00Z",
    "email": "mock@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


def instance(schema: Any) -> Any:
    """Give a value for a schema: required properties only, the first choice, the least number.

    A schema without properties that are required gives all of them. References are followed
    within the schema; what nests without end ends in null.
    """
    return _Maker(schema).make(schema, 0)


class _Maker:
    def __init__(self, root: Any) -> None:
        self._root = root

    def make(self, schema: Any, depth: int) -> Any:
        """Give a value for a part of the schema."""
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
            return None
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        for first in _list(schema, "enum")[:1]:
            return first
        for choice in ("anyOf", "oneOf"):
            for first in _list(schema, choice)[:1]:
                rest = {key: value for key, value in schema.items() if key != choice}
                return self.make({**rest, **_mapping(first)}, depth + 1)
        return self._of_type(_type(schema), schema, depth)

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Give the schema with what it refers to and what it joins."""
        reference = schema.get("$ref")
        if isinstance(reference, str) and depth <= MAX_DEPTH:
            return self._resolved(self._target(reference), depth + 1)
        joined: dict[str, Any] = {}
        for part in _list(schema, "allOf"):
            resolved = self._resolved(_mapping(part), depth + 1)
            both = {**_mapping(joined.get("properties")), **_mapping(resolved.get("properties"))}
            needed = [*_list(joined, "required"), *_list(resolved, "required")]
            joined |= resolved
            joined |= {"properties": both, "required": needed} if both else {}
        return {**joined, **schema} if joined else schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        found = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return _mapping(found)

    def _of_type(self, kind: str, schema: Mapping[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
            case _:
                return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = _mapping(schema.get("properties"))
        named = [name for name in _list(schema, "required") if isinstance(name, str)]
        names = named or list(properties)
        return {name: self.make(properties.get(name, {}), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = [self.make(part, depth + 1) for part in _list(schema, "prefixItems")]
        missing = _count(schema, "minItems", MAX_LENGTH) - len(first)
        return first + [self.make(schema.get("items", {}), depth + 1) for _ in range(missing)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = named[0] if named else None
    if isinstance(named, str) and named:
        return named
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "null"


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "text")
    longer = text.ljust(_count(schema, "minLength", MAX_LENGTH), "x")
    longest = _figure(schema, "maxLength")
    return longer if longest is None else longer[: max(int(longest), 0)]


def _number(schema: Mapping[str, Any]) -> float:
    """Give the least number that is not below zero, or else the largest."""
    step = _figure(schema, "multipleOf") or 1
    least, above = _figure(schema, "minimum"), _figure(schema, "exclusiveMinimum")
    most, below = _figure(schema, "maximum"), _figure(schema, "exclusiveMaximum")
    number = ceil((least if least is not None else above or 0) / step) * step
    if number == above:
        number += step
    if most is not None and number > most:
        return most
    return below - step if below is not None and number >= below else number


def _figure(schema: Mapping[str, Any], key: str) -> float | None:
    """Give the number that a keyword has, None where it has none."""
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(schema: Mapping[str, Any], key: str, largest: int) -> int:
    return min(max(int(_figure(schema, key) or 0), 0), largest)
