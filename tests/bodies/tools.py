"""Tools, tool calls and schemas: Ollama's `Tool`, `ToolCall`, `format`, and what crashes grammars.

What a schema holds is the client's own, within bounds; nothing around it may become a field.
"""

import json
from typing import Any

from tests.bodies.entry import (
    ABSENT,
    OPEN,
    THINKER,
    chat,
    generate,
    message,
    openai,
    response,
    said,
)

_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {
                "city": {"type": "string", "description": "Its name"},
                "unit": {"type": "string", "enum": ["c", "f"]},
            },
        },
    },
}
_CALL = '{"function":{"name":"get_weather","arguments":{"city":"Bern"}}}'
_WEB = (
    '{"type":"web_search"}',
    '{"type":"web_search_preview"}',
    '{"type":"web_search_20250305","name":"web_search","max_uses":3}',
    '{"type":"web_fetch_20250910","name":"web_fetch"}',
    '{"type":"WEB_SEARCH"}',
    '{"type":"web_\u017fearch"}',
    '{"Type":"web_search","type":"function","function":{"name":"f"}}',
    '{"type":"function","type":"web_search"}',
)


def _tools(*tools: object) -> str:
    return f'"tools":{json.dumps(tools)}'


def _with(parameters: object) -> str:
    return _tools({"type": "function", "function": {"name": "f", "parameters": parameters}})


def _nested(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _wide(count: int) -> Any:
    return {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(count)}}


_CYCLE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/node"}},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
}

_TOOLS = (
    chat(_tools(_TOOL), name="a tool"),
    chat(_tools(_TOOL, _TOOL), name="a tool twice"),
    chat(_tools(_TOOL), model=THINKER, name="a tool of a thinker"),
    *(chat(f'"tools":{text}', sent={"tools": ABSENT}) for text in ("[]", "null")),
    *(chat(f'"tools":{text}', 400) for text in ("{}", '"x"', "1", "true", "[null]", '["x"]')),
    *(chat(f'"tools":{text}', 400) for text in ("[[]]", "[1]", '[{"type":"function"}]', "[{}]")),
    *(
        chat(f'"tools":[{{"type":"function","function":{text}}}]', 400)
        for text in (
            "null",
            "[]",
            '"f"',
            "{}",
            '{"name":1}',
            '{"name":null}',
            '{"description":"x"}',
        )
    ),
    *(
        chat(f'"tools":[{{"type":"function","function":{{"name":"f",{text}}}}}]', OPEN)
        for text in (
            '"description":1',
            '"parameters":[]',
            '"parameters":"x"',
            '"parameters":1',
            '"parameters":null',
            '"parameters":{"type":1}',
            '"parameters":{"required":"x"}',
            '"parameters":{"properties":[]}',
            '"parameters":{"properties":{"a":1}}',
            '"parameters":{"properties":{"a":{"type":["string","null"]}}}',
            '"parameters":{"properties":{"a":{"anyOf":[{"type":"string"}]}}}',
            '"parameters":{"properties":{"a":{"minimum":1,"format":"x"}}}',
            '"parameters":{"Properties":{"b":{}},"properties":{"a":{}}}',
            '"parameters":{"TYPE":"x","type":"object"}',
            '"strict":true',
            '"Name":"g"',
            '"Parameters":{}',
            '"name":"g"',
        )
    ),
    chat(_with(_nested(3)), OPEN, name="parameters seven deep"),
    chat(_with(_nested(12)), OPEN, name="parameters 25 deep"),
    chat(_with(_wide(50)), OPEN, name="fifty parameters"),
    chat(_with(_wide(3000)), 400, name="three thousand parameters"),
    chat(_with(_CYCLE), 400, name="a cycle in parameters"),
    chat(_tools(*[_TOOL] * 500), 400, name="five hundred tools"),
    *(chat(f'"tools":[{text}]', 400) for text in _WEB),
    *(openai(f'"tools":[{text}]', OPEN) for text in _WEB),
    *(message(f'"tools":[{text}]', OPEN) for text in _WEB),
    *(response(f'"tools":[{text}]', OPEN) for text in _WEB),
    openai('"web_search_options":{"search_context_size":"low"}', ignored=("web_search_options",)),
    generate(_tools(_TOOL), ignored=("tools",), name="a tool of a completion"),
)

_CALLS = (
    said(
        f'{{"role":"user","content":"a"}},{{"role":"assistant","tool_calls":[{_CALL}]}},'
        '{"role":"tool","content":"sun","tool_name":"get_weather"}',
        name="a call and its answer",
    ),
    *(
        said(f'{{"role":"assistant","content":"","tool_calls":{text}}}')
        for text in ("[]", "null", f"[{_CALL},{_CALL}]")
    ),
    *(
        said(f'{{"role":"assistant","content":"","tool_calls":{text}}}', 400)
        for text in (
            "{}",
            '"x"',
            "1",
            "[null]",
            "[1]",
            "[{}]",
            '[{"function":{}}]',
            '[{"function":"f"}]',
            '[{"function":{"name":1,"arguments":{}}}]',
            '[{"function":{"name":"f","arguments":"{}"}}]',
            '[{"function":{"name":"f","arguments":[]}}]',
            '[{"function":{"name":"f","arguments":1}}]',
            '[{"Function":{"name":"f","arguments":{}}}]',
            '[{"function":{"Name":"f","arguments":{}}}]',
            '[{"function":{"name":"f","Argument\u017f":{}}}]',
        )
    ),
    *(
        said(f'{{"role":"assistant","content":"","tool_calls":[{text}]}}', OPEN)
        for text in (
            '{"id":"call_1","function":{"index":0,"name":"f","arguments":{}}}',
            '{"id":1,"function":{"name":"f","arguments":{}}}',
            '{"function":{"name":"f","arguments":null}}',
            '{"function":{"name":"f"}}',
            '{"type":"function","function":{"name":"f","arguments":{}}}',
            '{"function":{"index":1.0,"name":"f","arguments":{}}}',
            '{"function":{"index":"0","name":"f","arguments":{}}}',
            '{"function":{"name":"f","arguments":{"a":1,"A":2,"\u017f":3,"n":1e300}}}',
            '{"function":{"name":"f","arguments":{"keep_alive":0,"options":{"num_ctx":1}}}}',
        )
    ),
    *(said(f'{{"role":"tool","content":"x","tool_name":{text}}}', 400) for text in ("1", "[]")),
    *(said(f'{{"role":"tool","content":"x","tool_call_id":{text}}}', 400) for text in ("1", "{}")),
    said('{"role":"tool","content":"x","tool_call_id":"call_1"}'),
    said('{"role":"tool","content":"x","tool_name":null}'),
)

_FORMATS = (
    *(chat(f'"format":{json.dumps(schema)}') for schema in ({"type": "object"}, _wide(2))),
    chat(f'"format":{json.dumps(_nested(4))}', name="a schema of four objects"),
    chat('"format":{"type":"object","properties":{"Format":{"type":"string"},"format":{}}}'),
    chat('"format":{"type":"object","Type":"array"}'),
    *(
        chat(f'"format":{json.dumps(_nested(depth))}', 400, name=f"schema {depth}")
        for depth in (16, 40)
    ),
    chat(f'"format":{json.dumps(_wide(5000))}', 400, name="five thousand properties"),
    chat(f'"format":{json.dumps(_CYCLE)}', 400, name="a cycle"),
    chat('"format":{"$ref":"#"}', 400),
    chat('"format":{"$ref":"http://evil.test/schema"}', OPEN),
    chat('"format":{"type":"string","pattern":"^(a+)+$"}', OPEN),
    chat('"format":{"type":"array","minItems":1000000000}', OPEN),
    generate('"format":{"type":"object"}', sent={"format": {"type": "object"}}),
    generate(f'"format":{json.dumps(_CYCLE)}', 400, name="a cycle"),
    openai(
        '"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}',
        sent={"format": {"type": "object"}},
    ),
    openai('"response_format":{"type":"json_object"}', sent={"format": "json"}),
    *(openai(f'"response_format":{text}') for text in ('{"type":"text"}', "null")),
    *(
        openai(f'"response_format":{text}', 400)
        for text in ('"json"', "1", "[]", '{"type":"xml"}', '{"type":1}', '{"type":"json_schema"}')
    ),
    openai(
        f'"response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{json.dumps(_CYCLE)}}}}}',
        400,
        name="a cycle",
    ),
)

ENTRIES = (*_TOOLS, *_CALLS, *_FORMATS)
