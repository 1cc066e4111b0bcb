"""Which models a caller may use, by the one name that Ollama knows each of them under.

Ollama reads names loosely (case, default host, namespace, tag), so two spellings must not be two
rights. Whatever cannot be read as Ollama reads it has no name, and nobody may use it (SPEC 4, 6).
"""

import re
from collections.abc import Container, Iterable
from functools import lru_cache

from neuronetz_twisted.vocabulary import KeyRecord, ModelInfo, Principal

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


def principal_of(record: KeyRecord) -> Principal:
    """Make the principal of a credential: the key's own models if set, else the tenant's (SPEC 6).

    Names that stand for no model of ours fall away.
    """
    allow_all = record.key_allow_all_models
    names = record.tenant_models if record.key_models is None else record.key_models
    return Principal(
        tenant_id=record.tenant_id,
        key_id=record.key_id,
        prefix=record.prefix,
        scopes=record.scopes,
        allow_all_models=record.tenant_allow_all_models if allow_all is None else allow_all,
        models=frozenset(
            canonical for name in names if (canonical := canonical_name(name)) is not None
        ),
        expires_at=record.expires_at,
        epoch=record.epoch,
        prompt_logging=record.prompt_logging,
        tenant_limits=record.tenant_limits,
        key_limits=record.key_limits,
    )


def may_use(principal: Principal, model: str, catalog: Container[str]) -> bool:
    """Say whether a caller may use a model, by its canonical name; `catalog` holds all there are.

    Nothing set means nothing allowed.
    """
    return model in catalog and (principal.allow_all_models or model in principal.models)


def effective(principal: Principal, models: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    """Pick those of the discovered models that a caller may use, in their order."""
    return tuple(
        model for model in models if principal.allow_all_models or model.name in principal.models
    )
