"""The fields of Ollama's `GenerateRequest`, right, wrong, null and neutral."""

from tests.bodies.chat_fields import PIXEL
from tests.bodies.entry import (
    ABSENT,
    CODER,
    EMBEDDER,
    GENERATE,
    OPEN,
    SEER,
    TALKER,
    THINKER,
    generate,
    whole,
)

_BASE = f'"model":"{TALKER}","stream":false'
_PIXELS = ",".join([f'"{PIXEL}"'] * 17)

ENTRIES = (
    generate(""),
    generate('"stream":true', name="streamed"),
    whole(GENERATE, "streamed by default", f'{{"model":"{TALKER}","prompt":"hello [[n=2]]"}}'),
    *(whole(GENERATE, f"prompt {text}", f'{{{_BASE},"prompt":{text}}}') for text in ('""', "null")),
    *(
        whole(GENERATE, f"prompt {text}", f'{{{_BASE},"prompt":{text}}}', 400)
        for text in ("1", "true", "[]", '["x"]', "{}")
    ),
    *(generate(f'"system":{text}') for text in ('"be kind"', '""', "null")),
    *(generate(f'"system":{text}', 400) for text in ("1", "[]", "{}", "false")),
    *(generate(f'"template":{text}', sent={"template": ABSENT}) for text in ('""', "null")),
    *(
        generate(f'"template":{text}', 400)
        for text in ('"{{ .Prompt }}"', '" "', "1", "[]", "{}", "true")
    ),
    *(generate(f'"context":{text}', sent={"context": ABSENT}) for text in ("[]", "null")),
    *(
        generate(f'"context":{text}', 400)
        for text in ("[1,2,3]", "[0]", "[null]", '"x"', "{}", "1", '["1"]', "[[]]")
    ),
    generate('"raw":true', 400),
    *(generate(f'"raw":{text}', sent={"raw": ABSENT}) for text in ("false", "null")),
    *(generate(f'"raw":{text}', 400) for text in ("1", "0", '"true"', '""', "[]", "{}")),
    *(generate(f'"suffix":{text}', sent={"suffix": ABSENT}) for text in ('""', "null")),
    generate('"suffix":"x"', 400, by_model=True),
    generate('"suffix":"x"', model=CODER, sent={"suffix": "x"}),
    *(generate(f'"suffix":{text}', 400) for text in ("1", "[]", "{}", "true")),
    *(generate(f'"images":{text}', sent={"images": ABSENT}) for text in ("[]", "null")),
    generate(f'"images":["{PIXEL}"]', 400, by_model=True, name="an image"),
    generate(f'"images":["{PIXEL}"]', model=SEER, name="an image that is seen"),
    generate(f'"images":[{_PIXELS}]', 400, name="17 images"),
    *(
        generate(f'"images":{text}', 400)
        for text in ('"x"', "1", "{}", "[1]", "[null]", '["http://evil.test/x.png"]', '["%"]')
    ),
    *(generate(f'"format":{text}', sent={"format": ABSENT}) for text in ('""', "null")),
    generate('"format":"json"', sent={"format": "json"}),
    *(generate(f'"format":{text}', 400) for text in ('"xml"', "1", "true", '["json"]')),
    *(generate(f'"think":{text}', model=THINKER) for text in ("true", "false", '"low"', "null")),
    *(generate(f'"think":{text}', 400, model=THINKER) for text in ('"x"', "1", "{}")),
    generate('"think":true', 400, by_model=True),
    *(generate(f'"stream":{text}', 400) for text in ('"x"', "1", "[]")),
    *(generate(f'"logprobs":{text}') for text in ("true", "false", "null")),
    generate('"logprobs":true,"top_logprobs":3'),
    generate('"logprobs":true,"top_logprobs":1000000', OPEN),
    *(generate(f'"truncate":{text}', OPEN) for text in ("true", "false", '"x"')),
    generate('"_debug_render_only":true', 400),
    *(
        generate(f'"_debug_render_only":{text}', sent={"_debug_render_only": ABSENT})
        for text in ("false", "null")
    ),
    *(
        generate(f'"{name}":{text}', sent={name: ABSENT}, ignored=(name,))
        for name, text in (
            ("width", "512"),
            ("height", "512"),
            ("steps", "20"),
            ("messages", "[]"),
            ("input", '"x"'),
            ("name", '"qwen3:8b"'),
            ("tool_choice", '"auto"'),
            ("verbose", "true"),
        )
    ),
    generate("", 400, model=EMBEDDER, by_model=True, name="an embedder"),
    whole(GENERATE, "an embedder loaded", f'{{"model":"{EMBEDDER}"}}', 400, by_model=True),
)
