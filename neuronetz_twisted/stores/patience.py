"""A deadline that a slow turn of our own reactor does not bring forward.

Timers run before sockets are read. After a turn that took longer than the deadline, a reply that
has long arrived, or even a call that is still in our buffer, would be condemned unread: a flood at
the front would look like Redis being away. So when the time is over, a moment and two turns are
waited for what has arrived.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

GRACE_S = 0.05
_GRACE = (GRACE_S, 0.0, 0.0)


class Patience:
    """Calls `call(*args)` when `seconds` and the grace are over; like an `IDelayedCall`."""

    __slots__ = ("_args", "_call", "_clock", "_step", "_timer")

    def __init__(
        self, clock: IReactorTime, seconds: float, call: Callable[..., object], *args: Any
    ) -> None:
        self._clock = clock
        self._call = call
        self._args = args
        self._step = 0
        self._timer = clock.callLater(seconds, self._fire)

    def active(self) -> bool:
        """Whether it is still to come."""
        return self._timer.active()

    def cancel(self) -> None:
        """Call it off, and let go of what would have been called."""
        self._timer.cancel()
        self._args = ()

    def _fire(self) -> None:
        if self._step == len(_GRACE):
            self._call(*self._args)
        else:
            self._timer = self._clock.callLater(_GRACE[self._step], self._fire)
            self._step += 1
