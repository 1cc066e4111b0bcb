"""Sends an answer step by step, no faster than the peer reads and no longer than it stays."""

from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from mock_ollama.generation import Act, Pause, Problem, Step
from mock_ollama.recorder import Entry, State
from mock_ollama.web import MockRequest, error_body

_TURN_BYTES = 65_536
# What a step costs of a turn at least, so that a million empty steps do not block the reactor.
_STEP_COST = 64


@implementer(IPushProducer)
class StepStream:
    """Performs the steps of one answer as the producer of its request.

    Steps are taken in timer turns only: what a turn has written is then handed to the kernel
    before the next turn begins, so that a reset does not swallow the frames before it.
    `stream` says whether the steps make lines, or one object whose length is announced.
    """

    def __init__(
        self,
        request: MockRequest,
        entry: Entry,
        steps: Iterator[Step],
        clock: IReactorTime,
        *,
        stream: bool,
    ) -> None:
        self._request = request
        self._entry = entry
        self._steps = steps
        self._clock = clock
        self._stream = stream
        self._timer: IDelayedCall | None = None
        self._paused = False
        self._done: Deferred[None] = Deferred(lambda _: self.stopProducing())

    def start(self) -> Deferred[None]:
        """Begin to send; the result fires when the request may be finished.

        It stays silent after a reset or a hang, until whoever waits cancels it because the peer
        has gone.
        """
        if self._stream:
            self._request.setHeader(b"Content-Type", b"application/x-ndjson")
        self._request.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature
        self._arm(0.0, self._turn)
        return self._done

    def pauseProducing(self) -> None:
        """Take no further step: the peer reads more slowly than we write."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on where the pause began."""
        self._paused = False
        if self._timer is None:
            self._arm(0.0, self._turn)

    def stopProducing(self) -> None:
        """Stop generating at once: the peer has gone."""
        self._steps = iter(())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer = self._clock.callLater(seconds, then)

    def _turn(self) -> None:
        self._timer = None
        budget = _TURN_BYTES
        while not self._paused and budget > 0:
            step = next(self._steps, None)
            if isinstance(step, bytes):
                self._send(step)
                budget -= max(len(step), _STEP_COST)
            elif isinstance(step, Pause):
                self._arm(step.seconds, self._turn)
                return
            elif step is Act.TRUNCATE:
                self._entry.close(State.FAULT, self._clock.seconds())
            elif step is Act.RESET:
                self._arm(0.0, self._reset)
                return
            elif step is Act.HANG:
                return
            else:
                self._end(step)
                return
        if not self._paused:
            self._arm(0.0, self._turn)

    def _send(self, data: bytes) -> None:
        if not data:
            return
        self._entry.frames_sent += 1
        if self._stream:
            self._request.write(data)
        else:
            self._request.answer(200, data)

    def _reset(self) -> None:
        self._timer = None
        self._entry.close(State.FAULT, self._clock.seconds())
        self._request.abort()

    def _end(self, problem: Problem | None) -> None:
        if problem is not None:
            self._entry.close(State.FAULT, self._clock.seconds())
            if self._request.startedWriting:
                self._request.write(error_body(problem.text) + b"\n")
            else:
                self._request.answer(problem.status, error_body(problem.text))
        self._request.unregisterProducer()
        self._done.callback(None)
