"""Keys that are there twice, or that only Go takes for one that we know.

Go's decoder takes keys without regard to case, with U+017F for s and U+212A for k, and merges
repeated objects; the last of repeated values counts.
"""

from tests.bodies.entry import (
    ABSENT,
    CHAT,
    GENERATE,
    HELLO,
    TALKER,
    THINKER,
    Entry,
    chat,
    embed,
    embeddings,
    generate,
    openai,
    option,
    said,
    whole,
)

_ONE = f'"model":"{TALKER}"'
_TWO = f'"model":"{THINKER}"'
_NONE = '"model":"not-installed"'
_SAID = f'"messages":[{HELLO}]'
_QUIET = '"stream":false'


def _chat(name: str, *fields: str, status: int = 200, **sent: object) -> Entry:
    found = {key.replace("__", "."): value for key, value in sent.items()}
    return whole(CHAT, name, f"{{{','.join(fields)}}}", status, sent=found)


_TWICE = (
    _chat("model twice", _ONE, _SAID, _QUIET, _TWO, model="qwen3:8b"),
    _chat("model twice, the last not there", _ONE, _SAID, _QUIET, _NONE, status=403),
    _chat("model twice, the first not there", _NONE, _SAID, _QUIET, _ONE, model="llama3.2:latest"),
    _chat("model twice, the last null", _ONE, _SAID, _QUIET, '"model":null', status=400),
    _chat(
        "model and its escape", _ONE, _SAID, r'"mod\u0065l":"qwen3:8b"', _QUIET, model="qwen3:8b"
    ),
    _chat("an escaped key", _SAID, r'"mod\u0065l":"llama3.2"', _QUIET, model="llama3.2:latest"),
    _chat("stream twice", _ONE, _SAID, '"stream":true', _QUIET),
    _chat("stream twice, the last wrong", _ONE, _SAID, _QUIET, '"stream":"no"', status=400),
    _chat("stream twice, the first wrong", _ONE, _SAID, '"stream":"no"', _QUIET),
    _chat("messages twice", _ONE, '"messages":[1]', _SAID, _QUIET),
    _chat(
        "messages twice, the first longer",
        _ONE,
        f'"messages":[{HELLO},{HELLO},{HELLO}]',
        _SAID,
        _QUIET,
        messages=[{"role": "user", "content": "hello [[n=2]]"}],
    ),
    _chat(
        "messages twice, the last without a thought",
        _ONE,
        '"messages":[{"role":"assistant","content":"a","thinking":"secret"}]',
        _SAID,
        _QUIET,
        messages=[{"role": "user", "content": "hello [[n=2]]"}],
    ),
)

_OPTIONS_TWICE = tuple(
    chat(f'"options":{first},"options":{second}', sent={"options.seed": seed, **_more})
    for first, second, seed, _more in (
        ('{"seed":1}', '{"seed":2}', 2, {}),
        ('{"seed":1}', '{"top_k":2}', ABSENT, {"options.top_k": 2}),
        ('{"num_ctx":99999}', '{"seed":2}', 2, {}),
        ('{"seed":2}', '{"num_ctx":99999}', ABSENT, {}),
        ('{"num_predict":-1}', '{"seed":2}', 2, {"options.num_predict": 4096}),
        ('{"num_predict":3}', '{"seed":2}', 2, {"options.num_predict": 4096}),
        ('{"seed":1}', "{}", ABSENT, {}),
        ('{"seed":1}', "null", ABSENT, {}),
        ("null", '{"seed":1}', 1, {}),
        ("1", '{"seed":1}', 1, {}),
        ('{"seed":1,"seed":2}', '{"seed":3,"seed":4}', 4, {}),
    )
)

_INNER_TWICE = (
    option('"seed":1,"seed":2', sent={"options.seed": 2}),
    option('"num_predict":1,"num_predict":-1', sent={"options.num_predict": 4096}),
    option('"num_predict":-1,"num_predict":1', sent={"options.num_predict": 1}),
    option('"num_ctx":1,"num_ctx":2', ignored=("num_ctx",)),
    option(r'"num_ct\u0078":1', ignored=("num_ctx",)),
    option('"stop":["a"],"stop":["b"]', sent={"options.stop": ["b"]}),
    said('{"role":"nobody","role":"user","content":"x"}'),
    said('{"role":"user","role":"nobody","content":"x"}', 400),
    said('{"role":"user","content":"x","content":"y"}', sent={"messages.0.content": "y"}),
    said('{"role":"user","content":1,"content":"y"}', sent={"messages.0.content": "y"}),
    chat('"keep_alive":0,"keep_alive":-1', ignored=("keep_alive",)),
    chat('"keep_alive":-1,"keep_alive":null'),
    chat('"format":"json","format":""', sent={"format": ABSENT}),
    chat('"format":{},"format":"json"', sent={"format": "json"}),
    chat('"_debug_render_only":false,"_debug_render_only":true', 400),
    chat('"_debug_render_only":true,"_debug_render_only":false'),
    generate('"raw":true,"raw":false', sent={"raw": ABSENT}),
    generate('"raw":false,"raw":true', 400),
    generate('"template":"x","template":""', sent={"template": ABSENT}),
    generate('"template":"","template":"x"', 400),
    generate('"context":[1],"context":[]', sent={"context": ABSENT}),
    generate('"prompt":"b"', sent={"prompt": "b"}),
    embed('"input":"a","input":["b"]', sent={"input": ["b"]}),
    embed('"input":["a","b"],"input":"c"', sent={"input": "c"}),
    embeddings('"prompt":"a","prompt":"b"'),
    openai('"max_tokens":1,"max_tokens":2', sent={"options.num_predict": 2}),
    openai('"max_tokens":1,"max_tokens":-2', sent={"options.num_predict": 4096}),
    openai('"model":"qwen3:8b"', sent={"model": "qwen3:8b"}),
)

_CHAT_TWINS = tuple(
    chat(fields, 400)
    for fields in (
        '"Model":"qwen3:8b"',
        '"MODEL":"not-installed"',
        '"mOdEl":"x:cloud"',
        '"Messages":[]',
        '"me\u017f\u017fages":[]',
        '"MESSAGE\u017f":[]',
        r'"me\u017f\u017fages":[]',
        '"\u017ftream":true',
        '"STREAM":null',
        '"Options":{"num_ctx":9}',
        '"option\u017f":{"num_ctx":9}',
        '"OPTIONS":{}',
        '"options":{"seed":1},"Options":{"num_gpu":0}',
        '"Keep_Alive":0',
        '"KEEP_ALIVE":"0s"',
        '"\u212aeep_alive":0',
        r'"\u212aeep_alive":0',
        r'"\u004beep_alive":0',
        '"\u212aEEP_ALIVE":-1',
        '"Format":"json"',
        '"Tools":[]',
        '"TOOL\u017f":[{}]',
        '"Think":true',
        '"thin\u212a":true',
        '"Shift":true',
        '"\u017fhift":true',
        '"Truncate":false',
        '"Logprobs":true',
        '"logprob\u017f":true',
        '"TOP_LOGPROBS":5',
        '"_Debug_Render_Only":true',
        '"_DEBUG_RENDER_ONLY":true',
    )
)

_OTHER_TWINS = (
    *(
        generate(fields, 400)
        for fields in (
            '"Prompt":"x"',
            '"System":"x"',
            '"\u017fy\u017ftem":"x"',
            '"Template":"x"',
            '"TEMPLATE":""',
            '"Context":[1]',
            '"RAW":true',
            '"Suffix":"x"',
            '"Images":["x"]',
            '"image\u017f":["x"]',
            '"\u212aeep_alive":0',
            '"_debug_render_Only":true',
            '"Options":{"num_ctx":1}',
            '"\u017fhift":false',
        )
    ),
    *(
        embed(f'"input":"a",{fields}', 400)
        for fields in ('"Input":"b"', '"Model":"x"', '"\u212aeep_alive":0', '"Truncate":false')
    ),
    *(embed(f'"input":"a",{fields}', 400) for fields in ('"option\u017f":{}', '"Dimensions":9')),
    *(embeddings(f'"prompt":"a",{fields}', 400) for fields in ('"Prompt":"b"', '"KEEP_ALIVE":0')),
    *(
        said(f'{{"role":"user","content":"x",{fields}}}', 400)
        for fields in (
            '"Role":"system"',
            '"CONTENT":"y"',
            '"Images":[]',
            '"image\u017f":[]',
            '"Thin\u212aing":"y"',
            '"Tool_Calls":[]',
            '"tool_call\u017f":[]',
            '"TOOL_NAME":"x"',
        )
    ),
    *(
        option(fields, 400)
        for fields in (
            '"Num_Ctx":9',
            '"NUM_PREDICT":-1',
            '"\u017feed":1',
            '"Temperature":1',
            '"num_\u212aeep":1',
            '"Use_Mmap":false',
            '"\u017ftop":["x"]',
        )
    ),
    *(
        openai(fields, 400)
        for fields in ('"Model":"x"', '"MAX_TOKENS":1', '"N":2', '"Stop":"x"', '"TOOLS":[]')
    ),
    openai('"\u017ftream":true', 400),
    openai('"me\u017f\u017fages":[]', 400),
)

_NO_TWINS = (
    *(
        chat(f"{key}:1")
        for key in (
            '" model"',
            '"model "',
            '"model\\u0000"',
            '"model\\n"',
            '"mo\\u200ddel"',
            '"\uff4dodel"',
            '"m\u043edel"',
            '"opt\u0131ons"',
            '"OPT\u0130ONS"',
            '"keep-alive"',
            '"keepalive"',
            '"keepAlive"',
            '"num_ctx"',
            '"model.name"',
            '"$model"',
        )
    ),
    chat('"user":"x"', ignored=("user",)),
    option('" num_ctx":9'),
    option('"num-ctx":9', ignored=("num-ctx",)),
    option('"numctx":9', ignored=("numctx",)),
    generate('"\uff52aw":true'),
    generate('" template":"x"'),
    whole(CHAT, "only a blank before model", f'{{" model":"x",{_SAID}}}', 400),
    whole(GENERATE, "only a blank behind prompt", f'{{{_ONE},"prompt ":"x"}}'),
)

ENTRIES = (
    *_TWICE,
    *_OPTIONS_TWICE,
    *_INNER_TWICE,
    *_CHAT_TWINS,
    *_OTHER_TWINS,
    *_NO_TWINS,
)
