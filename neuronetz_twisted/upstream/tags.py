"""What a model host says of its models, cut down to what a tenant may see. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.model_names import canonical_name

_LISTING = {"modified_at": str, "size": int, "digest": str}
_DETAILS = {
    "model_info": dict,
    "capabilities": list,
    "parameters": str,
    "modified_at": str,
}
_FORMAT = {
    "format": str,
    "family": str,
    "families": list,
    "parameter_size": str,
    "quantization_level": str,
}
_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+.].*)?")


def read_json(body: bytes) -> Mapping[str, Any]:
    """The object that a model host answered. Raises `UpstreamNonsense`."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UpstreamNonsense("an answer is not JSON") from None
    if not isinstance(data, dict):
        raise UpstreamNonsense("an answer is not an object")
    return data


def version_of(body: bytes) -> tuple[int, int, int]:
    """The version in an answer to `GET /api/version`. Raises `UpstreamNonsense`."""
    version = read_json(body).get("version")
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise UpstreamNonsense("a version is not three numbers")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def listings_of(body: bytes, most: int) -> dict[str, dict[str, Any]]:
    """The local models in an answer to `GET /api/tags`, by canonical name, under Ollama's own.

    Models that run elsewhere (`remote_host`, `:cloud`) are left out, as is whatever has no name
    that a request could have. Raises `UpstreamNonsense`, also for more than `most` models.
    """
    models = read_json(body).get("models")
    if models is None:
        return {}
    if not isinstance(models, list) or len(models) > most:
        raise UpstreamNonsense("the list of models is not usable")
    listings: dict[str, dict[str, Any]] = {}
    for entry in models:
        if not isinstance(entry, dict) or entry.get("remote_host") or entry.get("remote_model"):
            continue
        name = entry.get("name")
        canonical = canonical_name(name) if isinstance(name, str) else None
        if canonical is not None:
            listings[canonical] = {
                "name": name,
                "model": name,
                **_typed(entry, _LISTING),
                "details": _format_of(entry),
            }
    return listings


def details_of(body: bytes) -> dict[str, Any]:
    """What a tenant may see of an answer to `POST /api/show`. Raises `UpstreamNonsense`."""
    data = read_json(body)
    return {"details": _format_of(data), **_typed(data, _DETAILS)}


def _format_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """How a model is stored. Its parent is left empty: a path of the host, or another's model."""
    details = data.get("details")
    return {"parent_model": "", **_typed(details if isinstance(details, dict) else {}, _FORMAT)}


def _typed(data: Mapping[str, Any], types: Mapping[str, type]) -> dict[str, Any]:
    return {name: data[name] for name, kind in types.items() if isinstance(data.get(name), kind)}
