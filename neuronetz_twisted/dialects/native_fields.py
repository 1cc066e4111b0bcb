"""What the bodies of Ollama's own routes may contain, field by field (SPEC 4).

The fields are those of Ollama's request types (its `api/types.go`).
"""

from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    NEUTRAL_LIST,
    NEUTRAL_TEXT,
    Check,
    FieldTable,
)
from neuronetz_twisted.dialects.images import images
from neuronetz_twisted.dialects.schemas import json_schema
from neuronetz_twisted.dialects.tools import CALL, IDENTIFIER, TOOL
from neuronetz_twisted.errors import InvalidRequest

MAX_INPUTS = 2048
MAX_DIMENSIONS = 65_536
MAX_TOP_LOGPROBS = 20

OPTION = "the option of that name"
CAPPED = "the option `num_predict`, capped"
"""What becomes of fields of other dialects, for the documents."""

MODEL = Check(fields.text.read, "string; required", "sent as Ollama lists it")
STREAM = fields.taken_as(fields.flag, "says how the answer comes")

_KEPT = frozenset({"keep_alive", "shift"})
"""What would change a model that other tenants use as well."""

OPTIONS = FieldTable(
    taken={
        "temperature": fields.number,
        "top_k": fields.whole_in(0, 100_000),
        "top_p": fields.number,
        "min_p": fields.number,
        "typical_p": fields.number,
        "repeat_last_n": fields.whole_in(-1, 32_768),
        "repeat_penalty": fields.number,
        "presence_penalty": fields.number,
        "frequency_penalty": fields.number,
        "seed": fields.whole,
        "stop": fields.stops,
        "num_predict": fields.taken_as(
            fields.whole, "lowered to the cap and then named; set if absent"
        ),
        "num_keep": fields.whole_in(-1, 32_768),
        "penalize_newline": fields.flag,
        "mirostat": fields.whole_in(0, 2),
        "mirostat_tau": fields.number,
        "mirostat_eta": fields.number,
        "tfs_z": fields.number,
    },
    dropped=frozenset(
        {
            "num_ctx",
            "num_batch",
            "num_gpu",
            "main_gpu",
            "use_mmap",
            "num_thread",
            "draft_num_predict",
        }
    ),
)

EMBED_OPTIONS = FieldTable(
    taken={name: check for name, check in OPTIONS.taken.items() if name != "num_predict"},
    dropped=OPTIONS.dropped | {"num_predict"},
)
"""Those of a request for embeddings, whose answer has no length."""


@fields.check("boolean, or one of `low`, `medium`, `high`, `max`")
def think(value: Any, name: str) -> bool | str:
    """Whether a model thinks before it answers, or how much."""
    if isinstance(value, bool):
        return value
    return str(fields.one_of("low", "medium", "high", "max")(value, name))


@fields.check('`"json"`, or a ' + json_schema.says)
def answer_format(value: Any, name: str) -> str | dict[str, Any] | None:
    """What an answer must look like; an empty string is nothing."""
    if isinstance(value, dict):
        return dict(json_schema(value, name))
    if value in ("", "json"):
        return value or None
    raise InvalidRequest(f'{name} must be "json" or a JSON schema', param=name)


@fields.check("one of `system`, `user`, `assistant`, `tool`, in any case")
def role(value: Any, name: str) -> str:
    """Who speaks. Ollama does not mind the case."""
    word = value.lower() if isinstance(value, str) else value
    return str(fields.one_of("system", "user", "assistant", "tool")(word, name))


@fields.check(f"string, or list of at most {MAX_INPUTS} strings")
def inputs(value: Any, name: str) -> str | list[str]:
    """What is to be embedded: text, and no tokens, which only the model's own words could count."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidRequest(f"{name} must be a string or a list of strings", param=name)
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(f"{name} has more than {MAX_INPUTS} entries", param=name)
    if not {str}.issuperset(map(type, value)):
        raise InvalidRequest(f"{name} must be text: tokens are not accepted", param=name)
    return value


MESSAGE = FieldTable(
    taken={
        "role": role,
        "content": fields.text,
        "thinking": fields.text,
        "images": images,
        "tool_calls": fields.objects_of(CALL),
        "tool_name": IDENTIFIER,
        "tool_call_id": IDENTIFIER,
    },
)

_ASKED = {
    "model": MODEL,
    "stream": STREAM,
    "options": fields.mapping_of(OPTIONS),
    "think": think,
    "format": answer_format,
    "truncate": fields.flag,
    "logprobs": fields.flag,
    "top_logprobs": fields.whole_in(0, MAX_TOP_LOGPROBS),
}

CHAT = FieldTable(
    taken={
        **_ASKED,
        "messages": fields.objects_of(MESSAGE),
        "tools": fields.objects_of(TOOL),
    },
    refused={"_debug_render_only": NEUTRAL_FLAG},
    dropped=_KEPT,
)

GENERATE = FieldTable(
    taken={
        **_ASKED,
        "prompt": fields.text,
        "suffix": fields.text,
        "system": fields.text,
        "images": images,
        "raw": Check(fields.flag.read, "boolean; `true` needs the scope `raw`"),
    },
    refused={
        "template": NEUTRAL_TEXT,
        "context": NEUTRAL_LIST,
        "_debug_render_only": NEUTRAL_FLAG,
    },
    dropped=_KEPT,
)

EMBED = FieldTable(
    taken={
        "model": MODEL,
        "input": inputs,
        "truncate": fields.flag,
        "dimensions": fields.whole_in(0, MAX_DIMENSIONS),
        "options": fields.mapping_of(EMBED_OPTIONS),
    },
    dropped=frozenset({"keep_alive", "stream"}),
)

EMBEDDINGS = FieldTable(
    taken={
        "model": MODEL,
        "prompt": fields.taken_as(fields.text, "becomes `input` of `/api/embed`"),
        "options": fields.mapping_of(EMBED_OPTIONS),
    },
    dropped=frozenset({"keep_alive", "stream"}),
)

SHOW = FieldTable(
    taken={
        "model": fields.taken_as(fields.text, "says which model"),
        "name": fields.taken_as(fields.text, "taken where there is no `model`"),
    },
    dropped=frozenset({"verbose", "system", "template", "options"}),
)

TABLES = (
    ("`POST /api/chat`", CHAT),
    ("`POST /api/generate`", GENERATE),
    ("`POST /api/embed`", EMBED),
    ("`POST /api/embeddings`", EMBEDDINGS),
    ("`POST /api/show`, which names nothing", SHOW),
    ("A message of `/api/chat`", MESSAGE),
    ("Ollama's `options`", OPTIONS),
    ("Ollama's `options` for embeddings", EMBED_OPTIONS),
)
