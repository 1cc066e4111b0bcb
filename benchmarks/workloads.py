"""What is done to every target, and what is read from it."""

from collections.abc import Sequence
from enum import Enum

from attrs import evolve, frozen

from benchmarks.targets import NO_LIMIT

PACE_US = 20_000
"""Microseconds between two tokens of a paced stream: 50 a second."""

PREFILL_US = 5_000
"""Before the first token of a paced stream: Debian's Caddy loses streams that begin at once."""

COMPARED_STREAMS = 500
"""At so many streams the cost of a token is held against nginx (S3)."""

RELAY = "aiohttp"
"""The peer that others are held against: a relay that does nothing else."""

_FOR_EVER = 1_000_000_000


class Kind(Enum):
    """How a round is measured; the value is the mode of `load`."""

    CHAT = "requests"
    STREAMS = "streams"
    LEAVE = "leave"
    SLOW = "slow"
    START = "start"
    RECORDS = "records"


@frozen(kw_only=True)
class Workload:
    """One thing to measure.

    `arguments` go to `load`. Targets that bear less than `streams` are left out; those that bear
    less than `NO_LIMIT` streams get only one round of streams, since theirs are long. `native`:
    nginx is asked on Ollama's surface as well, as the gateway always is. Without `slow_peers`, all
    that bear less than `NO_LIMIT` streams are left out.
    """

    name: str
    title: str
    kind: Kind
    rounds: int
    arguments: tuple[str, ...] = ()
    streams: int = 0
    native: bool = False
    slow_peers: bool = True

    def rounds_of(self, most_streams: int) -> int:
        """How often a target is measured that bears so many streams."""
        if most_streams < self.streams:
            return 0
        if not self.streams or most_streams >= NO_LIMIT:
            return self.rounds
        return 1 if self.slow_peers else 0


def _chat(connections: int, seconds: float) -> Workload:
    plural = "s" if connections > 1 else ""
    return Workload(
        name=f"chat-{connections}",
        title=f"Chat in one piece, {connections} connection{plural}",
        kind=Kind.CHAT,
        rounds=3,
        arguments=("--connections", f"{connections}", "--seconds", f"{seconds}"),
    )


def _rate(seconds: float) -> Workload:
    return Workload(
        name="rate-50",
        title="Chat in one piece, 50 requests a second",
        kind=Kind.CHAT,
        rounds=2,
        arguments=("--connections", "16", "--rate", "50", "--seconds", f"{seconds}"),
    )


def _flood(seconds: float) -> Workload:
    return Workload(
        name="flood-64",
        title="64 streams without delay, one after the other",
        kind=Kind.STREAMS,
        rounds=3,
        arguments=("--connections", "64", "--tokens", "200", "--seconds", f"{seconds}"),
        native=True,
    )


def _paced(streams: int, rounds: int, tokens: int) -> Workload:
    arguments = ["--connections", f"{streams}", "--tokens", f"{tokens}"]
    arguments += ["--delay-us", f"{PACE_US}", "--wait-us", f"{PREFILL_US}"]
    arguments += ["--ramp-ms", "500"]
    return Workload(
        name=f"paced-{streams}",
        title=f"{streams} streams at 50 tokens/s",
        kind=Kind.STREAMS,
        rounds=rounds,
        arguments=tuple(arguments),
        streams=streams,
        native=streams == COMPARED_STREAMS,
    )


def _leave(phase: str, title: str, *arguments: str) -> Workload:
    return Workload(
        name=f"leave-{phase}",
        title=f"Clients that go: {title}",
        kind=Kind.LEAVE,
        rounds=2,
        arguments=("--connections", "10", "--ramp-ms", "100", *arguments),
    )


def _slow(readers: int, seconds: float) -> Workload:
    plural = "s" if readers > 1 else ""
    arguments = ["--connections", f"{readers}", "--tokens", f"{_FOR_EVER}"]
    return Workload(
        name=f"slow-{readers}",
        title=f"{readers} reader{plural} of 1 kB/s on endless streams",
        kind=Kind.SLOW,
        rounds=1,
        arguments=(*arguments, "--seconds", f"{seconds}"),
    )


# Slow readers come last, since some peers work for minutes on what nobody reads any more, and after
# the gateway's new start, since memory that it freed earlier would hide what it takes.
WORKLOADS: Sequence[Workload] = (
    _chat(1, 1.5),
    _chat(16, 1.5),
    _chat(64, 1.5),
    _rate(3),
    _flood(1.5),
    _paced(100, 1, 200),
    _paced(500, 3, 200),
    _paced(1000, 2, 200),
    _paced(2000, 2, 200),
    _leave("stream", "in the middle of a stream", "--tokens", "200", "--delay-us", f"{PACE_US}",
           "--wait-us", f"{PREFILL_US}", "--leave-tokens", "5"),
    _leave("prefill", "before the first byte", "--wait-us", "4000000"),
    _leave("folded", "waiting for an answer in one piece", "--wait-us", "4000000", "--folded", "1"),
    Workload(name="start", title="Start to ready, and idle memory", kind=Kind.START, rounds=3),
    _slow(1, 3),
    _slow(50, 3),
    Workload(
        name="records",
        title="A record by itself, and a request through a bare relay at 16 connections",
        kind=Kind.RECORDS,
        rounds=4,
        arguments=("--connections", "16", "--seconds", "1.5"),
    ),
)  # fmt: skip

_QUICK = (
    _slow(1, 1),
    _slow(50, 1),
    _chat(1, 0.7),
    _chat(16, 0.7),
    _chat(64, 0.7),
    _rate(1),
    _flood(0.7),
    _paced(500, 1, 50),
    _paced(1000, 1, 50),
)


def plan(names: Sequence[str], *, quick: bool) -> list[Workload]:
    """The workloads of a run, those that are named or all; `quick` makes them short.

    A name may stand for all that begin with it and a hyphen: `paced`. Raises `ValueError` for one
    that fits none.
    """
    for name in names:
        if not any(_is_called(each, name) for each in WORKLOADS):
            known = ", ".join(each.name for each in WORKLOADS)
            raise ValueError(f"no workload {name}; there are {known}")
    chosen = [
        each for each in WORKLOADS if not names or any(_is_called(each, name) for name in names)
    ]
    return [each for one in chosen for each in _shortened(one)] if quick else chosen


def _shortened(workload: Workload) -> list[Workload]:
    """What a quick run does of a workload, if anything; paced streams without the slow peers."""
    short = {each.name: each for each in _QUICK}
    if workload.streams and workload.name not in short:
        return []
    found = evolve(short.get(workload.name, workload), rounds=1)
    return [evolve(found, slow_peers=False) if workload.streams else found]


def _is_called(workload: Workload, name: str) -> bool:
    return workload.name == name or workload.name.startswith(f"{name}-")
