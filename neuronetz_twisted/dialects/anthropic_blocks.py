"""The content blocks of Anthropic's messages. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import KIND, FieldTable, apply, taken_as, unread
from neuronetz_twisted.dialects.tools import IDENTIFIER
from neuronetz_twisted.errors import InvalidRequest


@fields.check("string, or list of blocks", "blocks are translated by their type")
def blocks_of(value: Any, name: str) -> Any:
    """The content of a message, or of what a tool gave."""
    return value if isinstance(value, str) else fields.objects(value, name)


@fields.check("`base64`", "has no meaning here")
def _base64(value: Any, name: str) -> str:
    if value != "base64":
        raise InvalidRequest("images are not fetched, send their data in base64", param=name)
    return "base64"


SOURCE = FieldTable(
    taken={
        "type": _base64,
        "media_type": taken_as(fields.text, "has no meaning here: the picture says what it is"),
        "data": taken_as(fields.text, "becomes one of `images`"),
    }
)

_CACHED = frozenset({"cache_control"})

BLOCKS: Mapping[str, FieldTable] = {
    "text": FieldTable(
        taken={"type": KIND, "text": taken_as(fields.text, "joined with the others to `content`")},
        dropped=_CACHED | {"citations"},
    ),
    "image": FieldTable(
        taken={
            "type": KIND,
            "source": taken_as(fields.mapping_of(SOURCE), "its `data` becomes one of `images`"),
        },
        dropped=_CACHED,
    ),
    "tool_use": FieldTable(
        taken={
            "type": KIND,
            "id": IDENTIFIER,
            "name": IDENTIFIER,
            "input": taken_as(fields.mapping, "becomes `arguments` of a call"),
        },
        dropped=_CACHED,
    ),
    "tool_result": FieldTable(
        taken={
            "type": KIND,
            "tool_use_id": taken_as(
                IDENTIFIER, "becomes `tool_call_id`, and says whose result it is"
            ),
            "content": taken_as(blocks_of, "becomes `content` of a `tool` message, and `images`"),
            "is_error": taken_as(fields.flag, "`true` is dropped and named"),
        },
        dropped=_CACHED,
    ),
    # Nothing is signed here, and an empty signature is what clients give back.
    "thinking": FieldTable(
        taken={
            "type": KIND,
            "thinking": taken_as(fields.text, "joined with the others to `thinking`"),
            "signature": unread(fields.text),
        }
    ),
    "redacted_thinking": FieldTable(
        taken={"type": KIND, "data": taken_as(fields.text, "dropped, and the block is named")}
    ),
}

TABLES: tuple[tuple[str, FieldTable], ...] = (
    *((f"`POST /v1/messages`: a block of type `{kind}`", table) for kind, table in BLOCKS.items()),
    ("`POST /v1/messages`: `source` of an image", SOURCE),
)

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "image": ("source",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
}
_GIVEN = frozenset({"text", "image"})


def block_of(raw: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    """A block of a message, written anew; that of an image has its base64 as `data`.

    Raises `InvalidRequest` for kinds that are not carried.
    """
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in BLOCKS:
        raise InvalidRequest(
            f"the type of a block must be one of {', '.join(BLOCKS)}", param="type"
        )
    block = apply(BLOCKS[kind], raw, ignored)
    for name in _REQUIRED.get(kind, ()):
        if not block.get(name):
            raise InvalidRequest(f"a block of type {kind} needs {name}", param=name)
    if kind == "image":
        block["data"] = apply(SOURCE, block.pop("source"), ignored).get("data", "")
    elif kind == "tool_use":
        block["arguments"] = block.pop("input", {})
    elif kind == "redacted_thinking":
        ignored.append(kind)
        block.pop("data", None)
    elif block.get("is_error"):
        ignored.append("is_error")
    return block


def text_and_images(content: Any, ignored: list[str]) -> tuple[str, list[str]]:
    """The text and the images of content that may hold nothing else."""
    if isinstance(content, str):
        return content, []
    blocks = [block_of(raw, ignored) for raw in content]
    if not _GIVEN.issuperset(block["type"] for block in blocks):
        raise InvalidRequest("only text and images may be here", param="content")
    return joined(blocks, "text"), [block["data"] for block in blocks if "data" in block]


def joined(blocks: Sequence[Mapping[str, Any]], name: str) -> str:
    """The texts that blocks hold under a name."""
    return "".join(block.get(name, "") for block in blocks)
