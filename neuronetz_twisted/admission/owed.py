"""What Redis has to be told, and is told until it has acknowledged it.

Each debt is a call that may be made any number of times. It is made at once; where it fails it is
made again with the others that wait, in rounds with growing pauses between, for as long as it
takes: debts outlive every connection. A round is made a portion at a time. Whoever makes debts asks
`is_full` before he begins what could lead to one.
"""

import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.back_off import BackOff
from neuronetz_twisted.errors import Refusal, Unavailable

_log = Logger()

PORTION = 200
"""How many debts are tried again in one turn of the reactor."""
_TURN_S = 0.01

Attempt = Callable[[], Deferred[Any]]
"""Makes the call once. Fails with an `Unavailable` or a `Refusal` where it was not acknowledged."""


@define(eq=False)
class _Debt:
    """A call that is owed; `is_changed` while another than this attempt is owed by now."""

    attempt: Attempt
    is_trying: bool = False
    is_changed: bool = False


@define(kw_only=True)
class Owed:
    """The debts of one process: `most` is the number at which it must make no more of them.

    `chance` gives a number from 0 up to 1.
    """

    _clock: IReactorTime
    most: int = 10_000
    _chance: Callable[[], float] = random.random
    _back_off: BackOff = field(init=False)
    _debts: dict[Hashable, _Debt] = field(factory=dict, init=False)
    _round: deque[Hashable] = field(factory=deque, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)
    _nothing_owed: Deferred[None] | None = field(default=None, init=False)

    @_back_off.default
    def _make_back_off(self) -> BackOff:
        return BackOff(self._chance)

    def __len__(self) -> int:
        return len(self._debts)

    @property
    def is_full(self) -> bool:
        """Whether there are as many debts as there may be."""
        return len(self._debts) >= self.most

    def owe(self, name: Hashable, attempt: Attempt) -> None:
        """Make a call until it is acknowledged; it takes the place of one of the same name."""
        debt = self._debts.get(name)
        if debt is None:
            debt = self._debts[name] = _Debt(attempt)
            self._try(name, debt)
        else:
            debt.attempt = attempt
            debt.is_changed = True

    def paid(self, within_s: float) -> Deferred[None]:
        """Try all debts now; fires when none is left, or when the time is over."""
        if not self._debts:
            return succeed(None)
        self._nothing_owed = Deferred()
        deadline = self._clock.callLater(within_s, self._give_up)
        self._nothing_owed.addBoth(_call_off, deadline)
        self._back_off.reset()
        self._in(0.0, self._begin_round)
        return self._nothing_owed

    def _give_up(self) -> None:
        _log.warn("{count} calls to Redis were never acknowledged", count=len(self._debts))
        self._debts.clear()
        self._round.clear()
        self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiter, self._nothing_owed = self._nothing_owed, None
        if waiter is not None:
            waiter.callback(None)

    def _try(self, name: Hashable, debt: _Debt) -> None:
        debt.is_trying, debt.is_changed = True, False
        debt.attempt().addCallbacks(
            self._acknowledged, self._failed, callbackArgs=(name, debt), errbackArgs=(name, debt)
        ).addErrback(self._unforeseen)

    def _acknowledged(self, _: Any, name: Hashable, debt: _Debt) -> None:
        debt.is_trying = False
        self._back_off.reset()
        if self._debts.get(name) is not debt:
            return
        if debt.is_changed:
            self._try(name, debt)
            return
        del self._debts[name]
        if not self._debts:
            self._end()

    def _failed(self, failure: Failure, name: Hashable, debt: _Debt) -> None:
        debt.is_trying = False
        if self._debts.get(name) is debt:
            # Behind all others, so that those that always fail do not keep them from their turn.
            self._debts[name] = self._debts.pop(name)
            if self._timer is None and not self._round:
                self._in(self._back_off.next(), self._begin_round)
        failure.trap(Unavailable, Refusal)

    def _unforeseen(self, failure: Failure) -> None:
        _log.failure("a call to Redis failed in an unforeseen way", failure)

    def _in(self, seconds: float, what: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, what)

    def _begin_round(self) -> None:
        self._round = deque(name for name, debt in self._debts.items() if not debt.is_trying)
        self._take_turn()

    def _take_turn(self) -> None:
        self._timer = None
        for name in [self._round.popleft() for _ in range(min(PORTION, len(self._round)))]:
            # Nothing else tries what waits, so it is still there.
            self._try(name, self._debts[name])
        if self._round:
            self._in(_TURN_S, self._take_turn)
        elif self._timer is None and not all(debt.is_trying for debt in self._debts.values()):
            # Some have failed while the round went on.
            self._in(self._back_off.next(), self._begin_round)


def _call_off(result: None, deadline: IDelayedCall) -> None:
    del result
    if deadline.active():
        deadline.cancel()
