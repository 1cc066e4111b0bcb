"""Bodies of OpenAI's `/v1/responses` as native requests.

The translation is the one of Ollama's own layer (its `openai/responses.go`). Nothing is kept from
one request to the next, so what would refer to something kept is refused.
"""

from collections.abc import Mapping
from typing import Any

from neuronetz_twisted.dialects import fields, responses_input
from neuronetz_twisted.dialects.conversations import Conversation
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    FieldTable,
    apply,
    read_object,
    taken_as,
    unread,
)
from neuronetz_twisted.dialects.native_fields import CAPPED, MODEL, OPTION, STREAM
from neuronetz_twisted.dialects.native_requests import capped_predict, required_model
from neuronetz_twisted.dialects.openai_fields import EFFORT, EFFORTS, SAMPLING
from neuronetz_twisted.dialects.responses_input import InputReader
from neuronetz_twisted.dialects.schemas import json_schema
from neuronetz_twisted.dialects.tools import (
    CHOSEN,
    PARAMETERS,
    described,
    described_tools,
    guarded_tools,
    tool_name,
)
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

_PREDICT = "max_output_tokens"
_FUNCTION = "function"


@fields.check("string, or list of items", "a string is what the user says; items become messages")
def _input(value: Any, name: str) -> Any:
    return value if isinstance(value, str) else fields.objects(value, name)


@fields.check("string or object", CHOSEN)
def _choice(value: Any, name: str) -> str:
    """The word of a choice; one tool or some of them are asked for by an object."""
    if isinstance(value, str):
        return str(fields.one_of("auto", "none", "required")(value, name))
    fields.mapping(value, name)
    return "required"


@fields.check("absent", "refused: nothing is kept here")
def _kept(value: Any, name: str) -> Any:
    del value
    raise InvalidRequest(f"{name} is not accepted: no response is kept here", param=name)


TOOL = FieldTable(
    taken={
        "type": unread(fields.one_of(_FUNCTION)),
        "name": tool_name,
        "description": fields.text,
        "parameters": PARAMETERS,
    },
    dropped=frozenset({"strict"}),
)

FORMAT = FieldTable(
    taken={
        "type": taken_as(
            fields.one_of("text", "json_object", "json_schema"),
            '`json_object` becomes `format: "json"`, `text` no `format`',
        ),
        "schema": taken_as(json_schema, "becomes `format`"),
        "name": taken_as(fields.text, "only repeated in the answer"),
        "strict": taken_as(fields.flag, "only repeated in the answer: every schema is kept to"),
    },
    dropped=frozenset({"description"}),
)

TEXT = FieldTable(
    taken={"format": taken_as(fields.mapping_of(FORMAT), "becomes Ollama's `format`")},
    dropped=frozenset({"verbosity"}),
)

_SUMMARY = taken_as(fields.text, "has no meaning here: all of it is given")

REASONING = FieldTable(
    taken={
        "effort": taken_as(fields.one_of(*EFFORTS), EFFORT),
        "summary": _SUMMARY,
        "generate_summary": _SUMMARY,
    }
)

RESPONSES = FieldTable(
    taken={
        "model": MODEL,
        "input": _input,
        "instructions": taken_as(fields.text, "a `system` message before all others"),
        "tools": described(TOOL, _FUNCTION),
        "tool_choice": _choice,
        "text": taken_as(fields.mapping_of(TEXT), "its `format` becomes `format`"),
        "reasoning": taken_as(fields.mapping_of(REASONING), "its `effort` becomes `think`"),
        "max_output_tokens": taken_as(fields.whole, CAPPED),
        "temperature": SAMPLING["temperature"],
        "top_p": taken_as(fields.number, OPTION),
        "stream": STREAM,
        "store": taken_as(fields.flag, "`true` is dropped and named: nothing is kept here"),
        "previous_response_id": _kept,
        "conversation": _kept,
        "prompt": _kept,
    },
    refused={"background": NEUTRAL_FLAG},
    dropped=frozenset(
        {
            "include",
            "max_tool_calls",
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "safety_identifier",
            "service_tier",
            "stream_options",
            "top_logprobs",
            "truncation",
            "user",
        }
    ),
)


TABLES: tuple[tuple[str, FieldTable], ...] = (
    ("`POST /v1/responses`", RESPONSES),
    *responses_input.TABLES,
    ("`POST /v1/responses`: a tool", TOOL),
    ("`POST /v1/responses`: `text`", TEXT),
    ("`POST /v1/responses`: `format` of `text`", FORMAT),
    ("`POST /v1/responses`: `reasoning`", REASONING),
)


def parse_response(raw: bytes, max_predict: int) -> NativeRequest:
    """A body of `POST /v1/responses`. Raises `InvalidRequest`."""
    talk = Conversation()
    ignored = talk.ignored
    clean = apply(RESPONSES, read_object(raw), ignored)
    model = required_model(clean)
    if clean.get("store"):
        ignored.append("store")
    _add_input(clean, talk)
    tools = _tools(clean, ignored)
    form = apply(FORMAT, apply(TEXT, clean.get("text", {}), ignored).get("format", {}), ignored)
    effort = apply(REASONING, clean.get("reasoning", {}), ignored).get("effort")
    return talk.request(
        model=model,
        options=_options(clean, max_predict, ignored),
        tools=tools,
        beside={"think": EFFORTS.get(effort or ""), "format": _format(form)},
        stream=clean.get("stream", False),
        predict_name=_PREDICT if _PREDICT in clean else None,
        echo=_echo(clean, tools, form, effort),
    )


def _add_input(clean: Mapping[str, Any], talk: Conversation) -> None:
    if clean.get("instructions"):
        talk.say("system", clean["instructions"])
    said = clean.get("input", [])
    if isinstance(said, str):
        if said:
            talk.say("user", said)
        return
    reader = InputReader(talk)
    for item in said:
        reader.read(item)
    reader.finish()


def _options(clean: Mapping[str, Any], max_predict: int, ignored: list[str]) -> dict[str, Any]:
    # Ollama's own layer sets this one where the client does not, whatever the model's file says.
    options: dict[str, Any] = {"temperature": clean.get("temperature", 1.0)}
    if "top_p" in clean:
        options["top_p"] = clean["top_p"]
    if _PREDICT in clean:
        options["num_predict"] = clean[_PREDICT]
    capped_predict(options, max_predict, ignored, _PREDICT)
    return options


def _tools(clean: Mapping[str, Any], ignored: list[str]) -> list[dict[str, Any]]:
    if clean.get("tool_choice") == "required":
        ignored.append("tool_choice")
    functions = described_tools(clean.get("tools", ()), _FUNCTION, TOOL, ignored)
    return [] if clean.get("tool_choice") == "none" else guarded_tools(functions, ignored)


def _format(form: Mapping[str, Any]) -> Any:
    kind = form.get("type", "text")
    if kind == "json_object":
        return "json"
    if kind == "text":
        return None
    if "schema" not in form:
        raise InvalidRequest("a format of type json_schema needs a schema", param="schema")
    return form["schema"]


def _echo(
    clean: Mapping[str, Any],
    tools: list[dict[str, Any]],
    form: Mapping[str, Any],
    effort: str | None,
) -> dict[str, Any]:
    """What the answer repeats of its request: as it was understood."""
    return {
        "instructions": clean.get("instructions"),
        "max_output_tokens": clean.get(_PREDICT),
        "reasoning": {"effort": effort, "summary": None},
        "temperature": clean.get("temperature", 1.0),
        "text": {"format": form or {"type": "text"}},
        "tool_choice": "none" if clean.get("tool_choice") == "none" else "auto",
        "tools": [
            {"parameters": None, **tool["function"], "type": "function", "strict": False}
            for tool in tools
        ],
        "top_p": clean.get("top_p"),
    }
