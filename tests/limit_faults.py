"""What must hold of limits while Redis forgets, ends or stands still (SPEC 7; DESIGN 4).

Each scenario makes a key of its own, and ends with a Redis that is well.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from attrs import define, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.gateway import Stack
from tests.http_client import Answer
from tests.limit_scenarios import hold_refusals, left, many, tell, warm
from tests.limits_house import FLUSHED_S, LimitsHouse, new_word
from tests.processes import eventually

REFUSED_S = within(0.25 + 0.1)
"""Redis' deadline, and what an answer takes besides."""
HUNG_S = within(0.5)
BACK_S = within(3.0)
QUARANTINE_S = 12.0
HELD_S = 10.0
LEASE = 32
"""The largest that a house of these tests has."""

_PAUSE_S = 0.1


@define(eq=False)
class Asker:
    """Asks one gateway again and again while a block runs, and keeps what it was told."""

    house: LimitsHouse
    key: str
    stack: Stack
    answers: list[tuple[float, Answer]] = field(factory=list)
    _over: Event = field(factory=Event)
    _thread: Thread | None = None

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._go_on)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(_PAUSE_S):
            answer = self.house.greet(self.key, self.stack)
            self.answers.append((time.monotonic(), answer))

    def refused(self) -> list[Answer]:
        """The refusals, all of which must say that limits cannot be known."""
        found = [answer for _, answer in self.answers if answer.status != 200]
        for answer in found:
            if (answer.status, answer.json()["code"]) != (503, "limits_unavailable"):
                raise AssertionError((answer.status, answer.body))
            if int(answer.headers["retry-after"]) < 1 or "ratelimit" in answer.headers:
                raise AssertionError(answer.headers)
        return found

    def slowest(self) -> float:
        """The longest that a refusal took, in seconds."""
        return max((answer.seconds for answer in self.refused()), default=0.0)


def redis_call(house: LimitsHouse, *parts: str) -> Any:
    """One command to Redis."""
    with house.redis() as redis:
        return redis.call(*parts)


def restart_redis(house: LimitsHouse) -> None:
    """Have Redis end as in a crash; its keeper starts it again, with what is on its disk."""
    old = house.stacks[0].server_pid("valkey")
    house.stacks[0].kill_server("valkey")
    eventually(lambda: house.stacks[0].server_pid("valkey") != old)
    eventually(lambda: _answers(house))


def _answers(house: LimitsHouse) -> bool:
    try:
        return bool(redis_call(house, "PING") == b"PONG")
    except OSError:
        return False


def flush_all(house: LimitsHouse) -> None:
    """All keys are gone, the server is the same."""
    redis_call(house, "FLUSHALL")


def flush_scripts(house: LimitsHouse) -> None:
    """The scripts are gone, the counters are not."""
    redis_call(house, "SCRIPT", "FLUSH")


def snapshot(case: SynchronousTestCase, house: LimitsHouse) -> None:
    """Save what Redis has now, for a start from an old copy; the copy goes with the test."""
    redis_call(house, "SAVE")
    _, folder = redis_call(house, "CONFIG", "GET", "dir")
    _, name = redis_call(house, "CONFIG", "GET", "dbfilename")
    case.addCleanup(Path(os.fsdecode(folder), os.fsdecode(name)).unlink, missing_ok=True)


@frozen(kw_only=True)
class Loss:
    """One way to lose what Redis has, and what it may cost.

    `is_old_copy`: Redis begins again with a copy from before anything was spent. Nobody is admitted
    for `quarantine_s` seconds. Streams run on for `streams_s` seconds.
    """

    fault: Callable[[LimitsHouse], None]
    is_old_copy: bool = False
    quarantine_s: float = 0.0
    streams_s: float = 4.0


def hold_through(case: SynchronousTestCase, house: LimitsHouse, loss: Loss) -> None:
    """A budget is what the ledger says it is, before and behind a fault, and never more is spent.

    Some of it is spent and in the ledger, some is pending for a stream that runs on.
    """
    budget, word = 1000, new_word()
    key = house.new_key(many(budget_total=budget, concurrent=20))
    warm(house, key)
    if loss.is_old_copy:
        snapshot(case, house)
    with house.crowd(key, 10, f"{word} [[n=20]]") as spenders:
        spenders.wait()
    case.assertEqual(spenders.statuses(), {200: 10})
    eventually(lambda: len(house.charges(word)) == 10)
    spent = house.ledger(key)
    with house.crowd(key, 2, f"{word} [[n={int(loss.streams_s * 20)} delay=50ms]]") as streams:
        eventually(lambda: all(call.frames for call in streams.calls))
        _strike(case, house, key, loss)
        running = sum(call.frames for call in streams.calls)
        free = left(house, key, "budget_total")
        case.assertTrue(free <= budget - spent - running, f"{free} left of {budget}, {spent} spent")
        streams.wait(60)
    ended = [call.last for call in streams.calls if not call.is_whole]
    tell(f"{len(ended)} of {len(streams.calls)} streams ended without a lease")
    case.assertEqual({last["code"] for last in ended} - {"limits_unavailable"}, set())
    case.assertTrue(loss.quarantine_s or not ended, "a stream was ended")
    hold_rest(case, house, key, budget)


def _strike(case: SynchronousTestCase, house: LimitsHouse, key: str, loss: Loss) -> None:
    """Have it happen while somebody asks: he is refused at once, and answered again in time."""

    def answered() -> list[float]:
        return [at - struck for at, answer in asker.answers if at > struck and answer.status == 200]

    with Asker(house, key, house.stacks[-1]) as asker:
        loss.fault(house)
        struck = time.monotonic()
        eventually(answered, loss.quarantine_s + BACK_S + 10)
    back_s = answered()[0]
    tell(
        f"{loss.fault.__name__}{', an old copy' if loss.is_old_copy else ''}: "
        f"{len(asker.refused())} of {len(asker.answers)} refused, slowest in "
        f"{asker.slowest():.3f} s, back after {back_s:.1f} s"
    )
    case.assertTrue(asker.slowest() < REFUSED_S, f"{asker.slowest()} s")
    case.assertTrue(back_s < loss.quarantine_s + BACK_S, f"back after {back_s} s")


def hold_rest(case: SynchronousTestCase, house: LimitsHouse, key: str, budget: int) -> None:
    """What is left of a budget can be spent to its end, and by a lease for each cut no further."""
    word, cut, statuses = new_word(), 0, {200}
    while 200 in statuses:
        with house.crowd(key, 6, f"{word} [[n=100 delay=2ms]]") as crowd:
            crowd.wait()
        statuses = set(crowd.statuses())
        cut += sum("gateway_cut" in call.last for call in crowd.calls)
        hold_refusals(
            case, [call for call in crowd.calls if call.status != 200], "budget_exhausted", "total"
        )
        # What an answer did not use of its lease is there for the next wave.
        eventually(lambda: not house.running(key), FLUSHED_S)
    # Prompts are estimated with a little more than they have, so a few tokens may stay.
    eventually(lambda: house.ledger(key) >= budget - 50)
    eventually(lambda: left(house, key, "budget_total") == 0)
    spent = settled_ledger(house, key)
    tell(f"budget {budget}, ledger {spent}, {cut} streams cut")
    case.assertTrue(spent <= budget + cut * LEASE, f"{spent} spent, {cut} cut")


def settled_ledger(house: LimitsHouse, key: str) -> int:
    """What the ledger has once nothing of the tenant is pending any more."""
    eventually(lambda: not house.pending(key), FLUSHED_S)
    return house.ledger(key)


def hold_frozen(case: SynchronousTestCase, house: LimitsHouse, frozen_s: float) -> None:
    """Redis stands still: streams with a budget wait for their leases, all others run on."""
    limited, word = house.new_key(many(budget_total=10**6, concurrent=100)), new_word()
    free = house.new_key(many())
    warm(house, limited)
    warm(house, free)
    waits = frozen_s < HELD_S
    with (
        house.crowd(limited, 4, f"{word} [[n=150 delay=20ms]]") as leased,
        house.crowd(free, 4, f"{word} [[n=150 delay=20ms]]") as unleased,
    ):
        eventually(lambda: all(call.frames for call in (*leased.calls, *unleased.calls)))
        with house.stacks[0].frozen("valkey"):
            frozen_at = time.monotonic()
            slowest = _refused_by_all(case, house, limited)
            unleased.wait()
            over = time.monotonic() + frozen_s - (time.monotonic() - frozen_at)
            eventually(lambda: time.monotonic() > over or not leased.running(), frozen_s + 5)
            held = [call.frames for call in leased.calls]
            took = time.monotonic() - frozen_at
        leased.wait()
        case.assertEqual([call.frames for call in unleased.calls], [150] * 4)
        case.assertTrue(all(call.is_whole for call in unleased.calls))
        tell(
            f"Redis hung for {took:.1f} s: refused within {slowest:.3f} s, streams with a budget "
            f"held after {held} frames, ended with {[call.frames for call in leased.calls]}"
        )
        for call in leased.calls:
            case.assertTrue(call.is_whole is waits, bytes(call.received[-200:]))
            if not waits:
                case.assertEqual(call.last["code"], "limits_unavailable")
        case.assertTrue(max(held) < 150, f"nobody waited: {held}")
    eventually(lambda: house.greet(limited).status == 200, BACK_S + 10)
    # What was asked of Redis and never answered is given back, and what has ended is told.
    eventually(lambda: not house.pending(limited), FLUSHED_S)
    case.assertEqual(left(house, limited, "concurrent"), 100)
    case.assertEqual(left(house, limited, "budget_total"), 10**6 - house.ledger(limited))


def _refused_by_all(case: SynchronousTestCase, house: LimitsHouse, key: str) -> float:
    """Many ask while Redis hangs: all are refused in time; gives the slowest, in seconds."""
    with house.crowd(key, 20, f"{new_word()} [[n=1]]") as crowd:
        crowd.wait()
    for call in crowd.calls:
        case.assertEqual((call.status, call.json()["code"]), (503, "limits_unavailable"))
        case.assertNotIn("ratelimit", call.headers)
        case.assertNotIn("x-ratelimit-limit-requests", call.headers)
    slowest = max((call.ended_at or 0.0) - call.began for call in crowd.calls)
    case.assertTrue(slowest < HUNG_S, f"{slowest} s")
    return slowest
