"""`docs/openapi.yaml` held against a running gateway, by schemathesis as a program of its own.

    report = conformance(case, stack, examples=15)     its verdict, and what was asked

The document speaks of models that a key may use, and of images; here they are those that the mock
has and takes, so that whatever fits the document can be asked to be answered.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.request import MODEL_PATH, ROUTES
from neuronetz_twisted.vocabulary import Scope
from tests.figures import within
from tests.gateway import PROGRAMS, Stack, shared_stack
from tests.http_client import ask
from tests.processes import eventually

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "openapi.yaml"
CONFIGURATION = ROOT / "tests" / "schemathesis.toml"

_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
ABLE = "omni:9b"
"""A model of the mock that can do whatever an operation may ask for, but for vectors."""

EXAMPLES: Mapping[str, list[str | None]] = {
    "ModelName": [ABLE, "Omni:9B"],
    "EmbeddingModelName": ["nomic-embed-text", "nomic-embed-text:latest"],
    "Image": [_PNG],
    "ImageUrl": [f"data:image/png;base64,{_PNG}"],
    "Arguments": ["", "{}", '{"city": "Paris"}', None],
}
"""What stands for strings of which a schema cannot say what must be in them."""

METHODS = frozenset({"get", "head", "post"})


def stack_for_it() -> Stack:
    """A gateway in front of a mock with models for all operations.

    Wrong keys do not tire it, and it has room for as many vectors as one may ask for.
    """
    stack = shared_stack(
        AUTH_FAILURE_RATE_LIMIT_PER_IP_PER_MIN="1000000",
        MAX_RESPONSE_BYTES=str(64 * 1024 * 1024),
        MODEL_DISCOVERY_REFRESH_S="1",
    )
    models = [ABLE, "nomic-embed-text"]
    ask(stack.mock.port, "POST", "/mock/config", {"models": models})
    key = stack.new_key()

    def is_seen() -> bool:
        return ask(stack.port, "GET", f"/v1/models/{ABLE}", key=key).status == HTTPStatus.OK

    eventually(is_seen)
    return stack


def read_openapi() -> dict[str, Any]:
    """The document as it is."""
    data: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return data


def known_paths() -> set[str]:
    """The paths of the table in the code, as documents write them."""
    return {path.decode() for path in ROUTES} | {f"{MODEL_PATH.decode()}{{id}}"}


def operations(data: Mapping[str, Any]) -> set[str]:
    """The operations of a document, as `GET /path`."""
    return {
        f"{method.upper()} {path}"
        for path, item in data["paths"].items()
        for method in item
        if method in METHODS
    }


@frozen
class Report:
    """What schemathesis found: `accepted` counts the answers of 200 to each operation."""

    verdict: int
    output: str
    accepted: Mapping[str, int]


def conformance(case: SynchronousTestCase, stack: Stack, *, key: str, examples: int) -> Report:
    """Ask `examples` of each operation, and whatever else comes to schemathesis' mind.

    The cases are the same in each run: it is the document that makes them.
    """
    home = Path(case.mktemp())
    home.mkdir()
    data = read_openapi()
    for name, values in EXAMPLES.items():
        data["components"]["schemas"][name] = {"enum": values}
    (home / "openapi.json").write_text(json.dumps(data), encoding="utf-8")
    done = subprocess.run(
        [
            str(PROGRAMS / "schemathesis"),
            f"--config-file={CONFIGURATION}",
            "run",
            "openapi.json",
            f"--url={stack.url}",
            f"--max-examples={examples}",
            "--generation-deterministic",
            "--report=json",
            "--report-json-path=report.json",
            "--no-color",
        ],
        cwd=home,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GATEWAY_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within(examples * len(operations(data))),
        check=False,
    )
    rates = json.loads((home / "report.json").read_text(encoding="utf-8"))["valid_rates"]
    accepted = {
        name: sum(phase["accepted"] for phase in phases.values()) for name, phases in rates.items()
    }
    return Report(done.returncode, done.stdout, accepted)


def hold(case: SynchronousTestCase, examples: int) -> None:
    """Fail with what schemathesis says, unless it finds nothing and each operation answered."""
    stack = stack_for_it()
    key = stack.new_key(scopes=tuple(Scope))
    report = conformance(case, stack, key=key, examples=examples)
    case.assertEqual(report.verdict, 0, report.output)
    silent = {name for name in operations(read_openapi()) if not report.accepted.get(name)}
    case.assertEqual(silent, set(), report.output)
