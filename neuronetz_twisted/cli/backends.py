"""Model hosts: which there are, whether they answer, and what they have (SPEC 6, 11)."""

import time
from collections.abc import Mapping
from typing import Any

import click
from attrs import frozen

from neuronetz_twisted.backend_list import BackendEntry
from neuronetz_twisted.cli.exchange import NoAnswer, exchange
from neuronetz_twisted.cli.options import json_option
from neuronetz_twisted.cli.output import Columns, Fault, Record, note, show_all, show_json, show_one
from neuronetz_twisted.cli.session import loaded
from neuronetz_twisted.config import Settings
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.upstream.backends import Backend, backends_of, entries_of
from neuronetz_twisted.upstream.discovery import MAX_ANSWER_BYTES, MAX_MODELS, POLL_TIMEOUT_S
from neuronetz_twisted.upstream.tags import listings_of, version_of

_OK = 200
_DENIED = {401, 403}
_MASK = "***"

BACKEND_COLUMNS: Columns = {
    "name": lambda backend: backend["name"],
    "url": lambda backend: backend["url"],
    "token": lambda backend: backend["token"],
    "header": lambda backend: backend["header"],
    "slots": lambda backend: backend["slots"],
}
_PROBED_COLUMNS: Columns = {
    **BACKEND_COLUMNS,
    "version": lambda backend: backend["version"],
    "latency": lambda backend: _with_unit(backend["latency_ms"]),
    "models": lambda backend: len(backend["models"]),
    "fault": lambda backend: backend["fault"],
}


@frozen(kw_only=True)
class Probe:
    """What a model host answered; `latency_s` is that of the shorter of two requests.

    `models` are those that discovery would list, by canonical name. `fault` says why the host
    cannot be used, in a sentence; without an answer it is all there is.
    """

    version: tuple[int, int, int] | None = None
    latency_s: float | None = None
    models: Mapping[str, Mapping[str, Any]]
    fault: str | None = None

    def as_record(self) -> Record:
        """What there is to show of it."""
        return {
            "usable": self.fault is None,
            "version": None if self.version is None else dotted(self.version),
            "latency_ms": None if self.latency_s is None else round(self.latency_s * 1000, 1),
            "models": sorted(self.models),
            "fault": self.fault,
        }


def probe(settings: Settings, backend: Backend) -> Probe:
    """Ask a model host as discovery does."""
    try:
        began = time.monotonic()
        version = version_of(_answer(settings, backend, "/api/version"))
        latency_s = time.monotonic() - began
        models = listings_of(_answer(settings, backend, "/api/tags"), MAX_MODELS)
    except UpstreamNonsense as error:
        words = f"{backend.url} does not answer like an Ollama: {error}"
        return Probe(models={}, fault=words)
    except Fault as error:
        return Probe(models={}, fault=error.message)
    return Probe(
        version=version,
        latency_s=latency_s,
        models=models,
        fault=_too_old(settings, backend, version),
    )


def installed(settings: Settings) -> Mapping[str, Record]:
    """The models that discovery would find, by canonical name, each with its `backends`.

    A host that cannot be used is told in a note. Raises `Fault` where none can.
    """
    found: dict[str, dict[str, Any]] = {}
    faults = []
    backends = backends_of(settings)
    for backend in backends:
        result = probe(settings, backend)
        if result.fault is not None:
            faults.append(result.fault)
            continue
        for name, listing in result.models.items():
            found.setdefault(name, {**listing, "backends": []})["backends"].append(backend.name)
    if len(faults) == len(backends):
        raise Fault("; ".join(faults))
    for fault in faults:
        note(f"note: {fault}")
    return found


def dotted(version: tuple[int, ...]) -> str:
    """A version as Ollama writes it."""
    return ".".join(map(str, version))


def backend_record(entry: BackendEntry, settings: Settings) -> Record:
    """A backend as it is configured, without its token."""
    return {
        "name": entry.name,
        "url": entry.url,
        "token": None if entry.token is None else _MASK,
        "header": entry.header,
        "scheme": entry.scheme,
        "slots": entry.slots or settings.ollama_max_connections,
    }


@click.command()
@json_option
def probe_ollama(*, as_json: bool) -> None:
    """Ask every model host; status 1 if the gateway could not use one of them."""
    settings = loaded().settings
    records: list[Record] = []
    faults = []
    for backend in backends_of(settings):
        found = probe(settings, backend)
        least = dotted(settings.ollama_min_version)
        place = {"name": backend.name, "url": backend.url, "min_version": least}
        records.append({**place, **found.as_record()})
        if found.fault is not None:
            faults.append(found.fault)
        if not as_json:
            show_one(records[-1], as_json=False)
    if as_json:
        show_json(records)
    if faults:
        raise Fault("; ".join(faults))


@click.command()
@click.option("--probe", "probed", is_flag=True, help="Ask each of them as well.")
@json_option
def list_backends(*, probed: bool, as_json: bool) -> None:
    """Show the model hosts in the order in which they are asked."""
    settings = loaded().settings
    records = [backend_record(entry, settings) for entry in entries_of(settings)]
    if probed:
        results = [probe(settings, backend) for backend in backends_of(settings)]
        records = [
            {**record, **result.as_record()}
            for record, result in zip(records, results, strict=True)
        ]
    show_all(records, _PROBED_COLUMNS if probed else BACKEND_COLUMNS, as_json=as_json)


def _too_old(settings: Settings, backend: Backend, version: tuple[int, int, int]) -> str | None:
    """Why a host is not used that answers; None if its version is good (SPEC 10)."""
    least = settings.ollama_min_version
    if version >= least:
        return None
    old = f"Ollama {dotted(version)} at {backend.url}"
    return f"{old} is older than {dotted(least)} and is not used"


def _with_unit(latency_ms: float | None) -> str | None:
    return None if latency_ms is None else f"{latency_ms} ms"


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
        told = "OLLAMA_AUTH_TOKEN, or its token in OLLAMA_BACKENDS,"
        raise Fault(f"{backend.url} answers {answer.status}: is {told} right?")
    if answer.status != _OK:
        raise Fault(f"{backend.url}{path} answers {answer.status}")
    return answer.body
