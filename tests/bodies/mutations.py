"""Bodies made out of those of the corpus: members added, repeated, renamed and replaced.

A body is kept as the members it was written with, repeated ones included, and written again as
text, so that what is tried is what no encoder would write.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from tests.bodies.entry import Entry


class Members(list[tuple[str, Any]]):
    """The members of an object, in order."""


@frozen
class Text:
    """A JSON value as it is to be written, whether it is one or not."""

    raw: str


@frozen
class Change:
    """One change: at an object chosen by `place`, with a key in a spelling and a value."""

    kind: str
    place: int
    key: str
    spelling: str
    value: str


def _escaped(key: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in key)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "title": str.title,
    "long s": lambda key: key.replace("s", "\u017f", 1),
    "kelvin": lambda key: key.replace("k", "\u212a", 1),
    "escaped": _escaped,
    "escaped and upper": lambda key: _escaped(key.upper()),
    "blank before": " {}".format,
    "blank behind": "{} ".format,
}
KEYS = (
    *("model", "name", "messages", "prompt", "stream", "options", "format", "think", "tools"),
    *("keep_alive", "shift", "truncate", "template", "raw", "context", "suffix", "system"),
    *("_debug_render_only", "images", "input", "dimensions", "logprobs", "top_logprobs"),
    *("role", "content", "thinking", "tool_calls", "tool_name", "tool_call_id", "function"),
    *("num_ctx", "num_batch", "num_gpu", "use_mmap", "num_thread", "num_predict", "seed", "stop"),
    *("max_tokens", "response_format", "tool_choice", "remote_host", "type", "parameters", "n"),
)
VALUES = (
    *("null", "true", "false", "0", "-0", "1", "-1", "1.0", "1.5", "1e2", "1e400", "NaN", "01"),
    *("9223372036854775807", "9223372036854775808", '""', '"x"', '"0s"', '"\\ud800"', '"\\u0000"'),
    *("[]", "[null]", "[1]", '["x"]', "[[]]", "{}", '{"num_ctx":9}', '{"Num_Ctx":9}', '{"":{}}'),
    *('{"num_predict":-1}', '{"type":"web_search"}', '[{"type":"web_search"}]', '"x:cloud"'),
    *('"qwen3:8b"', '"json"', '"high"', '{"type":"object"}', '{"$ref":"#"}', "{", "]", '"'),
    *("[" * 31 + "]" * 31, "[" * 40 + "]" * 40, '[{"role":"user","content":"x"}]'),
)
KINDS = ("add", "add first", "repeat", "rename", "replace", "wrap", "remove", "copy into")


def read_members(entry: Entry) -> Members | None:
    """The members of an entry's body; None where it is no object."""
    try:
        body = json.loads(entry.raw, object_pairs_hook=Members, parse_int=Text, parse_float=Text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, Members) else None


def changed(body: Members, change: Change) -> None:
    """Change a body in place."""
    holders = list(_holders(body))
    holder = holders[change.place % len(holders)]
    key, value = SPELLINGS[change.spelling](change.key), Text(change.value)
    at = change.place % len(holder) if holder else 0
    if change.kind == "add" or not holder:
        holder.append((key, value))
    elif change.kind == "add first":
        holder.insert(0, (key, value))
    elif change.kind == "repeat":
        holder.append((SPELLINGS[change.spelling](holder[at][0]), value))
    elif change.kind == "rename":
        holder[at] = (SPELLINGS[change.spelling](holder[at][0]), holder[at][1])
    elif change.kind == "replace":
        holder[at] = (holder[at][0], value)
    elif change.kind == "wrap":
        holder[at] = (holder[at][0], [holder[at][1]])
    elif change.kind == "remove":
        del holder[at]
    else:
        holder.append((key, Text(written(body))))


def _holders(value: Any) -> Iterator[Members]:
    if isinstance(value, Members):
        yield value
        for _, inner in list(value):
            yield from _holders(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _holders(inner)


def written(value: Any) -> str:
    """A body as text; keys are written as they are, but for quotes, so they may hold escapes."""
    if isinstance(value, Text):
        return value.raw
    if isinstance(value, Members):
        pairs = (f"{_key(key)}:{written(inner)}" for key, inner in value)
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    quoted = json.dumps(key, ensure_ascii=False)
    return quoted.replace("\\\\u", "\\u")
