"""A run: everything is started, rounds alternate between targets, everything is stopped."""

import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

from attrs import define, evolve, field, frozen

from benchmarks import gateway
from benchmarks.measure import Lane, Meter, lanes_of
from benchmarks.native import Mock
from benchmarks.peers.catalogue import PEERS
from benchmarks.proc import resident_kib
from benchmarks.programs import Missing, free_port
from benchmarks.results import Results
from benchmarks.targets import Place, Running, Surface, Target
from benchmarks.workloads import RELAY, Kind, Workload

DIRECT = "direct"
TARGETS: Sequence[Target] = (
    gateway.Gateway(),
    gateway.without_record(),
    gateway.without_limits(),
    *PEERS,
)

_LABELS = {
    gateway.NAME: f"{gateway.LABEL}, OpenAI's surface",
    f"{gateway.NAME}-native": f"{gateway.LABEL}, Ollama's surface",
    gateway.UNRECORDED: f"{gateway.LABEL} without its record",
    f"{gateway.UNRECORDED}-native": f"{gateway.LABEL} without its record, Ollama's surface",
    gateway.UNLIMITED: f"{gateway.LABEL} without its limits",
    DIRECT: "nothing: the model host itself",
    **{peer.name: peer.label for peer in PEERS},
    "nginx-native": "nginx, pass-through, Ollama's surface",
}
_SETTLE_S = 1.0
_KIB_PER_MIB = 1024
_WARM_UP = Workload(
    name="warm-up",
    title="",
    kind=Kind.CHAT,
    rounds=1,
    arguments=("--connections", "8", "--seconds", "0.5"),
)


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@frozen(kw_only=True)
class Tools:
    """Where things are: the checkout, the compiled tools and a directory for this run alone."""

    root: Path
    mock: Path
    load: Path
    scratch: Path


@define(kw_only=True)
class Suite:
    """What runs, and what it has shown. To be used as a context: at its end all is stopped."""

    tools: Tools
    results: Results
    _meter: Meter = field(init=False)
    _running: list[Running] = field(factory=list, init=False)
    _places: dict[str, Place] = field(factory=dict, init=False)

    def __enter__(self) -> Self:
        """Start the model host."""
        mock = Mock(self.tools.mock, free_port(), self.tools.scratch)
        self._meter = Meter(program=self.tools.load, mock=mock)
        direct = Running(name=DIRECT, label=_LABELS[DIRECT], program=mock.program, port=mock.port)
        self._running.append(direct)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the last first."""
        for running in reversed(self._running):
            running.program.stop()

    def start(self, only: Collection[str]) -> None:
        """Start the targets that are named, or all; peers that cannot be had are remarked on.

        Raises `Missing` where the gateway does not start.
        """
        for target in TARGETS:
            if only and target.name not in only:
                continue
            say(f"starting {target.label}")
            scratch = self.tools.scratch / target.name
            scratch.mkdir()
            place = Place(
                root=self.tools.root,
                scratch=scratch,
                port=free_port(),
                upstream_port=self._meter.mock.port,
            )
            try:
                running = target.start(place)
            except Missing as missing:
                if target.name == gateway.NAME:
                    text = f"the gateway does not start: {missing}\n{missing.detail}"
                    raise Missing(text) from None
                self._remark(f"{target.label}: skipped, {missing}", missing.detail)
                continue
            self._places[target.name] = place
            self._running.append(running)
            self._warm_up(running)
        self.results.labels = dict(_LABELS)

    def _warm_up(self, running: Running) -> None:
        """Let a target import and open what it needs, and see that it works at all."""
        time.sleep(_SETTLE_S)
        idle_kib = resident_kib(running.pids())
        lane = Lane(running=running, surface=Surface.OPENAI)
        first = self._meter.round(lane, _WARM_UP)
        if "rate" not in first.figures:
            self._running.remove(running)
            running.program.stop()
            self._remark(f"{running.label}: skipped, it gives no answers", first.failure)
            return
        self.results.add("start", running.name, {"idle_mib": idle_kib / _KIB_PER_MIB})
        self.results.versions[running.label] = running.version
        running.idle_kib = resident_kib(running.pids())

    def perform(self, workload: Workload) -> None:
        """All rounds of one workload, in turn over the targets."""
        say(workload.title)
        if workload.kind is Kind.START:
            self._restart_gateway(workload.rounds)
            return
        if workload.kind is Kind.RECORDS:
            self._cost_of_records(workload)
            return
        native = [gateway.NAME]
        if workload.native:
            native += [gateway.UNRECORDED, "nginx"]
        lanes = lanes_of(self._running, workload, native)
        for number in range(workload.rounds):
            turn = number % len(lanes)
            for lane in [*lanes[turn:], *lanes[:turn]]:
                if number < workload.rounds_of(lane.running.most_streams):
                    self._round(lane, workload)

    def _round(self, lane: Lane, workload: Workload) -> None:
        try:
            found = self._meter.round(lane, workload)
        except Missing as missing:
            self._remark(f"{lane.running.label}: {workload.title}: {missing}", "")
            return
        self.results.add(workload.name, lane.key, found.figures)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in found.figures.items())
        say(f"  {lane.key:15} {shown}  {found.failure}")

    def _restart_gateway(self, rounds: int) -> None:
        """Start the gateway anew, with its state directory as it is."""
        for running in [each for each in self._running if each.name == gateway.NAME]:
            for _ in range(rounds):
                running.program.stop()
                began = time.monotonic()
                running.program = gateway.launch(self._places[gateway.NAME], gateway.TWISTD)
                start_s = time.monotonic() - began
                self.results.add("start", gateway.NAME, {"start_s": start_s})
                say(f"  {gateway.NAME:15} start_s {start_s:.3f}")
            self._warm_up(running)

    def _cost_of_records(self, workload: Workload) -> None:
        """What a record costs by itself, and a bare relay's request in the same moments.

        It is written to the database of the gateway, which is idle meanwhile.
        """
        relays = [each for each in self._running if each.name == RELAY]
        for _ in range(workload.rounds):
            for relay in relays:
                lane = Lane(running=relay, surface=Surface.OPENAI)
                self._round(lane, evolve(workload, kind=Kind.CHAT))
            if gateway.NAME in self._places:
                self._record_alone(workload)

    def _record_alone(self, workload: Workload) -> None:
        try:
            rounds = gateway.cost_of_records(self._places[gateway.NAME])
        except Missing as missing:
            self._remark(f"{workload.title}: skipped, {missing}", missing.detail)
            return
        for figures in rounds:
            whole = {"cpu_us": sum(figures.values()), **figures}
            self.results.add(workload.name, gateway.NAME, whole)

    def _remark(self, text: str, detail: str) -> None:
        """Keep a remark for the page, and show what led to it."""
        say(f"{text}\n{detail}".rstrip())
        self.results.remarks.append(text)
