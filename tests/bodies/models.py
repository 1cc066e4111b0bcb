"""Names of models that cost the operator money, that are not there, or that are no names."""

from tests.bodies.entry import (
    CHAT,
    EMBED,
    EMBEDDINGS,
    GENERATE,
    HELLO,
    SHOW,
    Entry,
    chat,
    embed,
    generate,
    openai,
    whole,
)

_CLOUD = (
    "gpt-oss:120b-cloud",
    "gpt-oss:cloud",
    "llama3.2:cloud",
    "llama3.2:CLOUD",
    "llama3.2:latest-cloud",
    "llama3.2:latest-Cloud",
    "llama3.2-cloud",
    "llama3.2:cloud:local",
    "registry.ollama.ai/library/llama3.2:cloud",
    "ollama.com/library/llama3.2:latest",
    "llama3.2:cloud ",
    "qwen3:8b-cloud",
)
_NOT_HERE = (
    "hf.co/org/llama3.2:latest",
    "other/llama3.2",
    "evil.test/library/llama3.2",
    "http://evil.test/llama3.2",
    "../llama3.2",
    "llama3.2/../llama3.2",
    "/llama3.2",
    "llama3.2/",
    "llama3.2:",
    ":latest",
    "llama3.2@sha256:0000",
    "llama3.2%3Alatest",
    "llama3.2\\u0000",
    "llama3.2\\n:latest x",
    "llama 3.2",
    "\uff4clama3.2",
    "l\u0142ama3.2",
    "*",
    "x" * 500,
)
_HERE = (
    "LLAMA3.2",
    " llama3.2 ",
    "library/llama3.2",
    "registry.ollama.ai/library/llama3.2:latest",
    "Registry.Ollama.AI/Library/Llama3.2:LATEST",
    "llama3.2:latest:local",
)


def _shown(fields: str, status: int = 200) -> Entry:
    return whole(SHOW, fields, f"{{{fields}}}", status)


ENTRIES = (
    *(chat("", 403, model=name, name=f"model {name}") for name in (*_CLOUD, *_NOT_HERE)),
    *(generate("", 403, model=name, name=f"model {name}") for name in _CLOUD[:4]),
    *(openai("", 403, model=name, name=f"model {name}") for name in _CLOUD[:4]),
    *(embed('"input":"a"', 403, model=name) for name in ("nomic-embed-text:cloud", "x-cloud")),
    *(
        chat("", model=name, name=f"model {name}", sent={"model": "llama3.2:latest"})
        for name in _HERE
    ),
    chat("", 400, model="x" * 600, name="a name of 600 letters"),
    whole(CHAT, "name for model", f'{{"name":"llama3.2","messages":[{HELLO}]}}', 400),
    whole(GENERATE, "name for model", '{"name":"llama3.2","prompt":"x"}', 400),
    whole(EMBED, "name for model", '{"name":"nomic-embed-text","input":"x"}', 400),
    whole(EMBEDDINGS, "name for model", '{"name":"nomic-embed-text","prompt":"x"}', 400),
    *(
        _shown(fields)
        for fields in (
            '"model":"llama3.2"',
            '"name":"llama3.2"',
            '"model":"","name":"llama3.2"',
            '"model":null,"name":"llama3.2"',
            '"model":"llama3.2","name":"not-installed"',
            '"model":"llama3.2","verbose":true',
            '"model":"llama3.2","verbose":null',
            '"model":"llama3.2","system":"x","template":"y","options":{"num_ctx":9}',
            '"model":"llama3.2","foo":1',
            '"model":"not-installed","model":"llama3.2"',
        )
    ),
    *(
        _shown(fields, 400)
        for fields in (
            "",
            '"model":1',
            '"model":""',
            '"name":[]',
            '"Model":"qwen3:8b","model":"llama3.2"',
            '"model":"llama3.2","NAME":"qwen3:8b"',
            '"model":"llama3.2","verbo\u017fe":true',
        )
    ),
    *(_shown(f'"model":"{name}"', 403) for name in (*_CLOUD[:3], *_NOT_HERE[:3])),
)
