"""`docs/openapi.yaml` held against a running gateway, by schemathesis as a program of its own.

    report = conformance(case, stack, examples=15)     its verdict, and what was asked

The document speaks of models that a key may use; here they are those that the mock has, so that
what the document takes can be asked to be answered.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.gateway import PROGRAMS, Stack

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "openapi.yaml"
CONFIGURATION = ROOT / "tests" / "schemathesis.toml"

INSTALLED = {"ModelName": ["qwen3:8b", "Qwen3:8B"]}
"""Models of the mock that can do what the operations with these schemas may ask for."""

METHODS = frozenset({"get", "head", "post"})


def read_openapi() -> dict[str, Any]:
    """The document as it is."""
    data: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return data


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
    for name, models in INSTALLED.items():
        data["components"]["schemas"][name] = {"enum": models}
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


def hold(case: SynchronousTestCase, stack: Stack, *, key: str, examples: int) -> None:
    """Fail with what schemathesis says, unless it finds nothing and each operation answered."""
    report = conformance(case, stack, key=key, examples=examples)
    case.assertEqual(report.verdict, 0, report.output)
    silent = {name for name in operations(read_openapi()) if not report.accepted.get(name)}
    case.assertEqual(silent, set(), report.output)
