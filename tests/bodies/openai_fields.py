"""The fields of OpenAI's chat completions and completions, as its clients send them."""

from typing import Any

from tests.bodies.chat_fields import PIXEL
from tests.bodies.entry import (
    ABSENT,
    CHAT_COMPLETIONS,
    COMPLETIONS,
    HELLO,
    OPEN,
    SEER,
    TALKER,
    THINKER,
    Entry,
    completion,
    openai,
    whole,
)

_FUNCTION = '{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}'
_CALL = '{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\\"a\\":1}"}}'


def _said(messages: str, status: int = 200, **rest: Any) -> Entry:
    body = f'{{"model":"{TALKER}","messages":[{messages}]}}'
    return whole(CHAT_COMPLETIONS, str(rest.pop("name", messages)), body, status, **rest)


def _parts(parts: str, status: int = 200, **rest: Any) -> Entry:
    return _said(f'{{"role":"user","content":[{parts}]}}', status, **rest)


_FIELDS = (
    openai(""),
    *(openai(f'"stream":{text}', name=f"stream {text}") for text in ("true", "false", "null")),
    *(openai(f'"stream":{text}', 400) for text in ("1", '"true"', "[]")),
    *(
        openai(f'"stream":true,"stream_options":{text}')
        for text in ('{"include_usage":true}', '{"include_usage":false}', "{}", "null")
    ),
    *(openai(f'"stream_options":{text}', 400) for text in ("1", "[]", '{"include_usage":1}')),
    openai('"seed":1', sent={"options.seed": 1}),
    openai('"stop":"x"', sent={"options.stop": ["x"]}),
    openai('"stop":["x","y"]', sent={"options.stop": ["x", "y"]}),
    *(openai(f'"stop":{text}', 400) for text in ("1", "[1]", "{}")),
    openai('"stop":null', sent={"options.stop": ABSENT}),
    openai('"frequency_penalty":1', sent={"options.frequency_penalty": 1}),
    openai('"presence_penalty":-1', sent={"options.presence_penalty": -1}),
    openai('"top_p":0.5', sent={"options.top_p": 0.5}),
    openai('"logprobs":true,"top_logprobs":2', sent={"logprobs": True, "top_logprobs": 2}),
    openai('"logprobs":false'),
    openai('"logprobs":true,"top_logprobs":21', OPEN),
    *(openai(f'"reasoning_effort":"{level}"', model=THINKER) for level in ("low", "high", "none")),
    openai('"reasoning_effort":"loud"', 400, model=THINKER),
    openai('"reasoning_effort":null'),
    openai(f'"tools":[{_FUNCTION}]', name="a tool"),
    openai(f'"tools":[{_FUNCTION}],"tool_choice":"auto"', name="a tool, at will"),
    openai(f'"tools":[{_FUNCTION}],"tool_choice":"none"', sent={"tools": ABSENT}),
    openai(f'"tools":[{_FUNCTION}],"tool_choice":"required"', ignored=("tool_choice",)),
    openai(
        f'"tools":[{_FUNCTION}],"tool_choice":{{"type":"function","function":{{"name":"f"}}}}',
        ignored=("tool_choice",),
    ),
    openai('"tool_choice":"auto"'),
    *(openai(f'"tools":{text}') for text in ("[]", "null")),
    *(openai(f'"tools":{text}', 400) for text in ("{}", "1", "[null]", "[{}]")),
    *(
        openai(f'"{name}":{text}', sent={name: ABSENT}, ignored=(name,))
        for name, text in (
            ("user", '"me"'),
            ("logit_bias", '{"50256":-100}'),
            ("metadata", '{"a":"b"}'),
            ("store", "true"),
            ("service_tier", '"auto"'),
            ("safety_identifier", '"x"'),
            ("prompt_cache_key", '"x"'),
            ("num_ctx", "131072"),
            ("template", '"x"'),
            ("raw", "true"),
            ("context", "[1]"),
            ("shift", "true"),
            ("truncate", "false"),
            ("format", '"json"'),
            ("think", "true"),
            ("keep_alive", '"24h"'),
            ("extra_body", "{}"),
        )
    ),
    openai(
        '"options":{"num_ctx":131072,"seed":1}',
        sent={"options.num_ctx": ABSENT, "options.seed": ABSENT},
        ignored=("options",),
    ),
    openai('"parallel_tool_calls":true', OPEN),
    openai('"modalities":["text"]', OPEN),
    openai('"_debug_render_only":true', OPEN, sent={"_debug_render_only": ABSENT}),
    *(openai(f'"functions":{text}', OPEN) for text in ('[{"name":"f"}]', "[]")),
    openai('"model":null', 400),
    openai("", 403, model="not-installed"),
)

_MESSAGES = (
    _said(""),
    whole(CHAT_COMPLETIONS, "no messages", f'{{"model":"{TALKER}"}}', OPEN),
    _said('{"role":"developer","content":"x"}', sent={"messages.0.role": "system"}),
    _said(f'{HELLO},{{"role":"assistant","content":null,"tool_calls":[{_CALL}]}}'),
    _said(
        f'{HELLO},{{"role":"assistant","tool_calls":[{_CALL}]}},'
        '{"role":"tool","tool_call_id":"call_1","content":"sun"}'
    ),
    _said('{"role":"user","content":"x","name":"me"}', ignored=("name",)),
    _said('{"role":"assistant","content":"x","refusal":null,"audio":null,"function_call":null}'),
    *(
        _said(f'{{"role":{text},"content":"x"}}', 400)
        for text in ('"nobody"', "1", "null", '"user "', "[]")
    ),
    *(_said(text, 400) for text in ("1", "null", '"x"', "[]", '{"content":"x"}')),
    *(_said(f'{{"role":"user","content":{text}}}', 400) for text in ("1", "{}", "true")),
    *(
        _said(f'{{"role":"assistant","tool_calls":[{text}]}}', 400)
        for text in (
            "1",
            "null",
            "{}",
            '{"function":{"name":"f","arguments":"not json"}}',
            '{"function":{"name":"f","arguments":"[1]"}}',
            '{"function":{"name":1,"arguments":"{}"}}',
        )
    ),
    _said('{"Role":"system","role":"user","content":"x"}', 400),
    _said('{"role":"user","content":"x","Content":"y"}', 400),
)

_PARTS = (
    _parts('{"type":"text","text":"a"},{"type":"text","text":"b"}'),
    _parts(""),
    *(
        _parts(text, 400)
        for text in (
            "1",
            "null",
            '"x"',
            "{}",
            '{"type":"text","text":1}',
            '{"type":"text","Text":"x"}',
            '{"type":"audio"}',
            '{"type":1}',
            '{"type":"input_audio","input_audio":{"data":"x","format":"wav"}}',
            '{"type":"file","file":{"file_id":"x"}}',
        )
    ),
    *(
        _parts(f'{{"type":"image_url","image_url":{{"url":"{url}"}}}}', 400)
        for url in (
            "http://evil.test/x.png",
            "https://169.254.169.254/latest",
            "file:///etc/passwd",
            "data:image/png;base64,%%%",
            "data:text/html;base64,PGI+",
            "data:image/png,plain",
            "",
            "ftp://evil.test/x",
        )
    ),
    _parts('{"type":"image_url","image_url":{}}', 400),
    _parts('{"type":"image_url","image_url":1}', 400),
    _parts(
        f'{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{PIXEL}"}}}}',
        400,
        by_model=True,
        name="an image",
    ),
)

_SEEN = whole(
    CHAT_COMPLETIONS,
    "an image that is seen",
    f'{{"model":"{SEER}","messages":[{{"role":"user","content":[{{"type":"image_url",'
    f'"image_url":{{"url":"data:image/png;base64,{PIXEL}"}}}}]}}]}}',
    sent={"messages.0.images": [PIXEL]},
)

_COMPLETIONS = (
    completion(""),
    completion('"stream":true', name="streamed"),
    completion('"stream":true,"stream_options":{"include_usage":true}'),
    whole(COMPLETIONS, "no prompt", f'{{"model":"{TALKER}"}}', OPEN),
    *(
        whole(COMPLETIONS, f"prompt {text}", f'{{"model":"{TALKER}","prompt":{text}}}', 400)
        for text in ("1", "{}", "[1,2]", "[[1]]", "true")
    ),
    *(completion(f'"{name}":{text}', OPEN) for name, text in (("echo", "true"), ("best_of", "2"))),
    completion('"suffix":"x"', 400, by_model=True),
    completion('"suffix":null'),
    completion('"n":2', 400),
    completion('"n":1'),
    completion('"stop":["a"]', sent={"options.stop": ["a"]}),
    completion('"logprobs":2', OPEN),
    completion('"user":"me"', ignored=("user",)),
    completion('"raw":true', ignored=("raw",), sent={"raw": ABSENT}),
    completion('"template":"x"', ignored=("template",), sent={"template": ABSENT}),
    completion('"system":"x"', OPEN, sent={"system": ABSENT}),
    completion('"Prompt":"x"', 400),
    completion('"_debug_render_only":true', OPEN),
    completion('"temperature":0.5,"top_p":0.5,"seed":3', sent={"options.seed": 3}),
)

ENTRIES = (*_FIELDS, *_MESSAGES, *_PARTS, _SEEN, *_COMPLETIONS)
