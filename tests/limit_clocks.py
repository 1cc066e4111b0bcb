"""What must hold of limits when the wall clock of a gateway's host is set (SPEC 7).

The clock is that of the gateway's process only, stepped by `tests/stepped`.
"""

import os
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self
from uuid import UUID

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.gateway import Stack
from tests.http_client import Answer
from tests.limit_scenarios import many, tell, warm
from tests.limits_house import FLUSHED_S, LimitsHouse, new_word, tenant_of
from tests.processes import eventually

STEPPED = Path(__file__).parent / "stepped"

_BREATH_S = 0.5
"""Between two questions; more of them would prove no more, and load the machine."""


@define(eq=False)
class SteppedClock:
    """The wall clock of gateways that are started with `settings`."""

    file: Path

    @classmethod
    def of(cls, case: SynchronousTestCase) -> Self:
        """A clock that is right, until it is stepped."""
        clock = cls(Path(case.mktemp()))
        clock.file.write_bytes(bytes(8))
        return clock

    @property
    def settings(self) -> dict[str, str]:
        """What makes a gateway take it."""
        paths = (str(STEPPED), os.environ.get("PYTHONPATH", ""))
        path = os.pathsep.join(part for part in paths if part)
        return {"STEPPED_CLOCK": str(self.file.absolute()), "PYTHONPATH": path}

    def step(self, seconds: float) -> None:
        """Set it so much before or behind the true time."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("d", seconds))


def step_clock(case: SynchronousTestCase, house: LimitsHouse, seconds: float, for_s: float) -> None:
    """The wall clock of one of two gateways is set while it works: it counts as the other does.

    Its stream goes on and keeps its slot for `for_s` seconds, its calls are served, the one
    limit of both holds, a key revoked there is refused, and the day that is charged is Redis'.
    """
    clock = SteppedClock.of(case)
    stepped = house.beside(**clock.settings)
    case.addCleanup(house.remove, stepped)
    held = house.new_key(many(concurrent=1, budget_total=10**6))
    warm(house, held)
    prompt = f"{new_word()} [[n={int(for_s * 10)} delay=100ms]]"
    with house.crowd(held, 1, prompt, stacks=[stepped]) as crowd:
        (stream,) = crowd.calls
        eventually(lambda: stream.frames > 0)
        _count_through(case, house, partial(clock.step, seconds))
        refused = [house.greet(held, stack) for stack in (*house.stacks, stepped)]
        case.assertTrue(abs(_lead(refused[-1]) - seconds) < 60, f"{_lead(refused[-1])} s")
        while stream.ended_at is None and time.monotonic() < stream.began + for_s - 1:
            refused += [house.greet(held, stack) for stack in house.stacks]
            # Time is what is held here: the stream's, in which its slot must not become free.
            time.sleep(_BREATH_S)
        case.assertEqual({answer.status for answer in refused}, {429})
        crowd.wait(for_s + 5)
    case.assertEqual((stream.frames, stream.is_whole), (int(for_s * 10), True))
    eventually(lambda: house.greet(held, stepped).status == 200)
    _hold_day(case, house, held)
    _hold_revocation(case, house, held, stepped)
    tell(
        f"clock set by {seconds:+.0f} s: a stream of {for_s:.0f} s kept its slot "
        f"({len(refused)} refused)"
    )


def _count_through(case: SynchronousTestCase, house: LimitsHouse, step: Callable[[], None]) -> None:
    """What is admitted before and behind a step counts together."""
    rpm, word = 20, new_word()
    key = house.new_key(many(rpm=rpm))
    warm(house, key)
    with house.crowd(key, rpm // 2, f"{word} [[n=1]]") as before:
        before.wait()
    step()
    with house.crowd(key, 2 * rpm, f"{word} [[n=1]]") as after:
        after.wait()
    statuses = before.statuses() + after.statuses()
    tell(f"{dict(statuses)} for {rpm} a minute")
    case.assertEqual(statuses, {200: rpm, 429: rpm // 2 + rpm})
    waits = {int(call.headers["retry-after"]) for call in after.calls if call.status == 429}
    case.assertTrue(max(waits) <= 61, str(waits))


def _lead(answer: Answer) -> float:
    """How many seconds the clock that has stamped an answer's id is before ours (RFC 9562 5.7)."""
    return UUID(answer.headers["x-request-id"]).int / 2**80 / 1000 - time.time()


def _hold_day(case: SynchronousTestCase, house: LimitsHouse, key: str) -> None:
    """All that a key has used is on the day of Redis' clock."""
    eventually(lambda: not house.pending(key), FLUSHED_S)
    with house.redis() as redis:
        today = datetime.fromtimestamp(int(redis.call("TIME")[0]), UTC).date()
    days = house.stacks[0].administer(_DAYS, tenant_of(key))
    case.assertEqual(days, [(today,)])


def _hold_revocation(case: SynchronousTestCase, house: LimitsHouse, key: str, stack: Stack) -> None:
    """A key that is revoked is refused within a second."""
    revoke = "INSERT INTO gateway.revocations (prefix) VALUES (%s)"
    house.stacks[0].administer(revoke, key[:12])
    revoked = time.monotonic()
    eventually(lambda: house.greet(key, stack).status == 401)
    seconds = time.monotonic() - revoked
    case.assertTrue(seconds < within(1.0), f"after {seconds} s")


_DAYS = """
    SELECT DISTINCT u.starts_on FROM gateway.budget_usage u
    JOIN gateway.tenants t ON t.id = u.scope_id
    WHERE u.scope_kind = 'tenant' AND t.name = %s AND u.period = 'day'
"""
