"""How tests with real servers wait: on a condition, with a bound, on trial's reactor.

Trial runs the process's one reactor, so this is the one place in the tests that takes it; tests
get it from here.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _trials_reactor
from twisted.internet.task import deferLater

reactor: Any = _trials_reactor

_STEP_S = 0.01


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Return as soon as the condition holds; fails the test when it does not in time."""
    give_up = reactor.seconds() + within_s
    while not condition():
        if reactor.seconds() > give_up:
            raise AssertionError(f"not within {within_s} s: {condition}")
        await deferLater(reactor, _STEP_S)
