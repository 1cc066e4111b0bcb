"""The one name that Ollama knows a model under, however it is spelt. Pure.

Ollama reads names loosely (case, default host, namespace, tag), so two spellings must not be two
rights. Whatever cannot be read as Ollama reads it has no name (SPEC 4).
"""

import re
from functools import lru_cache

_DEFAULT_HOST = "registry.ollama.ai"
_DEFAULT_NAMESPACE = "library"
_DEFAULT_TAG = "latest"

# Characters and lengths of Ollama's own parser (types/model/name.go).
_NAME = re.compile(
    r"(?:(?:(?P<host>[a-z0-9_][a-z0-9_.:-]{0,349})/)?"
    r"(?P<namespace>[a-z0-9_][a-z0-9_-]{0,79})/)?"
    r"(?P<model>[a-z0-9_][a-z0-9_.-]{0,79})"
    r"(?::(?P<tag>[a-z0-9_][a-z0-9_.-]{0,79}))?"
)


@lru_cache(maxsize=256)
def canonical_name(name: str) -> str | None:
    """Give a model's name as Ollama lists it, in lower case: `LLAMA3` is `llama3:latest`.

    None where the name is not valid, or stands for a model in Ollama's cloud (`:cloud`, `-cloud`),
    which would be paid by the operator. An explicit `:local` is left out, as Ollama does.
    """
    # Before lower(), which turns a Kelvin sign into a k.
    if not name.isascii():
        return None
    text = name.strip(" \t\r\n\v\f").lower().removesuffix(":local")
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    tag = match["tag"] or _DEFAULT_TAG
    if tag in ("cloud", "local") or tag.endswith("-cloud"):
        return None
    host = match["host"] or _DEFAULT_HOST
    namespace = match["namespace"] or _DEFAULT_NAMESPACE
    owner = ""
    if host != _DEFAULT_HOST:
        owner = f"{host}/{namespace}/"
    elif namespace != _DEFAULT_NAMESPACE:
        owner = f"{namespace}/"
    return f"{owner}{match['model']}:{tag}"
