"""The page docs/BENCHMARKS.md, made from the results of a run and from notes.md."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.goals import GOALS
from benchmarks.results import Results
from benchmarks.tables import Column, against, measured, middle, number, table, workload_table
from benchmarks.workloads import WORKLOADS, Kind

NOTES = Path(__file__).parent / "notes.md"
METHOD = Path(__file__).parent / "method.md"


def document(results: Results) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks\n",
        _origin(results),
        _machine(results),
        *_remarks(results),
        "## Goals\n",
        _goals(results),
        "## Where the rest goes\n",
        NOTES.read_text(encoding="utf-8"),
        "## How it is measured\n",
        METHOD.read_text(encoding="utf-8"),
        *_tables(results),
    ]
    return "\n".join(parts)


def _origin(results: Results) -> str:
    return (
        f"Made by `{results.command}` on {results.date}, in {results.seconds / 60:.0f} minutes. "
        "To make it anew: `./benchmarks/run.sh`. A benchmark is no test, and no test asserts a "
        "time.\n"
    )


def _machine(results: Results) -> str:
    rows = [list(pair) for pair in [*results.machine.items(), *results.versions.items()]]
    return table(["machine and versions", ""], rows, figures=False)


def _remarks(results: Results) -> list[str]:
    return (
        ["\n".join(f"- {remark}" for remark in results.remarks) + "\n"] if results.remarks else []
    )


def _goals(results: Results) -> str:
    rows = []
    for goal in GOALS:
        finding = goal.find(results)
        rows.append(
            [goal.name, goal.what, goal.acceptable, goal.aim, finding.text, finding.verdict.value]
        )
    head = ["", "goal", "now acceptable", "the aim", "measured", "verdict"]
    return table(head, rows, figures=False)


def _nginx(lane: str) -> list[str]:
    return ["nginx-native", "nginx"] if lane.endswith("-native") else ["nginx"]


def _failed(results: Results, workload: str, lane: str) -> str:
    return number(sum(each["failed"] for each in results.rounds[workload][lane]))


def _whole(results: Results, workload: str, lane: str) -> str:
    rounds = results.rounds[workload][lane]
    whole, started = (sum(each[name] for each in rounds) for name in ("whole", "started"))
    return "all" if whole == started else f"{whole:.0f} of {started:.0f}"


def _seen(results: Results, workload: str, lane: str) -> str:
    rounds = results.rounds[workload][lane]
    seen, asked = (sum(each[name] for each in rounds) for name in ("seen", "asked"))
    return f"{seen:.0f} of {asked:.0f}"


_FIRST = (
    middle("first byte p50 ms", "first_p50_ms"),
    measured("first byte p99 ms", "first_p99_ms"),
)
_RATE_COLUMNS = (*_FIRST, Column("failed", _failed))
_COLUMNS: dict[Kind, Sequence[Column]] = {
    Kind.START: (
        measured("start to ready s", "start_s"),
        measured("idle memory MiB", "idle_mib"),
    ),
    Kind.CHAT: (
        measured("CPU µs/request", "cpu_us"),
        against("to nginx", "cpu_us", _nginx),
        measured("its stores µs", "stores_us"),
        measured("requests/s", "rate"),
        against("to nginx", "rate", _nginx),
        *_FIRST,
        Column("failed", _failed),
    ),
    Kind.STREAMS: (
        measured("CPU µs/token", "cpu_us"),
        against("to nginx", "cpu_us", _nginx),
        measured("tokens/s", "rate"),
        Column("whole", _whole),
        measured("wall s", "wall_s"),
        *_FIRST,
        measured("late p99 ms", "late_p99_ms"),
        measured("kB each", "kb_each"),
    ),
    Kind.LEAVE: (
        Column("seen to go", _seen),
        middle("p50 ms", "p50_ms"),
        measured("latest ms", "max_ms"),
    ),
    Kind.RECORDS: (
        measured("CPU µs", "cpu_us"),
        measured("into the spool", "spool_us"),
        measured("read back", "read_us"),
        measured("to PostgreSQL", "write_us"),
    ),
    Kind.SLOW: (measured("grown kB", "grown_kb"),),
}


def _tables(results: Results) -> list[str]:
    parts = []
    for workload in WORKLOADS:
        if workload.name in results.rounds:
            parts.append(f"## {workload.title}\n")
            # At a fixed rate too few answers come for ticks of 10 ms to say what one costs.
            columns = _RATE_COLUMNS if "--rate" in workload.arguments else _COLUMNS[workload.kind]
            parts.append(workload_table(results, workload.name, columns))
    return parts
