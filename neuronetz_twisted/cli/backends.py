"""Model hosts: whether they answer, with what version and which models (SPEC 6, 11)."""

import time
from collections.abc import Mapping
from typing import Any

import click
from attrs import frozen

from neuronetz_twisted.cli.exchange import NoAnswer, exchange
from neuronetz_twisted.cli.options import json_option
from neuronetz_twisted.cli.output import Fault, show_one
from neuronetz_twisted.cli.session import loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.upstream.backends import Backend, backends_of
from neuronetz_twisted.upstream.discovery import MAX_ANSWER_BYTES, MAX_MODELS, POLL_TIMEOUT_S
from neuronetz_twisted.upstream.tags import listings_of, version_of

_OK = 200
_DENIED = {401, 403}


@frozen(kw_only=True)
class Probe:
    """What a model host answered; `latency_s` is that of the shorter of two requests.

    `models` are those that discovery would list, by canonical name.
    """

    version: tuple[int, int, int]
    latency_s: float
    models: Mapping[str, Mapping[str, Any]]


def probe(settings: Settings) -> Probe:
    """Ask the model host as discovery does. Raises `Fault`."""
    (backend,) = backends_of(settings)
    began = time.monotonic()
    version = _answer(settings, backend, "/api/version")
    latency_s = time.monotonic() - began
    tags = _answer(settings, backend, "/api/tags")
    try:
        return Probe(
            version=version_of(version), latency_s=latency_s, models=listings_of(tags, MAX_MODELS)
        )
    except UpstreamNonsense as error:
        raise Fault(f"{backend.url} does not answer like an Ollama: {error}") from None


def too_old(found: Probe, settings: Settings) -> str | None:
    """Why the host is not used, as a sentence; None if its version is good (SPEC 10)."""
    if found.version >= settings.ollama_min_version:
        return None
    return (
        f"Ollama {dotted(found.version)} at {settings.ollama_base_url} is older than "
        f"{dotted(settings.ollama_min_version)} and is not used"
    )


def dotted(version: tuple[int, ...]) -> str:
    """A version as Ollama writes it."""
    return ".".join(map(str, version))


@click.command()
@json_option
def probe_ollama(*, as_json: bool) -> None:
    """Ask the model host at OLLAMA_BASE_URL; status 1 if the gateway could not use it."""
    settings = loaded().settings
    record: dict[str, Any] = {
        "url": settings.ollama_base_url,
        "usable": False,
        "version": None,
        "min_version": dotted(settings.ollama_min_version),
        "latency_ms": None,
        "models": [],
    }
    try:
        found = probe(settings)
    except Fault:
        show_one(record, as_json=as_json)
        raise
    complaint = too_old(found, settings)
    record["usable"] = complaint is None
    record["version"] = dotted(found.version)
    record["latency_ms"] = round(found.latency_s * 1000, 1)
    record["models"] = sorted(found.models)
    show_one(record, as_json=as_json)
    if complaint is not None:
        raise Fault(complaint)


def _answer(settings: Settings, backend: Backend, path: str) -> bytes:
    headers = {}
    if backend.token_header is not None:
        name, value = backend.token_header
        headers[name.decode("ascii")] = value.decode("ascii")
    try:
        answer = exchange(
            "GET",
            f"{backend.url}{path}",
            headers=headers,
            connect_timeout_s=settings.ollama_connect_timeout_s,
            timeout_s=POLL_TIMEOUT_S,
            most_bytes=MAX_ANSWER_BYTES,
        )
    except NoAnswer as error:
        raise Fault(f"{backend.url} does not answer: {error}") from None
    if answer.status in _DENIED:
        raise Fault(f"{backend.url} answers {answer.status}: is OLLAMA_AUTH_TOKEN right?")
    if answer.status != _OK:
        raise Fault(f"{backend.url}{path} answers {answer.status}")
    return answer.body
