"""A client that does anything to a gateway's connection, and what must hold whatever it does."""

from collections.abc import Iterator
from random import Random

from attrs import define, field

from neuronetz_twisted.edge.framing import MAX_HEAD_BYTES
from neuronetz_twisted.edge.intake import MAX_BEHIND_BYTES
from neuronetz_twisted.testing.upstream import ScriptedStream, chat_final, chat_frame
from tests.unit.edge.house import IDLE_S, KEY, STALL_S
from tests.wire.corpus import entries
from tests.wire.entry import BODY_LIMIT, MARKER
from tests.wire.memory import SlowConnection, WireHouse
from tests.wire.responses import Response, read_responses

MOST_BYTES = 20_000
"""Larger entries would only make a fuzzer slow."""

ALL_DEADLINES_S = 2 * (IDLE_S + STALL_S)
_SHORT_S = 0.25
_LONG_S = 5.0
_CONTINUE = 100

SEEDS = tuple(
    filled.raw + filled.invited
    for filled in (entry.with_secrets(KEY.encode(), MARKER) for entry in entries())
    if len(filled.raw) < MOST_BYTES
)
"""The bytes of the corpus."""


@define
class ChannelDrive:
    """One connection, to be done anything to; `finish` says whether all was well."""

    house: WireHouse = field(factory=WireHouse)
    client: SlowConnection = field(init=False)
    _unread: list[bytes] = field(factory=list, init=False)
    _largest: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Connect; answers of the model host begin at once and then wait."""
        self.house.upstream.frames = [chat_frame("Hi")]
        self.client = self.house.connect()

    def run(self, seed: int, data: bytes) -> list[Response]:
        """Send `data` in segments, with all that `seed` lets happen between them."""
        draw = Random(seed)
        for segment in segments(draw, data):
            self.send(segment)
            getattr(self, draw.choice(_EVENTS))()
        return self.finish(leaves=draw.random() < 0.5)

    def send(self, data: bytes) -> None:
        """Let bytes arrive, as soon as our side reads."""
        self._unread.append(data)
        self._largest = max(self._largest, len(data))
        self._deliver()

    def nothing(self) -> None:
        """Go on."""

    def wait(self) -> None:
        """Let a moment pass."""
        self.house.clock.advance(_SHORT_S)
        self._deliver()

    def wait_long(self) -> None:
        """Let deadlines come near, or pass."""
        self._pass(_LONG_S)

    def generate(self) -> None:
        """Let the model host send a frame of each answer."""
        for stream in self.house.upstream.streams:
            stream.send(chat_frame("more"))
        self._deliver()

    def end(self) -> None:
        """Let the model host end each answer."""
        for stream in self.house.upstream.streams:
            stream.send(chat_final())
            stream.end()
        self._deliver()

    def lose(self) -> None:
        """Let the model host break off."""
        for stream in self.house.upstream.streams:
            stream.end(clean=False)
        self._deliver()

    def stall(self) -> None:
        """Read nothing."""
        if self.client.open:
            self.client.fill()

    def catch_up(self) -> None:
        """Read everything."""
        if self.client.open:
            self.client.drain()
        self._deliver()

    def finish(self, *, leaves: bool) -> list[Response]:
        """Leave, or be silent for as long as anything may take; gives the answers."""
        if leaves:
            self.client.leave()
        self._pass(ALL_DEADLINES_S)
        for _ in self.house.upstream.asked:
            # Requests in one go are answered one after the other, each with its own deadlines.
            self._pass(ALL_DEADLINES_S)
        if self.client.open or self.house.site.channels:
            raise AssertionError("the connection outlives all deadlines")
        if len(self.house.live) or not all(map(_is_over, self.house.upstream.streams)):
            raise AssertionError("a call outlives its client")
        if timers := self.house.clock.getDelayedCalls():
            raise AssertionError(f"left on the clock: {timers}")
        responses = read_responses(self.client.value(), None, closed=True)
        self._check_record(responses)
        return responses

    def _deliver(self) -> None:
        while self._unread and self._reads():
            self.client.send(self._unread.pop(0))
            self._check_memory()
        self.client.settle()

    def _reads(self) -> bool:
        client = self.client
        ended = client.disconnecting or client.reset or not client.open
        return not ended and client.producerState == "producing"

    def _pass(self, seconds: float) -> None:
        for _ in range(round(seconds / _LONG_S)):
            self.house.clock.advance(_LONG_S)
            self._deliver()

    def _check_memory(self) -> None:
        """What a connection keeps is within its limits (SPEC 2, R5)."""
        for channel in self.house.site.channels:
            intake = channel._intake
            upload = 0 if intake._upload is None else intake._upload._size
            if len(channel._reader.held) > MAX_HEAD_BYTES or upload > BODY_LIMIT:
                raise AssertionError("a head or a body over its limit is kept")
            if len(intake.pending) > MAX_BEHIND_BYTES + self._largest:
                raise AssertionError(f"{len(intake.pending)} bytes that nobody has asked for")

    def _check_record(self, responses: list[Response]) -> None:
        """No request is recorded twice, no answer given twice, none but public ones unrecorded."""
        recorded = [str(event["id"]) for event in self.house.sink.events]
        final = [response for response in responses if response.status != _CONTINUE]
        answered = [response.fields["x-request-id"] for response in final]
        if len(set(recorded)) < len(recorded) or len(set(answered)) < len(answered):
            raise AssertionError("a request was seen or answered twice")
        for response in final:
            public = response.status in {200, 405}
            if response.fields["x-request-id"] not in recorded and not public:
                raise AssertionError(f"answered and not recorded: {response}")


_EVENTS = (
    *("nothing",) * 40,
    *("generate", "end") * 10,
    *("wait", "stall", "catch_up") * 5,
    *("lose", "wait_long"),
)


def _is_over(stream: ScriptedStream) -> bool:
    return stream.stopped or stream.finished


def segments(draw: Random, data: bytes) -> Iterator[bytes]:
    """Cut bytes at random: sometimes into single ones, sometimes hardly at all."""
    most = draw.choice((1, 3, 20, 200, 5000, MOST_BYTES))
    while data:
        size = draw.randint(1, most)
        yield data[:size]
        data = data[size:]
