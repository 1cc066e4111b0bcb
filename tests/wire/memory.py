"""Entries against a whole gateway in memory, on a clock."""

from collections.abc import Callable, Sequence

from attrs import evolve

from neuronetz_twisted.edge.doors import Doors
from neuronetz_twisted.testing.calls import made_model
from neuronetz_twisted.testing.http import MemoryConnection
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from tests.unit.edge.house import KEY, House
from tests.wire.entry import BODY_LIMIT, MARKER, Ends, Entry
from tests.wire.segments import PROBE
from tests.wire.verdict import Came, Verdict, agreed, judge

LINGER_S = 3.0
"""Longer than a refused client has to read its answer, shorter than an idle connection lasts."""

_STEP_S = 0.25
_PROBED = b'{"alive":true}'
_GENERATED = b'{"response":"Hi","done":true}'


class SlowConnection(MemoryConnection):
    """A client that may not read: then the next write pauses whoever writes, as a transport's."""

    reads = True
    paused = False

    def write(self, data: bytes) -> None:
        """Take bytes."""
        super().write(data)
        if not self.reads and not self.paused and self.producer is not None:
            self.paused = True
            self.producer.pauseProducing()

    def fill(self) -> None:
        """Read nothing from now on."""
        self.reads = False

    def drain(self) -> None:
        """Read everything."""
        self.reads = True
        if self.paused and self.producer is not None:
            self.paused = False
            self.producer.resumeProducing()


class WireHouse(House):
    """The house of the unit tests with the limits of SPEC 10, whose model host answers at once."""

    def __init__(self) -> None:
        """One model; nothing is streamed later."""
        super().__init__()
        self.site.max_body_bytes = BODY_LIMIT
        self.catalog.installed = [made_model("llama3.2:latest")]
        self.upstream.frames = [chat_frame("Hi"), chat_final()]

    def connect(self) -> SlowConnection:
        """A client, who reads."""
        return SlowConnection(self.site)

    def doors(self) -> Doors:
        """Doors with the limit."""
        doors = super().doors()
        doors.defaults = evolve(doors.defaults, max_body_bytes=BODY_LIMIT)
        return doors

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps, so that each deadline is noticed."""
        for _ in range(round(seconds / _STEP_S)):
            self.clock.advance(_STEP_S)


def run_in_memory(entry: Entry, segments: Sequence[bytes]) -> list[str]:
    """The disagreements between what an entry wants and what came of it."""
    house = WireHouse()
    if b"POST /api/generate" in entry.raw:
        house.upstream.frames = [_GENERATED]
    client = house.connect()
    _send(client, segments)
    if entry.invited and b"100 Continue" in client.value():
        _send(client, [entry.invited])
    house.pass_time(entry.waits_s or LINGER_S)
    came = Came(data=client.value(), closed=_is_closed(client))
    verdict = judge(entry, came)
    faults = [*verdict.faults, *_seen_rightly(entry, house, verdict)]
    if not came.closed:
        faults += _probed(entry, client)
    client.leave()
    house.pass_time(LINGER_S)
    if house.site.channels:
        faults.append(f"{entry.name}: a channel is left behind")
    return faults


def _send(client: MemoryConnection, segments: Sequence[bytes]) -> None:
    """Send for as long as our side listens."""
    for segment in segments:
        if client.disconnecting or client.reset:
            return
        client.send(segment)


def _is_closed(client: MemoryConnection) -> bool:
    return client.disconnecting or client.reset or client.half_closed


def _seen_rightly(entry: Entry, house: House, verdict: Verdict) -> list[str]:
    """The record has what the entry wants, each once; so has the model host."""
    recorded = {
        str(event["id"]): (str(event["route"]), int(event["status"] or 0))
        for event in house.sink.events
    }
    faults = [] if len(recorded) == len(house.sink.events) else ["a request was recorded twice"]
    faults += agreed(verdict.seen, recorded)
    calls = sum(seen.calls for seen in verdict.seen)
    if len(house.upstream.asked) != calls:
        faults.append(f"the model host was asked {len(house.upstream.asked)} times, not {calls}")
    return [f"{entry.name} ({entry.rule}): {fault}" for fault in faults]


def _probed(entry: Entry, client: MemoryConnection) -> list[str]:
    """A connection that stays is where the next request begins."""
    client.clear()
    client.send(PROBE)
    if client.value().endswith(_PROBED):
        return []
    return [f"{entry.name} ({entry.rule}): the next request got {client.value()!r}"]


def disagreements(
    entries: Sequence[Entry], cut: Callable[[Entry], Sequence[bytes]], *, tail: bytes = b""
) -> list[str]:
    """Run entries in the segments that `cut` gives.

    `tail` is a request that is sent in the same go behind each entry that closes, and must not be
    answered; behind others it is left out.
    """
    found: list[str] = []
    for entry in (entry.with_secrets(KEY.encode(), MARKER) for entry in entries):
        segments = list(cut(entry))
        if tail and entry.ends is Ends.CLOSES and not entry.unfinished:
            segments[-1] += tail
        found += run_in_memory(entry, segments)
    return found
