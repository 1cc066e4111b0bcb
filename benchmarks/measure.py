"""One round: load on one lane, the CPU and memory that it took, and the figures from both."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field, frozen

from benchmarks.native import Mock, load
from benchmarks.proc import resident_kib
from benchmarks.results import Figures
from benchmarks.targets import Running, Surface
from benchmarks.workloads import Kind, Workload

LOAD_S = 20.0
"""So long a round lasts at most; what has not ended then is unfinished."""

_GRACE_S = 10.0
_US_PER_S = 1e6
_US_PER_MS = 1e3
_KB = 1.024
_SEEN_WITHIN_S = 1.0
_SEEN_POLL_S = 0.05
_FIRST = Workload(
    name="first",
    title="",
    kind=Kind.CHAT,
    rounds=1,
    arguments=("--connections", "1", "--seconds", "0.1"),
)


@frozen(kw_only=True)
class Lane:
    """A target asked in one way."""

    running: Running
    surface: Surface

    @property
    def key(self) -> str:
        """Its name in the results."""
        native = self.surface is Surface.NATIVE
        return f"{self.running.name}-native" if native else self.running.name


@frozen(kw_only=True)
class Taken:
    """What a round took: CPU seconds of the target and of its stores, and its memory in KiB.

    `during_kib` is the median of the round's second half: argon2 takes 64 MiB for a moment, once a
    minute, which is no cost of what is measured here.
    """

    cpu_s: float
    stores_cpu_s: float
    before_kib: int
    during_kib: int


@frozen
class Round:
    """What one round has shown, and the first failure in words, empty where nothing failed."""

    figures: Figures
    failure: str


@define(kw_only=True)
class Meter:
    """Runs `load` against lanes, with an eye on /proc."""

    program: Path
    mock: Mock
    _ids: Iterator[int] = field(factory=lambda: count(1, 1000), init=False)

    def round(self, lane: Lane, workload: Workload) -> Round:
        """One round of a workload on a lane, behind a few answers that are not measured.

        A key that was idle for a minute is verified anew, which takes argon2 a tenth of a second:
        in hours of traffic that is nothing, in a round of three seconds it is one in twenty.
        """
        self.mock.reset()
        self._put_load(lane, _FIRST)
        self.mock.reset()
        report, taken = self._put_load(lane, workload)
        return Round(self._figures(lane, workload.kind, report, taken), report["failure"])

    def _figures(self, lane: Lane, kind: Kind, report: Mapping[str, Any], taken: Taken) -> Figures:
        match kind:
            case Kind.CHAT:
                return chat_figures(report, taken)
            case Kind.STREAMS:
                return stream_figures(report, taken, lane.running.idle_kib)
            case Kind.LEAVE:
                return leave_figures(report, self.mock.asked(), self._gone(report))
            case _:
                return slow_figures(report, taken)

    def _put_load(self, lane: Lane, workload: Workload) -> tuple[Mapping[str, Any], Taken]:
        arguments = [workload.kind.value, "--port", f"{lane.running.port}"]
        arguments += ["--path", lane.surface.value, "--first-id", f"{next(self._ids)}"]
        arguments += ["--timeout", f"{LOAD_S}"]
        for line in lane.running.headers:
            arguments += ["--header", line]
        own, stores = lane.running.processes()
        pids = [process.pid for process in own]
        sizes = [resident_kib(pids)]
        report = load(
            self.program,
            [*arguments, *workload.arguments],
            LOAD_S + _GRACE_S,
            lambda: sizes.append(resident_kib(pids)),
        )
        own_after, stores_after = lane.running.processes()
        taken = Taken(
            cpu_s=sum(each.cpu_s for each in own_after) - sum(each.cpu_s for each in own),
            stores_cpu_s=sum(each.cpu_s for each in stores_after)
            - sum(each.cpu_s for each in stores),
            before_kib=sizes[0],
            during_kib=round(median(sizes[len(sizes) // 2 :])),
        )
        return report, taken

    def _gone(self, report: Mapping[str, Any]) -> dict[int, int]:
        """When the upstream saw clients go, given time to see them all."""
        wanted = {entry["id"] for entry in report["left"]} & self.mock.asked()
        give_up = time.monotonic() + _SEEN_WITHIN_S
        while not wanted <= (gone := self.mock.gone()).keys() and time.monotonic() < give_up:
            time.sleep(_SEEN_POLL_S)
        return gone


def chat_figures(report: Mapping[str, Any], taken: Taken) -> Figures:
    """Answers in one piece: their cost, rate and latency."""
    complete = report["complete"]
    figures = {"failed": float(report["failed"] + report["unfinished"])}
    if complete:
        figures |= {
            "cpu_us": taken.cpu_s * _US_PER_S / complete,
            "stores_us": taken.stores_cpu_s * _US_PER_S / complete,
            "rate": complete / report["wall_s"],
            **_percentiles("first", report["first_us"]),
        }
    return figures


def stream_figures(report: Mapping[str, Any], taken: Taken, idle_kib: int) -> Figures:
    """Streams: how many were whole, and the cost, lateness and memory of their tokens."""
    started, tokens = report["started"], report["tokens"]
    figures = {
        "started": float(started),
        "whole": float(report["complete"]),
        "wall_s": report["wall_s"],
        "kb_each": (taken.during_kib - idle_kib) * _KB / max(1, started),
    }
    if tokens:
        figures |= {
            "cpu_us": taken.cpu_s * _US_PER_S / tokens,
            "rate": tokens / report["wall_s"],
            **_percentiles("first", report["first_us"]),
            **_percentiles("late", report["late_us"]),
        }
    return figures


def leave_figures(
    report: Mapping[str, Any], asked: Collection[int], gone: Mapping[int, int]
) -> Figures:
    """Clients that went: how many the upstream was asked for, saw go, and how much later.

    A client may go before the upstream is asked, while its key is verified anew; then the upstream
    must not be asked any more, and there is nothing to see.
    """
    left = {entry["id"]: entry["at_us"] for entry in report["left"] if entry["id"] in asked}
    late = sorted((gone[each] - at) / _US_PER_MS for each, at in left.items() if each in gone)
    figures = {"asked": float(len(left)), "seen": float(len(late))}
    if late:
        figures |= {"p50_ms": late[len(late) // 2], "max_ms": late[-1]}
    return figures


def slow_figures(report: Mapping[str, Any], taken: Taken) -> Figures:
    """Slow readers: by how much the target grew for all of them, in kB."""
    grown = max(0, taken.during_kib - taken.before_kib) * _KB
    return {"readers": float(report["started"]), "grown_kb": grown}


def _percentiles(name: str, samples: Mapping[str, int]) -> Figures:
    return {f"{name}_{part}_ms": samples[part] / _US_PER_MS for part in ("p50", "p99")}


def lanes_of(targets: Sequence[Running], workload: Workload, native: Sequence[str]) -> list[Lane]:
    """How each target is asked; those in `native` on both surfaces."""
    surfaces = [(target, Surface.OPENAI) for target in targets]
    surfaces += [(target, Surface.NATIVE) for target in targets if target.name in native]
    return [
        Lane(running=target, surface=surface)
        for target, surface in surfaces
        if workload.rounds_of(target.most_streams)
    ]
