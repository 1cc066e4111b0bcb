"""The fields of Ollama's `ChatRequest` and `Message`, right, wrong, null and neutral."""

from tests.bodies.entry import (
    ABSENT,
    CHAT,
    EMBEDDER,
    HELLO,
    OPEN,
    SEER,
    TALKER,
    THINKER,
    chat,
    said,
    whole,
)

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4"
    "2mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
"""The base64 of a PNG."""


def _seen(images: int) -> str:
    """A message with so many images."""
    listed = ",".join([f'"{PIXEL}"'] * images)
    return f'{{"role":"user","content":"a","images":[{listed}]}}'


_TOP = (
    *(chat(f'"stream":{text}') for text in ("true", "false", "null")),
    *(chat(f'"stream":{text}', 400) for text in ('"false"', "0", "1", "[]", "{}", '""')),
    whole(CHAT, "streamed by default", f'{{"model":"{TALKER}","messages":[{HELLO}]}}'),
    *(chat(f'"model":{text}', 400) for text in ("1", "[]", "{}", "true", '""', '" "', "null")),
    whole(CHAT, "no model", f'{{"messages":[{HELLO}]}}', 400),
    *(chat(f'"format":{text}', sent={"format": ABSENT}) for text in ('""', "null")),
    chat('"format":"json"', sent={"format": "json"}),
    *(chat(f'"format":{text}', 400) for text in ('"yaml"', '"JSON"', "1", "true", '["json"]')),
    *(chat(f'"think":{text}', model=THINKER) for text in ("true", "false", "null")),
    *(chat(f'"think":"{level}"', model=THINKER) for level in ("low", "medium", "high")),
    *(
        chat(f'"think":{text}', 400, model=THINKER)
        for text in ('"true"', '"lots"', "1", "0", "{}", "[]", '"xhigh"', '"LOW"')
    ),
    chat('"think":true', 400, by_model=True),
    chat('"think":false'),
    chat('"think":""', OPEN, model=THINKER),
    chat('"think":"max"', OPEN, model=THINKER),
    *(chat(f'"logprobs":{text}') for text in ("true", "false", "null")),
    *(chat(f'"logprobs":true,"top_logprobs":{text}') for text in ("0", "5", "20", "5.0", "null")),
    *(
        chat(f'"logprobs":true,"top_logprobs":{text}', OPEN)
        for text in ("-1", "21", "1e6", "2.5", '"5"', "true")
    ),
    *(chat(f'"logprobs":{text}', OPEN) for text in ("1", '"yes"', "[]")),
    *(chat(f'"truncate":{text}', OPEN) for text in ("true", "false", "null", "1", '"x"')),
    chat('"_debug_render_only":true', 400),
    *(
        chat(f'"_debug_render_only":{text}', sent={"_debug_render_only": ABSENT})
        for text in ("false", "null")
    ),
    *(chat(f'"_debug_render_only":{text}', 400) for text in ("1", '"true"', "{}")),
    *(
        chat(f'"{name}":{text}', sent={name: ABSENT}, ignored=(name,))
        for name, text in (
            ("user", '"me"'),
            ("prompt", '"x"'),
            ("system", '"x"'),
            ("template", '"{{ .System }}"'),
            ("context", "[1,2]"),
            ("raw", "true"),
            ("suffix", '"x"'),
            ("images", f'["{PIXEL}"]'),
            ("name", '"qwen3:8b"'),
            ("tool_choice", '"auto"'),
            ("max_tokens", "5"),
            ("temperature", "0.5"),
            ("response_format", '{"type":"json_object"}'),
            ("web_search", "true"),
            ("debug", "true"),
            ("DebugRenderOnly", "true"),
        )
    ),
    chat(
        ",".join(f'"unknown{number:03}":1' for number in range(200)),
        name="two hundred unknown fields",
        ignored=("unknown000", "unknown001"),
    ),
)

_MESSAGES = (
    *(chat(f'"messages":{text}', 400) for text in ("1", '"x"', "{}", "true", "[null]", '["x"]')),
    *(chat(f'"messages":{text}', 400) for text in ("[[]]", "[1]", "[{}]", f"[{HELLO},null]")),
    said(""),
    said(f"{HELLO},{HELLO},{HELLO}"),
    *(
        said(f'{{"role":"{role}","content":"x"}}', sent={"messages.0.role": role})
        for role in ("system", "user", "assistant")
    ),
    said('{"role":"tool","content":"x","tool_name":"f"}', sent={"messages.0.role": "tool"}),
    *(
        said(f'{{"role":{text},"content":"x"}}', 400)
        for text in ('"nobody"', '""', "1", "null", "[]", "{}", "true", '"user "', '"user\\u0000"')
    ),
    *(said(f'{{"role":"{role}","content":"x"}}', OPEN) for role in ("USER", "System", "developer")),
    said('{"content":"x"}', 400),
    said('{"role":"user"}'),
    said('{"role":"user","content":""}'),
    said('{"role":"user","content":null}', sent={"messages.0.content": ABSENT}),
    *(
        said(f'{{"role":"user","content":{text}}}', 400)
        for text in ("1", "true", "{}", "[]", '[{"type":"text","text":"x"}]', '["x"]')
    ),
    said('{"role":"assistant","content":"a","thinking":"b"}'),
    said('{"role":"assistant","content":"a","thinking":null}'),
    *(
        said(f'{{"role":"assistant","content":"a","thinking":{text}}}', 400)
        for text in ("1", "[]", "{}", "true")
    ),
    *(said(f'{{"role":"user","content":"a","images":{text}}}') for text in ("[]", "null")),
    *(
        said(f'{{"role":"user","content":"a","images":{text}}}', 400)
        for text in ('""', '"x"', "1", "{}", "[1]", "[null]", "[[]]", '["not base64!"]')
    ),
    *(
        said(f'{{"role":"user","content":"a","images":["{text}"]}}', 400)
        for text in (
            "http://evil.test/x.png",
            "https://evil.test/x.png",
            "file:///etc/passwd",
            "/etc/passwd",
            "iVBORw0KGgo",
            "iVBOR===",
        )
    ),
    said(_seen(1), 400, by_model=True, name="an image"),
    said(_seen(1), model=SEER, name="an image that is seen", sent={"messages.0.images": [PIXEL]}),
    said(_seen(16), model=SEER, name="16 images"),
    said(_seen(17), 400, name="17 images"),
    said(f"{_seen(9)},{_seen(9)}", 400, name="18 images in two messages"),
    *(
        said(f'{{"role":"user","content":"a","{name}":{text}}}', ignored=(name,))
        for name, text in (
            ("name", '"me"'),
            ("audio", '"x"'),
            ("refusal", '"x"'),
            ("id", "1"),
            ("metadata", "{}"),
            ("reasoning_content", '"x"'),
        )
    ),
    said('{"role":"user","content":"a","name":null}'),
    said(f'{{"role":"user","content":"{"é" * 40000}"}}', name="eighty thousand bytes"),
    chat('"messages":[]', model=EMBEDDER, status=400, by_model=True),
)

ENTRIES = (*_TOP, *_MESSAGES)
