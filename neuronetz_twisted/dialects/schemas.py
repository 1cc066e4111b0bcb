"""JSON schemas: opaque, but bounded, since the model host compiles them. Pure.

A schema becomes a grammar in the process that all tenants share (llama.cpp's
`common/json-schema-to-grammar.cpp`), which copies, recurses and expands as the schema says. What
it would have to do is measured here first, with each `$ref` and each list of types written out
(SPEC 4).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from attrs import define, field, frozen

from neuronetz_twisted.dialects.fields import check
from neuronetz_twisted.dialects.patterns import MAX_REPEATS, is_readable
from neuronetz_twisted.errors import InvalidRequest

MAX_SCHEMA_BYTES = 64 * 1024
MAX_VALUES = 4096
"""Objects, lists and plain values of one schema."""

MAX_LEVELS = 32
"""Schemas within schemas, through references too: a level is a frame on llama.cpp's stack."""

MAX_SUBSCHEMAS = 10_000
"""With all that is referenced written out at each place, and once for each type of a list."""

MAX_PROPERTIES = 256
"""Of one object: the work for the optional ones grows with their number's third power."""

MAX_NAME = 256
"""Characters of a property's name or a reference: some are read by recursion."""

_INDEX = re.compile(r"[0-9]{1,4}")
_TOO_DEEP = f"schemas nested deeper than {MAX_LEVELS}"
_MAPS = frozenset({"properties", "patternproperties", "dependentschemas"})
_LISTS = frozenset({"allof", "anyof", "oneof", "prefixitems", "items"})
_SINGLE = frozenset(
    {
        "items",
        "additionalproperties",
        "additionalitems",
        "unevaluateditems",
        "unevaluatedproperties",
        "propertynames",
        "contains",
        "not",
        "if",
        "then",
        "else",
    }
)
_REPEATS = frozenset({"minlength", "maxlength", "minitems", "maxitems"})


@frozen
class LooseEnd:
    """A keyword of a schema that a grammar cannot keep, or that would take too much."""

    schema: dict[str, Any]
    keyword: str


@frozen
class Measured:
    """What a schema asks of the model host.

    `size` is in bytes of JSON, `subschemas` what it comes to with everything written out.
    """

    size: int
    subschemas: int
    loose_ends: tuple[LooseEnd, ...]


def measure(schema: Mapping[str, Any], name: str) -> Measured:
    """Measure a schema that came out of a body, which is bounded in depth.

    Raises `InvalidRequest` for one that is too large, and for a `$ref` that leads out of it, to
    nothing or back to itself.
    """
    size = len(orjson.dumps(schema))
    if size > MAX_SCHEMA_BYTES:
        raise InvalidRequest(f"{name} has more than {MAX_SCHEMA_BYTES} bytes", param=name)
    if _values_in(schema) > MAX_VALUES:
        raise InvalidRequest(f"{name} has more than {MAX_VALUES} values", param=name)
    reading = _Reading(schema, name)
    extent = reading.of(schema, 1)
    return Measured(size, extent.subschemas, tuple(reading.loose_ends))


@check(
    f"JSON schema: at most {MAX_SCHEMA_BYTES} bytes, {MAX_VALUES} values, {MAX_LEVELS} levels, "
    f"{MAX_SUBSCHEMAS} schemas with references written out, {MAX_PROPERTIES} properties of one "
    f"object, {MAX_REPEATS} repeats"
)
def json_schema(value: Any, name: str) -> dict[str, Any]:
    """A schema for the whole answer; what a grammar cannot keep of it is refused, not loosened."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} must be an object", param=name)
    for loose in measure(value, name).loose_ends:
        raise InvalidRequest(f"{name} has a {loose.keyword} that is not supported", param=name)
    return value


@frozen
class _Extent:
    """`properties` are those that a schema would add to another one that has it in `allOf`."""

    subschemas: int = 1
    levels: int = 1
    properties: int = 0


@define
class _Reading:
    """One schema as it is read, each reference of it once.

    Keywords are taken without regard to case: Go would read them so in a tool's parameters.
    """

    _root: Mapping[str, Any]
    _name: str
    loose_ends: list[LooseEnd] = field(factory=list, init=False)
    _targets: dict[str, _Extent] = field(factory=dict, init=False)
    _open: set[str] = field(factory=set, init=False)

    def of(self, schema: Any, level: int) -> _Extent:
        """What a schema comes to; `level` is its own depth."""
        if level > MAX_LEVELS:
            raise self._refusal(_TOO_DEEP)
        if not isinstance(schema, dict):
            return _Extent()
        found: dict[str, list[_Extent]] = defaultdict(list)
        types = 1
        for keyword, value in schema.items():
            folded = keyword.casefold()
            found[folded].extend(self._inner(folded, value, level + 1))
            if _is_loose(folded, value):
                self.loose_ends.append(LooseEnd(schema, keyword))
            elif folded == "type" and isinstance(value, list):
                types = max(1, len(value))
        own = len(found["properties"]) + _properties(found["allof"]) + _properties(found["$ref"])
        if own > MAX_PROPERTIES:
            raise self._refusal(f"an object of more than {MAX_PROPERTIES} properties")
        inner = [extent for extents in found.values() for extent in extents]
        extent = _Extent(
            subschemas=types * (1 + sum(extent.subschemas for extent in inner)),
            levels=1 + max((extent.levels for extent in inner), default=0),
            properties=own + _properties(found["anyof"]),
        )
        self._check(extent, level)
        return extent

    def _inner(self, folded: str, value: Any, level: int) -> Iterator[_Extent]:
        """The extents of the schemas in one keyword's value."""
        if folded == "$ref":
            yield self._target(value, level)
        elif folded in _MAPS and isinstance(value, dict):
            for name, inner in value.items():
                if len(name) > MAX_NAME:
                    raise self._refusal(f"a name of more than {MAX_NAME} characters")
                yield self.of(inner, level)
        elif folded in _LISTS and isinstance(value, list):
            for inner in value:
                yield self.of(inner, level)
        elif folded in _SINGLE:
            yield self.of(value, level)

    def _target(self, ref: Any, level: int) -> _Extent:
        """What a reference leads to."""
        if not isinstance(ref, str) or not ref.startswith("#/") or len(ref) > MAX_NAME:
            raise self._refusal("a $ref that does not begin with #/, or is long")
        if ref in self._open:
            raise self._refusal("a $ref that leads back to itself")
        if ref not in self._targets:
            self._open.add(ref)
            self._targets[ref] = self.of(self._look_up(ref), level)
            self._open.discard(ref)
        extent = self._targets[ref]
        self._check(extent, level)
        return extent

    def _look_up(self, ref: str) -> Any:
        target: Any = self._root
        for step in ref.split("/")[1:]:
            if isinstance(target, dict) and step in target:
                target = target[step]
            elif isinstance(target, list) and _INDEX.fullmatch(step):
                target = dict(enumerate(target)).get(int(step))
            else:
                target = None
        if not isinstance(target, dict):
            raise self._refusal("a $ref that leads to no schema in it")
        return target

    def _check(self, extent: _Extent, level: int) -> None:
        if level + extent.levels - 1 > MAX_LEVELS:
            raise self._refusal(_TOO_DEEP)
        if extent.subschemas > MAX_SUBSCHEMAS:
            raise self._refusal(f"more than {MAX_SUBSCHEMAS} schemas, with references written out")

    def _refusal(self, what: str) -> InvalidRequest:
        return InvalidRequest(f"{self._name} has {what}", param=self._name)


def _is_loose(folded: str, value: Any) -> bool:
    if folded == "pattern":
        return not (isinstance(value, str) and is_readable(value))
    if folded in _REPEATS:
        return type(value) not in (int, float) or not 0 <= value <= MAX_REPEATS
    return False


def _properties(extents: Iterable[_Extent]) -> int:
    return sum(extent.properties for extent in extents)


def _values_in(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_values_in, value.values()))
    return 1 + sum(map(_values_in, value)) if isinstance(value, list) else 1
