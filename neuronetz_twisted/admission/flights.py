"""Many who want the same thing at the same time start one piece of work and share its end.

Without it a hundred parallel first requests of one key would cost a hundred argon2. A waiter that
is cancelled leaves; the work and the others go on, since a client that hangs up must not take the
answer from those who wait with him.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from copy import copy
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.errors import Refusal

_log = Logger()

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@define
class SingleFlight(Generic[Key, Result]):
    """Work in progress by key; memory is bounded by those who wait."""

    _flights: dict[Key, deque[Deferred[Result]]] = field(factory=dict, init=False)

    def join(
        self, key: Key, start: Callable[[], Coroutine[Deferred[Any], Any, Result]]
    ) -> Deferred[Result]:
        """Wait for the work under `key`, which `start` begins if nobody has.

        The Deferred fires with the work's result or failure; cancelling it frees this waiter only.
        """
        waiters = self._flights.get(key)
        if waiters is not None:
            return _wait(waiters)
        waiters = self._flights[key] = deque()
        waiter = _wait(waiters)
        work = Deferred.fromCoroutine(start())
        work.addCallbacks(self._succeeded, self._failed, callbackArgs=(key,), errbackArgs=(key,))
        return waiter

    def _succeeded(self, result: Result, key: Key) -> None:
        # Taken out first: whoever is called may at once ask again, and means a new flight.
        waiters = self._flights.pop(key)
        while waiters:
            waiters.popleft().callback(result)

    def _failed(self, failure: Failure, key: Key) -> None:
        waiters = self._flights.pop(key)
        error = failure.value
        if not isinstance(error, Refusal) and not waiters:
            _log.failure("work that nobody waits for any more has failed", failure)
        while waiters:
            # A refusal of its own for each: a raised exception keeps the frames it went through,
            # and those of the work hold a key.
            waiters.popleft().errback(
                Failure(copy(error)) if isinstance(error, Refusal) else failure
            )


def _wait(waiters: deque[Deferred[Result]]) -> Deferred[Result]:
    """Add one who waits, who takes himself out when he is cancelled."""
    waiter: Deferred[Result] = Deferred(waiters.remove)
    waiters.append(waiter)
    return waiter
