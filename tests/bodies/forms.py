"""Media types: whatever a client calls its JSON, as `curl -d` calls it a form (SPEC 4)."""

from tests.bodies.entry import (
    CHAT,
    EMBED,
    GENERATE,
    HELLO,
    OPEN,
    SHOW,
    TALKER,
    as_form,
    chat,
    completion,
    embed,
    embeddings,
    generate,
    message,
    openai,
    option,
    response,
    vectors,
    whole,
)

FORM = "application/x-www-form-urlencoded"

_CHAT = chat("", name="as it is")
_OTHERS = (
    generate("", name="as it is"),
    embed('"input":"a"', name="as it is"),
    embeddings('"prompt":"a"', name="as it is"),
    openai("", name="as it is"),
    completion("", name="as it is"),
    vectors('"input":"a"', name="as it is"),
    message("", name="as it is"),
    response("", name="as it is"),
    whole(SHOW, "as it is", f'{{"model":"{TALKER}"}}'),
)
_SNEAKY = (
    option('"num_ctx":9', ignored=("num_ctx",), name="as it is, with num_ctx"),
    chat('"keep_alive":0', ignored=("keep_alive",), name="as it is, with keep_alive"),
    chat('"Keep_Alive":0', 400, name="as it is, with a twin"),
    generate('"template":"x"', 400, name="as it is, with template"),
)

ENTRIES = (
    *(
        as_form(_CHAT, kind)
        for kind in (
            FORM,
            f"{FORM}; charset=utf-8",
            "text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=latin-1",
            "application/x-ndjson",
            "image/png",
            "nonsense",
            "a" * 999,
            None,
        )
    ),
    *(as_form(_CHAT, kind, 415) for kind in ("multipart/form-data; boundary=x", "Multipart/Mixed")),
    *(as_form(entry, FORM) for entry in (*_OTHERS, *_SNEAKY)),
    *(as_form(entry, None) for entry in _SNEAKY),
    *(
        as_form(whole(path, "a real form", f"model={TALKER}&{rest}", 400), FORM)
        for path, rest in (
            (CHAT, "messages=x"),
            (GENERATE, "prompt=hello"),
            (EMBED, "input=a"),
            (SHOW, "name=llama3.2"),
        )
    ),
    as_form(
        whole(CHAT, "JSON in a field", f'{{"model":"{TALKER}","messages":[{HELLO}]}}=', 400), FORM
    ),
    as_form(whole(GENERATE, "percent forms", '{"model":"llama3%2E2","prompt":"x"}', 403), FORM),
    as_form(whole(GENERATE, "plus for a blank", '{"model":"llama3.2","prompt":"a+b"}', OPEN), FORM),
)
