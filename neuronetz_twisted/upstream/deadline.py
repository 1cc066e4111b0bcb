"""A deadline for a Deferred that says truthfully why it ended.

An agent's request that is cancelled fails with whatever it was doing (`ResponseNeverReceived`,
`DNSLookupError`), so neither `addTimeout` nor a cancelled coroutine could tell a client that went
from a host that failed.
"""

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from neuronetz_twisted.errors import DeadlinePassed

T = TypeVar("T")


def within(clock: IReactorTime, deadline: float, inner: Deferred[T]) -> Deferred[T]:
    """Fires as `inner` does, with `DeadlinePassed` at `deadline`, with `CancelledError` on cancel.

    `deadline` is on the clock, in seconds. In the last two cases `inner` is cancelled and what it
    then says is dropped.
    """
    outer: Deferred[T] = Deferred(lambda _: abandon())
    abandoned = False

    def abandon() -> None:
        nonlocal abandoned
        abandoned = True
        if timer.active():
            timer.cancel()
        inner.cancel()

    def expire() -> None:
        abandon()
        outer.errback(DeadlinePassed())

    def pass_on(result: T | Failure) -> None:
        if abandoned:
            return
        if timer.active():
            timer.cancel()
        if isinstance(result, Failure):
            outer.errback(result)
        else:
            outer.callback(result)

    timer = clock.callLater(max(0.0, deadline - clock.seconds()), expire)
    inner.addBoth(pass_on)
    return outer
