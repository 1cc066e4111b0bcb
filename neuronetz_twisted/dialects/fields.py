"""What a request may contain: checks of single fields and the rule that applies a table of them.

A body is never passed on; a new one is written from the fields that a table names (SPEC 2 R4,
SPEC 4). Ollama reads keys without regard to case and takes the last one, so a key that equals a
known one only after case folding is refused instead of dropped.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from attrs import evolve, field, frozen

from neuronetz_twisted.dialects.nesting import is_deeper
from neuronetz_twisted.errors import InvalidRequest

MAX_DEPTH = 32
MAX_STOPS = 16
MAX_NUMBER = 1e6
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_IGNORED_BYTES = 1024

Read = Callable[[Any, str], Any]
"""Takes a value and the field's name; gives the value to send on or raises `InvalidRequest`."""


@frozen
class Check:
    """What one field may hold, and what becomes of it.

    `says` is the type with its bounds and `then` what happens to the value, both as the documents
    have it (dialects/policy.py). `inner` is the table of the objects in it, where there is one; it
    is applied by whoever reads the route.
    """

    read: Read
    says: str
    then: str = "passed on"
    inner: "FieldTable | None" = None

    def __call__(self, value: Any, name: str) -> Any:
        """What `read` gives."""
        return self.read(value, name)


def check(says: str, then: str = "passed on") -> Callable[[Read], Check]:
    """Make a `Check` of the function below."""
    return lambda read: Check(read, says, then)


def taken_as(check: Check, then: str) -> Check:
    """The same check of a field that becomes something else; `then` is for the documents."""
    return evolve(check, then=then)


def unread(check: Check) -> Check:
    """The same check of a field that clients send by habit and that changes nothing."""
    return taken_as(check, "has no meaning here")


@frozen(kw_only=True)
class FieldTable:
    """What happens to each field of an object.

    `taken` maps a name to its check. `refused` maps a name to the neutral values that count as
    absent; any other value is an error. `dropped` are fields known to Ollama that are ignored and
    named, as every unknown field is; `folded` maps the case-folded name of each known field to it.
    """

    taken: Mapping[str, Check]
    refused: Mapping[str, Sequence[Any]] = field(factory=dict)
    dropped: frozenset[str] = frozenset()

    reads: Mapping[str, Read] = field(init=False)
    folded: Mapping[str, str] = field(init=False)

    @reads.default
    def _reads_of_taken(self) -> Mapping[str, Read]:
        return {name: check.read for name, check in self.taken.items()}

    @folded.default
    def _fold(self) -> Mapping[str, str]:
        names = (*self.taken, *self.refused, *self.dropped)
        return {name.casefold(): name for name in names}


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a request body.

    Raises `InvalidRequest` for anything else: not UTF-8, not JSON (RFC 8259: no NaN), not an
    object, nested deeper than 32.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body is not valid JSON") from None
    if not isinstance(data, dict):
        raise InvalidRequest("the body must be a JSON object")
    # No deeper than it has openings; most bodies have few.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and is_deeper(data, MAX_DEPTH):
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH}")
    return data


def apply(table: FieldTable, data: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    """Write an object anew from the fields that `table` takes.

    Names of dropped fields are appended to `ignored`. Raises `InvalidRequest`, naming the field.
    """
    clean: dict[str, Any] = {}
    reads = table.reads
    for name, value in data.items():
        if name not in reads:
            _leave_out(table, name, value, ignored)
        elif value is not None:
            clean[name] = reads[name](value, name)
    return clean


def _leave_out(table: FieldTable, name: str, value: Any, ignored: list[str]) -> None:
    """Drop a field that is not taken, and name it; refuse it where that would mislead."""
    twin = table.folded.get(name.casefold(), name)
    if twin != name:
        raise InvalidRequest(f"a field differs from {twin} only in case", param=twin)
    if value is None:
        return
    if name not in table.refused:
        ignored.append(name)
    elif not _is_one_of(value, table.refused[name]):
        raise InvalidRequest(f"{name} is not accepted", param=name)


def _is_one_of(value: Any, neutral: Sequence[Any]) -> bool:
    return any(type(value) is type(word) and value == word for word in neutral)


NEUTRAL_TEXT: Sequence[Any] = ("",)
NEUTRAL_LIST: Sequence[Any] = ([],)
NEUTRAL_FLAG: Sequence[Any] = (False,)


@check("string")
def text(value: Any, name: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string", param=name)
    return value


@check("boolean")
def flag(value: Any, name: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be a boolean", param=name)
    return value


@check("number, at most 1 000 000 either way")
def number(value: Any, name: str) -> float:
    """A number of a sensible size; JSON has no NaN and no infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a number", param=name)
    if abs(value) > MAX_NUMBER:
        raise InvalidRequest(f"{name} is too large", param=name)
    return value


@check("whole number of 64 bits")
def whole(value: Any, name: str) -> int:
    """An integer of at most 64 bits; an integral float counts as one (SPEC 4)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a whole number", param=name)
    # An integer below 64 bits has been read as a float, which may be the lowest of them.
    lowest = 1 - 2**63 if isinstance(value, float) else -(2**63)
    checked = value
    if checked != int(checked) or not lowest <= checked < 2**63:
        raise InvalidRequest(f"{name} must be a whole number", param=name)
    return int(checked)


KIND = taken_as(text, "says what it is")
"""The `type` by which the table of an object is chosen."""


def whole_in(low: int, high: int) -> Check:
    """A check for an integer from `low` to `high`."""

    def read(value: Any, name: str) -> int:
        checked: int = whole(value, name)
        if not low <= checked <= high:
            raise InvalidRequest(f"{name} must be from {low} to {high}", param=name)
        return checked

    return Check(read, f"whole number from {low} to {high}")


@check("string, or list of at most 16")
def stops(value: Any, name: str) -> list[str]:
    """One stop sequence or a list of at most 16."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
        raise InvalidRequest(f"{name} must be a string or a list of strings", param=name)
    if len(value) > MAX_STOPS:
        raise InvalidRequest(f"{name} has more than {MAX_STOPS} entries", param=name)
    return value


@check("object")
def mapping(value: Any, name: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} must be an object", param=name)
    return value


@check("list of objects")
def objects(value: Any, name: str) -> list[dict[str, Any]]:
    """A list of objects."""
    if not isinstance(value, list) or not {dict}.issuperset(map(type, value)):
        raise InvalidRequest(f"{name} must be a list of objects", param=name)
    return value


def mapping_of(table: FieldTable) -> Check:
    """A check for an object of a table."""
    return evolve(mapping, inner=table)


def objects_of(table: FieldTable) -> Check:
    """A check for a list of objects of a table."""
    return evolve(objects, inner=table)


def text_up_to(limit: int) -> Check:
    """A check for a string of at most `limit` characters."""

    def read(value: Any, name: str) -> str:
        checked: str = text(value, name)
        if len(checked) > limit:
            raise InvalidRequest(f"{name} is longer than {limit} characters", param=name)
        return checked

    return Check(read, f"string of at most {limit} characters")


def one_of(*words: str) -> Check:
    """A check for one of `words`."""

    def read(value: Any, name: str) -> str:
        if value not in words or not isinstance(value, str):
            raise InvalidRequest(f"{name} must be one of {', '.join(words)}", param=name)
        return value

    return Check(read, f"one of {', '.join(f'`{word}`' for word in words)}")


def ignored_header(ignored: Sequence[str]) -> str:
    """The value of `X-Gateway-Ignored`: printable names, at most 1 KiB, the rest as `+n`."""
    shown: list[str] = []
    size = 0
    names = list(dict.fromkeys(ignored))
    for name in names:
        if _NAME.fullmatch(name) and size + len(name) + 2 <= _MAX_IGNORED_BYTES - 8:
            shown.append(name)
            size += len(name) + 2
    hidden = len(names) - len(shown)
    return ", ".join([*shown, f"+{hidden}"] if hidden else shown)
