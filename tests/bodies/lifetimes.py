"""What would load, unload, reload or keep a model that others share: it never gets through."""

from tests.bodies.entry import (
    ABSENT,
    CHAT,
    GENERATE,
    TALKER,
    chat,
    completion,
    embed,
    embeddings,
    generate,
    message,
    openai,
    response,
    vectors,
    whole,
)

_KEEP_ALIVES = (
    "0",
    "-1",
    "300",
    "300.5",
    "1e9",
    '"0"',
    '"0s"',
    '"5m"',
    '"-1"',
    '"-1s"',
    '"1h30m"',
    '"24h"',
    '"forever"',
    '""',
    "{}",
    "[]",
    "true",
    "false",
)
_GONE = {"keep_alive": ABSENT}
_NAMED = ("keep_alive",)

ENTRIES = (
    *(chat(f'"keep_alive":{text}', sent=_GONE, ignored=_NAMED) for text in _KEEP_ALIVES),
    chat('"keep_alive":null', sent=_GONE),
    *(
        generate(f'"keep_alive":{text}', sent=_GONE, ignored=_NAMED)
        for text in ("0", "-1", '"0s"', '"-1m"')
    ),
    *(
        make(fields, sent=_GONE, ignored=_NAMED)
        for make, fields in (
            (embed, '"input":"a","keep_alive":0'),
            (embed, '"input":"a","keep_alive":"-1s"'),
            (embeddings, '"prompt":"a","keep_alive":0'),
            (embeddings, '"prompt":"a","keep_alive":"-1s"'),
            (vectors, '"input":"a","keep_alive":0'),
            (openai, '"keep_alive":0'),
            (completion, '"keep_alive":"0s"'),
            (message, '"keep_alive":0'),
            (response, '"keep_alive":0'),
        )
    ),
    # A client that preloads, and one that would unload for all.
    whole(CHAT, "a preload", f'{{"model":"{TALKER}"}}', sent={"messages": []}),
    whole(CHAT, "a preload of null", f'{{"model":"{TALKER}","messages":null}}'),
    whole(CHAT, "a preload, quiet", f'{{"model":"{TALKER}","messages":[],"stream":false}}'),
    whole(
        CHAT,
        "an unload",
        f'{{"model":"{TALKER}","messages":[],"keep_alive":0}}',
        sent=_GONE,
        ignored=_NAMED,
    ),
    whole(
        CHAT,
        "an unload by a twin",
        f'{{"model":"{TALKER}","messages":[],"\u212aeep_alive":0}}',
        400,
    ),
    whole(GENERATE, "a preload", f'{{"model":"{TALKER}"}}'),
    whole(GENERATE, "a preload of nothing", f'{{"model":"{TALKER}","prompt":""}}'),
    whole(
        GENERATE,
        "an unload",
        f'{{"model":"{TALKER}","keep_alive":"0s"}}',
        sent=_GONE,
        ignored=_NAMED,
    ),
    whole(
        GENERATE,
        "a preload with a wish",
        f'{{"model":"{TALKER}","keep_alive":"24h","options":{{"num_ctx":131072}}}}',
        sent={**_GONE, "options": {"num_predict": 4096}},
        ignored=("keep_alive", "num_ctx"),
    ),
    *(
        chat(f'"shift":{text}', sent={"shift": ABSENT}, ignored=("shift",))
        for text in ("true", "1")
    ),
    *(
        generate(f'"shift":{text}', sent={"shift": ABSENT}, ignored=("shift",))
        for text in ("false", '"no"')
    ),
    chat('"shift":null', sent={"shift": ABSENT}),
    *(
        make(f'"{name}":{text}', sent={name: ABSENT}, ignored=(name,))
        for make in (chat, generate)
        for name, text in (
            ("num_ctx", "9"),
            ("remote_host", '"http://evil.test"'),
            ("remote_model", '"x"'),
            ("from", '"llama3.2"'),
            ("adapters", "{}"),
            ("path", '"/etc/passwd"'),
            ("insecure", "true"),
        )
    ),
)
