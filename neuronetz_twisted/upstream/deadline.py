"""A deadline for several waits, one after the other, that says truthfully why each ended."""

from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from neuronetz_twisted.errors import DeadlinePassed

T = TypeVar("T")


@define(eq=False)
class Deadline:
    """One timer for all waits of one piece of work; as a context it ends with the work.

    When it passes, the Deferred that is awaited is cancelled, and must fail with `CancelledError`
    then, as those of our own agent do.
    """

    _clock: IReactorTime
    _timer: IDelayedCall | None = field(default=None, init=False)
    _awaited: Deferred[Any] | None = field(default=None, init=False)
    _passed: bool = field(default=False, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def start(self, seconds: float) -> None:
        """Let it run; where it runs already, it goes on."""
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._pass)

    async def wait(self, inner: Deferred[T]) -> T:
        """What `inner` says; raises `DeadlinePassed` at the deadline, and then closes `inner`.

        A cancel from outside stays a `CancelledError`.
        """
        self._awaited = inner
        if self._passed:
            inner.cancel()
        try:
            return await inner
        except CancelledError:
            if self._passed:
                raise DeadlinePassed from None
            raise

    def _pass(self) -> None:
        self._passed = True
        if self._awaited is not None:
            self._awaited.cancel()
