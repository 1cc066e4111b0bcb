"""Every option of Ollama's `Options` and `Runner` (its `api/types.go`), and those it never had."""

import json

from tests.bodies.entry import ABSENT, chat, embed, generate, option

_TAKEN = {
    "temperature": ("0.5", "0", "2"),
    "top_k": ("40", "0", "40.0"),
    "top_p": ("0.9", "1"),
    "min_p": ("0.05",),
    "typical_p": ("0.7",),
    "repeat_last_n": ("64", "-1", "0"),
    "repeat_penalty": ("1.1",),
    "presence_penalty": ("1.5", "-2"),
    "frequency_penalty": ("1", "-0.5"),
    "seed": ("42",),
    "stop": ('["a","b"]', "[]"),
    "num_keep": ("4", "-1", "0"),
    "penalize_newline": ("true", "false"),
    "mirostat": ("0", "1", "2"),
    "mirostat_tau": ("5.0",),
    "mirostat_eta": ("0.1",),
    "tfs_z": ("1",),
}
_WRONG = ('"x"', "{}", "[[]]")

_RUNNER = {
    "num_ctx": ("2048", "4096", "0", '"big"'),
    "num_batch": ("512", "1"),
    "num_gpu": ("0", "-1", "99"),
    "main_gpu": ("1",),
    "use_mmap": ("true", "false", '"no"'),
    "num_thread": ("1", "64", "[]"),
    "draft_num_predict": ("4",),
}
_UNKNOWN = {
    "low_vram": "true",
    "f16_kv": "true",
    "vocab_only": "true",
    "use_mlock": "true",
    "numa": "true",
    "logits_all": "true",
    "embedding_only": "true",
    "num_gqa": "8",
    "rope_frequency_base": "1000000",
    "rope_frequency_scale": "0.5",
    "max_tokens": "5",
    "model": '"qwen3:8b"',
    "keep_alive": "0",
    "template": '"x"',
    "context": "[1]",
    "raw": "true",
    "shift": "false",
    "_debug_render_only": "true",
    "foo": '{"bar":[1,2,{"baz":null}]}',
}

ENTRIES = (
    *(
        option(f'"{name}":{text}', sent={f"options.{name}": json.loads(text)})
        for name, texts in _TAKEN.items()
        for text in texts
    ),
    *(
        option(f'"{name}":{text}', 400)
        for name in _TAKEN
        for text in _WRONG
        if (name, text) != ("stop", '"x"')
    ),
    *(option(f'"{name}":null', sent={f"options.{name}": ABSENT}) for name in _TAKEN),
    *(
        option(f'"{name}":{text}', sent={f"options.{name}": ABSENT}, ignored=(name,))
        for name, texts in _RUNNER.items()
        for text in texts
    ),
    *(option(f'"{name}":null', sent={f"options.{name}": ABSENT}) for name in _RUNNER),
    *(
        option(f'"{name}":{text}', sent={f"options.{name}": ABSENT}, ignored=(name,))
        for name, text in _UNKNOWN.items()
    ),
    option('"stop":"x"', sent={"options.stop": ["x"]}),
    option(f'"stop":{json.dumps([str(number) for number in range(16)])}'),
    option(f'"stop":{json.dumps([str(number) for number in range(17)])}', 400),
    *(option(f'"stop":{text}', 400) for text in ("1", "[1]", "[null]", '["a",1]', "true")),
    *(option(f'"top_k":{text}', 400) for text in ("-1", "100001", "1.5", "true")),
    *(option(f'"mirostat":{text}', 400) for text in ("-1", "3", "true")),
    *(option(f'"repeat_last_n":{text}', 400) for text in ("-2", "32769")),
    *(option(f'"num_keep":{text}', 400) for text in ("-2", "32769", "0.5")),
    *(option(f'"penalize_newline":{text}', 400) for text in ("0", "1")),
    *(chat(f'"options":{text}', 400) for text in ("[]", '"x"', "1", "true", "[{}]")),
    *(
        chat(f'"options":{text}', sent={"options": {"num_predict": 4096}})
        for text in ("{}", "null")
    ),
    generate('"options":{"num_ctx":9,"seed":1}', sent={"options.seed": 1}, ignored=("num_ctx",)),
    generate('"options":[]', 400),
    generate('"options":{"num_predict":-1}', sent={"options.num_predict": 4096}),
    embed('"input":"a","options":{"num_ctx":9,"num_batch":1}', ignored=("num_ctx", "num_batch")),
    embed('"input":"a","options":{"foo":1}', ignored=("foo",)),
    embed('"input":"a","options":{}'),
    embed('"input":"a","options":null'),
    embed('"input":"a","options":1', 400),
)
