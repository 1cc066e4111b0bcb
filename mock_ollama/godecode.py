"""JSON put into Go's types as encoding/json does it, as far as Ollama's request types need it.

Each kind is a Go type (`gokinds.py`): `take` gives the value that a variable of it has after a JSON
value was decoded into it, `old` being the value that it had before, since Go decodes repeated keys
into the same variable: structs and maps are merged, elements of slices are used again. The result
is the JSON that Go would write for the variable, without the fields that were never set: a dict by
canonical field name for a struct, base64 for bytes, `UNSET` for nil.
"""

from typing import Any, Protocol

from attrs import define, field

from mock_ollama.goscan import GoRefused, Members, Number, go_text

MAX_ANY_DEPTH = 100

_MAX_EXACT = 2.0**53


class _Unset:
    """The value of a variable that nothing was decoded into: Go's nil, or its zero value."""


UNSET = _Unset()


@define
class Mismatch(GoRefused):
    """A JSON value that does not fit a Go type, with the way to the field."""

    value: str
    type: str
    struct: str = ""
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Give Go's words for it."""
        into = f"struct field {self.struct}.{'.'.join(self.path)} of" if self.struct else "value of"
        return f"json: cannot unmarshal {self.value} into Go {into} type {self.type}"


@define
class Unmarshal:
    """One call of Go's json.Unmarshal: where it is, and the first mismatch it went on after."""

    struct: str = ""
    path: list[str] = field(factory=list)
    saved: GoRefused | None = None

    def save(self, error: GoRefused) -> None:
        """Note an error and go on; only the first one is told."""
        if self.saved is None:
            self.saved = self.placed(error)

    def placed(self, error: GoRefused) -> GoRefused:
        """Give an error with the way from here."""
        if isinstance(error, Mismatch) and self.struct:
            error.struct, error.path = self.struct, (*self.path, *error.path)
        return error


class Kind(Protocol):
    """A Go type: its `name` in error texts, and whether null makes a variable of it nil."""

    @property
    def name(self) -> str:
        """The name of the type as Go prints it."""
        ...

    def take(self, value: Any, old: Any, call: Unmarshal) -> Any:
        """Decode a tree of goscan into a variable that has been `old`.

        Raises GoRefused where Go stops at once.
        """
        ...


def unmarshal(kind: Kind, value: Any, old: Any = UNSET) -> Any:
    """Decode a tree of goscan with one call of its own.

    Raises GoRefused in Go's words.
    """
    call = Unmarshal()
    try:
        result = kind.take(value, old, call)
    except GoRefused as error:
        raise call.placed(error) from None
    if call.saved is not None:
        raise call.saved
    return result


def plain(value: Any, call: Unmarshal, depth: int = 0) -> Any:
    """Decode into an interface: JSON as it is, the last of repeated keys, numbers as floats."""
    if isinstance(value, Number):
        return _float(value, call)
    if isinstance(value, str):
        return go_text(value)
    if depth > MAX_ANY_DEPTH and isinstance(value, list):
        return "(nested more deeply than the twin records)"
    if isinstance(value, Members):
        return {go_text(key): plain(item, call, depth + 1) for key, item in value}
    if isinstance(value, list):
        return [plain(item, call, depth + 1) for item in value]
    return value


def _float(literal: Number, call: Unmarshal) -> float | None:
    number = float(literal)
    if number in {float("inf"), float("-inf")}:
        call.save(Mismatch(f"number {literal}", "float64"))
        return None
    whole = number.is_integer() and abs(number) < _MAX_EXACT and str(number) != "-0.0"
    return int(number) if whole else number


def describe(value: Any) -> str:
    """Name a JSON value in an error, as Go does."""
    if isinstance(value, Number):
        return "number"
    names = {str: "string", bool: "bool", Members: "object", list: "array"}
    return names[type(value)]
