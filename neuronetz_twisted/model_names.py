"""The one name that Ollama knows a model under, however it is spelt. Pure.

Ollama reads names loosely (case, default host, namespace, tag), so two spellings must not be two
rights. Whatever cannot be read as Ollama reads it has no name (SPEC 4).
"""

import re
from functools import lru_cache

_DEFAULT_HOST = "registry.ollama.ai"
_DEFAULT_NAMESPACE = "library"
_DEFAULT_TAG = "latest"

# Characters and lengths of Ollama's own parser (types/model/name.go). Whatever is before `://` is
# not looked at, and the host behind it may be missing.
_NAME = re.compile(
    r"(?:(?:(?:(?:(?!://).)*://)?(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349})/"
    r"|(?:(?!://).)*:///)?"
    r"(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_-]{0,79})/)?"
    r"(?P<model>[A-Za-z0-9_][A-Za-z0-9_.-]{0,79})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}))?",
    re.DOTALL,
)

# What Go's strings.TrimSpace trims; Python's own strip takes four more.
_BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


@lru_cache(maxsize=256)
def canonical_name(name: str) -> str | None:
    """Give a model's name as Ollama lists it, in lower case: `LLAMA3` is `llama3:latest`.

    None where the name is not valid, or stands for a model in Ollama's cloud (`:cloud`, `-cloud`),
    which would be paid by the operator. An explicit `:local` is left out, as Ollama does.
    """
    text = name.strip(_BLANKS)
    base, colon, suffix = text.rpartition(":")
    if colon and suffix.strip(_BLANKS).lower() == "local":
        text = base
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    # The characters are ASCII by now, which lower() turns into ASCII only.
    host, namespace, model, tag = (
        (match[part] or default).lower()
        for part, default in (
            ("host", _DEFAULT_HOST),
            ("namespace", _DEFAULT_NAMESPACE),
            ("model", ""),
            ("tag", _DEFAULT_TAG),
        )
    )
    if tag in ("cloud", "local") or tag.endswith("-cloud"):
        return None
    owner = ""
    if host != _DEFAULT_HOST:
        owner = f"{host}/{namespace}/"
    elif namespace != _DEFAULT_NAMESPACE:
        owner = f"{namespace}/"
    return f"{owner}{model}:{tag}"
