"""Tools that a model may call, and the calls it has made, as they go to the model host. Pure.

Ollama's `Tool` and `ToolCall` (its `api/types.go`); other dialects bring theirs into this form.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import Check, FieldTable, apply
from neuronetz_twisted.dialects.schemas import MAX_SUBSCHEMAS, measure
from neuronetz_twisted.errors import InvalidRequest

MAX_TOOLS = 128
MAX_TOOLS_BYTES = 90_000
"""Of all names, descriptions and parameters: llama.cpp makes one grammar of them, and none of
more than about 97 kB (ggml-org/llama.cpp 25895)."""

MAX_CALLS = 128
"""Tool calls in one message."""

IDENTIFIER = fields.text_up_to(256)
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@fields.check("1 to 128 of `A-Za-z0-9_.-`")
def tool_name(value: Any, name: str) -> str:
    """What a model calls a tool: as long as Anthropic lets it be, who is the most generous."""
    if not isinstance(value, str) or not _TOOL_NAME.fullmatch(value):
        raise InvalidRequest(f"{name} must be 1 to 128 of A-Z, a-z, 0-9, _, . and -", param=name)
    return value


CHOSEN = "`none` leaves the tools out, `auto` changes nothing, all else is dropped and named"
"""What becomes of `tool_choice`, for the documents."""

PARAMETERS = Check(
    fields.mapping.read,
    "JSON schema: any object, within the bounds of schemas",
    "passed on, without a `pattern`, `minLength`, `maxLength`, `minItems` or `maxItems` that no "
    "grammar can keep",
)

FUNCTION = FieldTable(
    taken={"name": tool_name, "description": fields.text, "parameters": PARAMETERS}
)

TOOL = FieldTable(
    taken={"type": fields.one_of("function"), "function": fields.mapping_of(FUNCTION)}
)

CALLED = FieldTable(
    taken={
        "index": fields.whole_in(0, MAX_CALLS - 1),
        "name": IDENTIFIER,
        "arguments": Check(fields.mapping.read, "any object"),
    }
)

CALL = FieldTable(taken={"id": IDENTIFIER, "function": fields.mapping_of(CALLED)})

TABLES = (
    ("A tool", TOOL),
    ("The function of a tool", FUNCTION),
    ("A tool call", CALL),
    ("The function of a tool call", CALLED),
)


def read_tools(tools: Sequence[Mapping[str, Any]], ignored: list[str]) -> list[dict[str, Any]]:
    """Write Ollama's `tools` anew, and name in `ignored` what was left out.

    Raises `InvalidRequest` for what is no function, and for schemas that are too large.
    """
    clean = []
    for tool in tools:
        outer = apply(TOOL, tool, ignored)
        if "function" not in outer:
            raise InvalidRequest("a tool needs a function", param="tools")
        clean.append(apply(FUNCTION, outer["function"], ignored))
    return guarded_tools(clean, ignored)


def described(table: FieldTable, kind: str) -> Check:
    """A check for tools that a client describes in a table of his dialect, as type `kind`."""
    return fields.taken_as(
        fields.objects_of(table),
        f"become functions; one of another type than `{kind}` is dropped, named as `tools.` and "
        "its type",
    )


def described_tools(
    tools: Sequence[Mapping[str, Any]], kind: str, table: FieldTable, ignored: list[str]
) -> list[dict[str, Any]]:
    """The tools that a client describes himself, written anew from `table`; `kind` is their type.

    One of another type is the vendor's to run, or known to his models alone. It is left out and
    named in `ignored`: agents offer such tools by habit, and a model that never hears of one does
    not call it. Raises `InvalidRequest`.
    """
    own = []
    for tool in tools:
        other = tool.get("type")
        if isinstance(other, str) and other != kind:
            ignored.append(f"tools.{other}")
            continue
        described = apply(table, tool, ignored)
        described.pop("type", None)
        own.append(described)
    return own


def guarded_tools(functions: Sequence[dict[str, Any]], ignored: list[str]) -> list[dict[str, Any]]:
    """Ollama's `tools` of functions with `name`, and perhaps `description` and `parameters`.

    What no grammar can keep of the parameters is left out of them and named in `ignored`, as
    Ollama leaves it out of a property. Raises `InvalidRequest` where they are too many or too
    large.
    """
    if len(functions) > MAX_TOOLS:
        raise InvalidRequest(f"tools has more than {MAX_TOOLS} entries", param="tools")
    size = subschemas = 0
    for function in functions:
        if "name" not in function:
            raise InvalidRequest("a tool needs a name", param="tools")
        size += len(function["name"]) + len(function.get("description", "").encode())
        if "parameters" in function:
            measured = measure(function["parameters"], "parameters")
            size += measured.size
            subschemas += measured.subschemas
            for loose in measured.loose_ends:
                loose.schema.pop(loose.keyword, None)
                ignored.append(loose.keyword)
    if size > MAX_TOOLS_BYTES:
        raise InvalidRequest(f"tools have more than {MAX_TOOLS_BYTES} bytes", param="tools")
    if subschemas > MAX_SUBSCHEMAS:
        raise InvalidRequest(
            f"tools have more than {MAX_SUBSCHEMAS} schemas, with references written out",
            param="tools",
        )
    return [{"type": "function", "function": function} for function in functions]


def read_tool_calls(calls: Sequence[Mapping[str, Any]], ignored: list[str]) -> list[dict[str, Any]]:
    """Write Ollama's `tool_calls` of a message anew. Raises `InvalidRequest`."""
    if len(calls) > MAX_CALLS:
        raise InvalidRequest(f"tool_calls has more than {MAX_CALLS} entries", param="tool_calls")
    clean = []
    for call in calls:
        outer = apply(CALL, call, ignored)
        function = apply(CALLED, outer.get("function", {}), ignored)
        if "name" not in function:
            raise InvalidRequest("a tool call needs a function with a name", param="tool_calls")
        function.setdefault("arguments", {})
        clean.append({**outer, "function": function})
    return clean
