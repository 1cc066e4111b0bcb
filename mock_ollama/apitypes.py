"""Ollama's request types as its `api/types.go` declares them (v0.33), to decode bodies into.

What a body decodes into is a JSON object of the fields that were set, by canonical name: the
record's `decoded`. Unknown fields are left out as Go leaves them out, null unsets what can be nil,
roles are in lower case, images are base64 as Go writes it, options are the merged map as sent.
"""

from typing import Any

from attrs import frozen

from mock_ollama.godecode import UNSET, Kind, Unmarshal, plain, unmarshal
from mock_ollama.goduration import parse_duration
from mock_ollama.gokinds import AnyMap, Anything, Bytes, Scalar, Slice, Struct
from mock_ollama.goscan import GoRefused, Members, Number, go_text, read_value

_THINK_LEVELS = ("high", "medium", "low", "max")
_LEVELS = ", ".join(f'"{level}"' for level in _THINK_LEVELS)


def decode_body(raw: bytes, kind: Struct) -> dict[str, Any]:
    """Decode a request body as gin binds it.

    Raises GoRefused in the words of Go's decoder, or of Ollama's own types.
    """
    try:
        fields: dict[str, Any] = unmarshal(kind, read_value(raw))
    except RecursionError:
        raise GoRefused("mock_ollama: properties nested more deeply than the twin reads") from None
    return fields


@frozen
class _Thinking:
    """`*api.ThinkValue`: a boolean, or a level."""

    name: str = "api.ThinkValue"

    def take(self, value: Any, _old: Any, _call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET
        if isinstance(value, bool):
            return value
        if not isinstance(value, str) or isinstance(value, Number):
            raise GoRefused(f"think must be a boolean or string ({_LEVELS}, true, or false)")
        if value not in _THINK_LEVELS:
            shown = value.replace("\\", "\\\\").replace('"', '\\"')
            raise GoRefused(f'invalid think value: "{shown}" (must be {_LEVELS}, true, or false)')
        return str(value)


@frozen
class _KeepAlive:
    """`*api.Duration`: a number of seconds, or Go's text; decoded as it was sent."""

    name: str = "api.Duration"

    def take(self, value: Any, _old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET
        if isinstance(value, Number):
            return plain(value, call)
        if isinstance(value, str):
            parse_duration(value)
            return value
        types = {bool: "bool", list: "[]interface {}", Members: "map[string]interface {}"}
        raise GoRefused(f"Unsupported type: '{types[type(value)]}'")


@frozen
class _PropertyType:
    """`api.PropertyType`: one name or several; Go writes a list of one as the one."""

    name: str = "api.PropertyType"

    def take(self, value: Any, _old: Any, _call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return ""
        if isinstance(value, str) and not isinstance(value, Number):
            return unmarshal(Scalar("string"), value)
        names = unmarshal(Slice(Scalar("string"), "[]string", ""), value)
        return names[0] if len(names) == 1 else names


@frozen
class _Ordered:
    """A map that keeps its order: each value decoded by a call of its own, so nothing is merged."""

    name: str
    schema: bool
    pointer: bool

    def take(self, value: Any, _old: Any, call: Unmarshal) -> Any:
        """Decode, see Kind."""
        if value is None:
            return UNSET if self.pointer else {}
        if not isinstance(value, Members):
            raise GoRefused("Value looks like object, but can't find closing '}' symbol")
        if not self.schema:
            return plain(value, call)
        return {go_text(key): unmarshal(PROPERTY, item) for key, item in value}


@frozen
class _Message:
    """`api.Message`, which Ollama decodes by a call of its own and then writes the role anew."""

    name: str = "api.Message"

    def take(self, value: Any, _old: Any, _call: Unmarshal) -> Any:
        """Decode, see Kind."""
        message = unmarshal(_MESSAGE_FIELDS, value)
        return message | {"role": message["role"].lower()} if "role" in message else message


_TEXT = Scalar("string")
_FLAG = Scalar("bool")
_FLAG_OR_NIL = Scalar("bool", pointer=True)
_INT = Scalar("int")
_TEXTS = Slice(_TEXT, "[]string", "")
_IMAGES = Slice(Bytes("api.ImageData"), "[]api.ImageData")
_PROPERTIES = _Ordered("api.ToolPropertiesMap", schema=True, pointer=True)

_property_fields: dict[str, Kind] = {
    "type": _PropertyType(),
    "items": Anything(),
    "description": _TEXT,
    "enum": Slice(Anything(), "[]interface {}"),
    "properties": _PROPERTIES,
    "required": _TEXTS,
}
PROPERTY = Struct("ToolProperty", _property_fields)
_property_fields["anyOf"] = Slice(PROPERTY, "[]api.ToolProperty")

_CALL = Struct(
    "ToolCall",
    {
        "id": _TEXT,
        "function": Struct(
            "ToolCallFunction",
            {
                "index": _INT,
                "name": _TEXT,
                "arguments": _Ordered("api.ToolCallFunctionArguments", schema=False, pointer=False),
            },
        ),
    },
)
_MESSAGE_FIELDS = Struct(
    "Alias",
    {
        "role": _TEXT,
        "content": _TEXT,
        "thinking": _TEXT,
        "images": _IMAGES,
        "tool_calls": Slice(_CALL, "[]api.ToolCall"),
        "tool_name": _TEXT,
        "tool_call_id": _TEXT,
    },
)
_TOOL = Struct(
    "Tool",
    {
        "type": _TEXT,
        "items": Anything(),
        "function": Struct(
            "ToolFunction",
            {
                "name": _TEXT,
                "description": _TEXT,
                "parameters": Struct(
                    "ToolFunctionParameters",
                    {
                        "type": _TEXT,
                        "$defs": Anything(),
                        "items": Anything(),
                        "required": _TEXTS,
                        "properties": _PROPERTIES,
                    },
                ),
            },
        ),
    },
)
_COMMON: dict[str, Kind] = {"model": _TEXT, "keep_alive": _KeepAlive(), "options": AnyMap()}
_SPOKEN: dict[str, Kind] = {
    "stream": _FLAG_OR_NIL,
    "format": Anything(),
    "think": _Thinking(),
    "truncate": _FLAG_OR_NIL,
    "shift": _FLAG_OR_NIL,
    "_debug_render_only": _FLAG,
    "logprobs": _FLAG,
    "top_logprobs": _INT,
}

CHAT_REQUEST = Struct(
    "ChatRequest",
    _COMMON
    | _SPOKEN
    | {"messages": Slice(_Message(), "[]api.Message"), "tools": Slice(_TOOL, "api.Tools")},
)
GENERATE_REQUEST = Struct(
    "GenerateRequest",
    _COMMON
    | _SPOKEN
    | {
        "prompt": _TEXT,
        "suffix": _TEXT,
        "system": _TEXT,
        "template": _TEXT,
        "context": Slice(_INT, "[]int", 0),
        "raw": _FLAG,
        "images": _IMAGES,
    },
)
EMBED_REQUEST = Struct(
    "EmbedRequest",
    _COMMON | {"input": Anything(), "truncate": _FLAG_OR_NIL, "dimensions": _INT},
)
EMBEDDING_REQUEST = Struct("EmbeddingRequest", _COMMON | {"prompt": _TEXT})
SHOW_REQUEST = Struct(
    "ShowRequest",
    {
        "model": _TEXT,
        "name": _TEXT,
        "system": _TEXT,
        "template": _TEXT,
        "verbose": _FLAG,
        "options": AnyMap(),
    },
)
