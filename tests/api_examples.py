"""The examples in docs/API.md: a command, and what is shown of its answer.

An answer need not be the one that is shown, only of the same form: the same members, and values of
the same kind. null stands for any kind.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from attrs import frozen

_BLOCKS = re.compile(r"```sh\n(curl [^`]+)\n```\n\n```\w*\n([^`]+)\n```")
_KINDS = {bool: "boolean", int: "number", float: "number", str: "string"}


@frozen
class Example:
    """A command for a shell, and its answer as it is shown."""

    command: str
    shown: str


def examples_in(text: str) -> list[Example]:
    """The examples of a document: each block of a curl that a block of its answer follows."""
    return [Example(command, shown) for command, shown in _BLOCKS.findall(text)]


def missing_from(shown: str, answer: str) -> list[str]:
    """What of a shown answer has nothing of its form in the real one.

    An answer is lines of JSON, or events, or with `curl -i` fields of a header.
    """
    there = _parts(answer)
    return [part for part in _texts(shown) if not _is_in(_part(part), there)]


def _texts(answer: str) -> Sequence[str]:
    """The parts of an answer: events or lines."""
    if answer.startswith(("data: ", "event: ")):
        return answer.strip().split("\n\n")
    return [line for line in answer.split("\n") if line.strip()]


def _parts(answer: str) -> list[Any]:
    return [_part(text) for text in _texts(answer)]


def _part(text: str) -> Any:
    """A part as what is compared: an event's name and data, an object, or the name of a field."""
    if text.startswith("{"):
        return json.loads(text)
    if not text.startswith(("data: ", "event: ")):
        return {"field": text.partition(":")[0]}
    lines = dict(line.split(": ", 1) for line in text.split("\n"))
    data = lines["data"]
    return {
        "event": {lines.get("event", "message"): True},
        "data": json.loads(data) if data.startswith("{") else {data: True},
    }


def _is_in(part: Any, parts: Sequence[Any]) -> bool:
    return any(_alike(part, other) for other in parts)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values have the same form."""
    if one is None or other is None:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return not other or all(_is_in(entry, other) for entry in one)
    return _KINDS.get(type(one)) == _KINDS.get(type(other), "another")
