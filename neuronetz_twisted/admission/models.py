"""Which models a caller may use, by the one name that Ollama knows each of them under.

Whatever has no such name (model_names.py) nobody may use (SPEC 4, 6).
"""

from collections.abc import Container, Iterable

from neuronetz_twisted.model_names import canonical_name
from neuronetz_twisted.vocabulary import KeyRecord, ModelInfo, Principal


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
