"""`python -m benchmarks`: see `--help`."""

import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks.machine import describe
from benchmarks.native import build
from benchmarks.programs import Missing
from benchmarks.report import document
from benchmarks.results import Results
from benchmarks.suite import TARGETS, Suite, Tools, say
from benchmarks.workloads import Workload, plan

ROOT = Path(__file__).parents[1]
OWN = ROOT / ".bench"
RESULTS = OWN / "results.json"
PAGE = ROOT / "docs" / "BENCHMARKS.md"
PARTIAL_PAGE = OWN / "BENCHMARKS.md"


def main(arguments: Sequence[str]) -> int:
    """Measure and write the page; gives the exit status."""
    options = _parse(arguments)
    if options.render:
        PAGE.write_text(document(Results.load(RESULTS)), encoding="utf-8")
        return 0
    command = shlex.join(["./benchmarks/run.sh", *arguments])
    try:
        workloads = plan(options.workloads, quick=options.quick)
        build(OWN / "native")
        results = _measure(workloads, options.only, command)
    except (Missing, ValueError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted: everything is stopped, nothing is written")
        return 130
    _write(results, whole=not (options.quick or options.only or options.workloads))
    return 0


def _measure(workloads: Sequence[Workload], only: Sequence[str], command: str) -> Results:
    """Run the workloads. Raises `Missing` where the gateway does not start."""
    _raise_limits()
    signal.signal(signal.SIGTERM, _end)
    scratch = Path(tempfile.mkdtemp(prefix="nzbench"))
    tools = Tools(
        root=ROOT, mock=OWN / "native" / "mock", load=OWN / "native" / "load", scratch=scratch
    )
    results = Results(command=command, date=f"{datetime.now(UTC):%Y-%m-%d}", machine=describe())
    began = time.monotonic()
    try:
        with Suite(tools=tools, results=results) as suite:
            suite.start(only)
            for workload in workloads:
                suite.perform(workload)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    results.seconds = time.monotonic() - began
    return results


def _write(results: Results, *, whole: bool) -> None:
    """Write the page: the one in the documents only after a whole run."""
    page = PAGE if whole else PARTIAL_PAGE
    if whole:
        results.save(RESULTS)
    page.write_text(document(results), encoding="utf-8")
    sys.stdout.write(f"{page.relative_to(ROOT)}\n")


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="benchmarks", description="How fast the gateway is.")
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument(
        "--only", type=_words, default=[], help="targets, comma separated: gateway,nginx"
    )
    parser.add_argument(
        "--workloads", type=_words, default=[], help="workloads, comma separated: chat,paced-500"
    )
    parser.add_argument(
        "--render", action="store_true", help="write the page anew from the last whole run"
    )
    options = parser.parse_args(arguments)
    known = [target.name for target in TARGETS]
    if unknown := [name for name in options.only if name not in known]:
        parser.error(f"no target {unknown[0]}; there are {', '.join(known)}")
    return options


def _words(text: str) -> list[str]:
    return text.split(",")


def _raise_limits() -> None:
    """Let this process and all that it starts open as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
