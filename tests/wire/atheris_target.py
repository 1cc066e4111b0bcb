"""A drive as a target of atheris, which learns from the branches that an input takes.

    python -m tests.wire.fuzz_channel [options of libFuzzer] [directory of inputs]

The first bytes of an input say what happens between the segments, the others are sent.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

SEED_BYTES = 8


@implementer(ILogObserver)
@define
class _Faults:
    """The failures that were logged: whoever logged one went on as if nothing had happened."""

    logged: list[LogEvent] = field(factory=list)

    def __call__(self, event: LogEvent) -> None:
        """Keep a failure."""
        if "log_failure" in event:
            self.logged.append(event)


def is_available() -> bool:
    """Whether atheris can be imported; it has no wheels for some Pythons and machines."""
    return find_spec("atheris") is not None


def fuzz(package: str, module: str, drive: str) -> None:
    """Run `drive` of `module` until an option of libFuzzer ends it; watch the code of `package`."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=[package]):
        make_drive = getattr(import_module(module), drive)
    faults = _Faults()
    globalLogPublisher.addObserver(faults)

    def one_input(data: bytes) -> None:
        make_drive().run(int.from_bytes(data[:SEED_BYTES]), data[SEED_BYTES:])
        if faults.logged:
            raise AssertionError(f"logged: {faults.logged[0]['log_failure']}")

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


def write_inputs(directory: Path, seeds: tuple[bytes, ...]) -> None:
    """Write seeds as inputs, each with other events."""
    directory.mkdir()
    for number, data in enumerate(seeds):
        path = directory / f"{number:04}"
        path.write_bytes(number.to_bytes(SEED_BYTES) + data)
