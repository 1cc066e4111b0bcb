"""The fields of Ollama's `EmbedRequest` and `EmbeddingRequest`, and of OpenAI's embeddings."""

import json
from typing import Any

from tests.bodies.entry import (
    ABSENT,
    EMBED,
    OPEN,
    TALKER,
    Entry,
    embed,
    embeddings,
    vectors,
    whole,
)

_MOST = 2048


def _many(count: int) -> str:
    return f'"input":{json.dumps(["a"] * count)}'


def _also(fields: str, status: int = 200, **rest: Any) -> Entry:
    return embed(f'"input":"a",{fields}', status, **rest)


_EMBED = (
    embed('"input":"hello"', sent={"input": "hello"}),
    embed('"input":["a","b"]', sent={"input": ["a", "b"]}),
    embed('"input":["\u2028<&>\\u0000"]'),
    *(embed(f'"input":{text}', OPEN) for text in ('""', "[]", '[""]', "null", '["a",""]')),
    embed("", OPEN, name="no input"),
    *(
        embed(f'"input":{text}', 400)
        for text in ("1", "true", "{}", "[1]", "[1,2,3]", "[[1,2]]", "[null]", '["a",1]', '[["a"]]')
    ),
    embed('"input":[{}]', 400),
    embed(_many(_MOST), name="2048 inputs"),
    embed(_many(_MOST + 1), 400, name="2049 inputs"),
    *(_also(f'"truncate":{text}') for text in ("true", "false", "null")),
    *(_also(f'"truncate":{text}', 400) for text in ("1", '"x"', "[]")),
    _also('"dimensions":64', sent={"dimensions": 64}),
    _also('"dimensions":null'),
    *(_also(f'"dimensions":{text}', OPEN) for text in ("0", "-1", "1000000", "768")),
    *(_also(f'"dimensions":{text}', 400) for text in ('"64"', "[]", "true", "{}")),
    *(
        _also(f'"{name}":{text}', sent={name: ABSENT}, ignored=(name,))
        for name, text in (
            ("prompt", '"x"'),
            ("stream", "true"),
            ("format", '"json"'),
            ("encoding_format", '"base64"'),
            ("user", '"me"'),
            ("shift", "true"),
            ("num_ctx", "9"),
        )
    ),
    embed('"input":"a"', 400, model=TALKER, by_model=True),
    embed('"input":"a"', 403, model="not-installed"),
    whole(EMBED, "no model", '{"input":"a"}', 400),
    whole(EMBED, "a model of a number", '{"model":1,"input":"a"}', 400),
)

_EMBEDDINGS = (
    embeddings('"prompt":"hello"', sent={"input": "hello"}),
    *(embeddings(f'"prompt":{text}', OPEN) for text in ('""', "null")),
    *(embeddings(f'"prompt":{text}', 400) for text in ("1", "[]", '["a"]', "{}", "true")),
    embeddings('"prompt":"a","input":"b"', ignored=("input",)),
    embeddings('"prompt":"a","options":{"num_ctx":1}', ignored=("num_ctx",)),
    embeddings('"prompt":"a","truncate":false', OPEN),
    embeddings('"prompt":"a"', 400, model=TALKER, by_model=True),
    embeddings('"prompt":"a"', 403, model="not-installed"),
)

_OPENAI = (
    vectors('"input":"hello"'),
    vectors('"input":["a","b"]', sent={"input": ["a", "b"]}),
    *(vectors(f'"input":"a","encoding_format":{text}') for text in ('"float"', '"base64"', "null")),
    *(vectors(f'"input":"a","encoding_format":{text}', 400) for text in ('"hex"', "1", "[]")),
    vectors('"input":"a","dimensions":64', sent={"dimensions": 64}),
    *(vectors(f'"input":"a","dimensions":{text}', 400) for text in ('"64"', "1.5", "[]")),
    *(vectors(f'"input":{text}', 400) for text in ("[1,2,3]", "[[1,2],[3]]", "1", "{}", "[null]")),
    *(vectors(f'"input":{text}', OPEN) for text in ('""', "[]", '[""]', "null")),
    vectors('"input":"a","user":"me"', ignored=("user",)),
    vectors('"input":"a","options":{"num_ctx":9}', sent={"options": ABSENT}, ignored=("options",)),
    vectors(_many(_MOST + 1), 400, name="2049 inputs"),
    vectors('"input":"a","Input":"b"', 400),
    vectors('"input":"a","Encoding_Format":"float"', 400),
)

ENTRIES = (*_EMBED, *_EMBEDDINGS, *_OPENAI)
