"""Model hosts that do what a test tells them: as a stream, and as an upstream."""

from collections.abc import Callable, Sequence

import orjson
from attrs import define, field
from twisted.internet.task import Clock

from neuronetz_twisted.errors import Refusal, UpstreamBusy
from neuronetz_twisted.seams import FrameReceiver, Opening
from neuronetz_twisted.testing.identity import Gate
from neuronetz_twisted.upstream.deadline import Deadline, Timeouts
from neuronetz_twisted.vocabulary import Ticket

CREATED_AT = "2026-01-01T00:00:00.123456789Z"


def chat_frame(content: str) -> bytes:
    """A frame in the middle of a chat, as Ollama writes it."""
    message = {"role": "assistant", "content": content}
    frame = {"model": "llama3", "created_at": CREATED_AT, "message": message, "done": False}
    return orjson.dumps(frame)


def chat_final(prompt: int | None = 3, answer: int | None = 2, reason: str = "stop") -> bytes:
    """A chat's final frame; a count of None is left out."""
    counts = {"prompt_eval_count": prompt, "eval_count": answer}
    frame = {
        "model": "llama3",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": reason,
        **{name: count for name, count in counts.items() if count is not None},
    }
    return orjson.dumps(frame)


@define
class ScriptedStream:
    """A `NativeStream`; what is sent while `paused` still arrives, as bytes under way do.

    `stopped` says whether its connection was closed, `finished` whether it was let go in peace.
    """

    backend: str = "default"
    paused: bool = False
    stopped: bool = False
    finished: bool = False
    _receiver: FrameReceiver | None = field(default=None, init=False)
    _held: list[bytes] = field(factory=list, init=False)

    def attach(self, receiver: FrameReceiver) -> None:
        """Deliver what was held."""
        self._receiver = receiver
        if self._held:
            receiver.framesReceived(self._held)

    def pause(self) -> None:
        """Note that the host is held back."""
        self.paused = True

    def resume(self) -> None:
        """Note that it may go on."""
        self.paused = False

    def stop(self) -> None:
        """Note that the connection was closed."""
        self.stopped = True

    def finish(self) -> None:
        """Note that the rest may go by."""
        self.finished = True

    def send(self, *lines: bytes) -> None:
        """Let lines arrive in one read, unless the stream was stopped."""
        if self._receiver is None:
            self._held.extend(lines)
        elif not self._is_over:
            self._receiver.framesReceived(lines)

    def end(self, *, clean: bool = True) -> None:
        """Let the body end."""
        if self._receiver is not None and not self._is_over:
            self._receiver.streamEnded(clean=clean)

    def break_line(self) -> None:
        """Let a line grow over the limit: the stream stops itself and says so."""
        if self._receiver is not None and not self._is_over:
            self.stopped = True
            self._receiver.streamBroken()

    @property
    def _is_over(self) -> bool:
        return self.stopped or self.finished


@define
class ScriptedRoom:
    """The places at a backend, as a test says; the rest is what its host does."""

    is_free: bool = True
    is_full: bool = False
    heard: bool = False
    left_by_host: bool = False
    expects: bool = False
    turned: int = 0

    def turned_away(self) -> None:
        """Count."""
        self.turned += 1


@define
class ScriptedPolls:
    """The polls of backends, which answer unless a test has them `silent`."""

    silent: set[str] = field(factory=set, init=False)
    doubts: list[str] = field(factory=list, init=False)

    def answers(self, backend: str) -> bool:
        """Whether it is not silent."""
        return backend not in self.silent

    def doubted(self, backend: str) -> None:
        """Keep the name."""
        self.doubts.append(backend)


@define
class RecordingOpening:
    """An `Opening` that keeps the names of the backends that were asked, and the newest `cut`."""

    asked: list[str] = field(factory=list, init=False)
    cut: Callable[[Refusal], None] = field(default=lambda _: None, init=False)

    def sent(self, backend: str) -> None:
        """Keep a name."""
        self.asked.append(backend)

    def on_cut(self, cut: Callable[[Refusal], None]) -> None:
        """Keep the way to cut."""
        self.cut = cut


@define
class ScriptedUpstream:
    """An `Upstream` that opens a `ScriptedStream` per call, or fails with `refusal`.

    While `slots` is held, a call waits and nothing was sent for it; while `gate` is held, it was
    sent and waits for its first frame. While it is `full` it has no room for one more.
    """

    full: bool = False
    slots: Gate = field(factory=Gate)
    gate: Gate = field(factory=Gate)
    refusal: Refusal | None = None
    frames: Sequence[bytes] = ()
    asked: list[Ticket] = field(factory=list, init=False)
    streams: list[ScriptedStream] = field(factory=list, init=False)

    def check(self) -> None:
        """Raise `UpstreamBusy` where it is `full`."""
        if self.full:
            raise UpstreamBusy(why="queue")

    async def open(self, ticket: Ticket, opening: Opening) -> ScriptedStream:
        """Open a stream that has `frames` ready."""
        with Deadline(Timeouts(Clock(), 0)) as waits:
            opening.on_cut(waits.interrupt)
            self.asked.append(ticket)
            await waits.wait(self.slots.answer(lambda: None))
            opening.sent("default")
            stream = await waits.wait(self.gate.answer(self._stream))
        if self.refusal is not None:
            raise self.refusal
        return stream

    def _stream(self) -> ScriptedStream:
        stream = ScriptedStream()
        stream.send(*self.frames)
        self.streams.append(stream)
        return stream
