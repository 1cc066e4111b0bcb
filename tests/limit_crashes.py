"""What must hold of limits when a gateway is killed, and of a stream that outlasts its lease."""

import time

from twisted.trial.unittest import SynchronousTestCase

from tests.figures import within
from tests.limit_scenarios import left, many, tell, warm
from tests.limits_house import LimitsHouse, new_word, own_house
from tests.processes import eventually

SLOT_S = 31.0
ADOPTED_S = 45.0


def kill_gateway(case: SynchronousTestCase, streams: int) -> None:
    """Of two gateways on one state directory one is killed with its streams."""
    house = own_house(case)
    if house.records is None:
        raise AssertionError("its servers are the gateway's own")
    other, budget, word = house.records.another(), 10**6, new_word()
    key = house.new_key(many(concurrent=streams, budget_total=budget))
    warm(house, key)
    with house.crowd(key, streams, f"{word} [[n=3000 delay=100ms]]") as crowd:
        eventually(lambda: all(call.frames for call in crowd.calls))
        full = house.greet(key, other)
        case.assertEqual((full.status, full.json()["limit"]), (429, "concurrency"))
        house.stacks[0].gateway.kill()
        killed = time.monotonic()
    eventually(lambda: house.greet(key, other).status == 200, SLOT_S + 10)
    freed = time.monotonic() - killed
    eventually(lambda: len(house.charges(word)) == streams, ADOPTED_S)
    eventually(lambda: left(house, key, "budget_total", other) == budget - house.ledger(key))
    adopted = time.monotonic() - killed
    rows = house.charges(word)
    tell(
        f"killed with {streams} streams: slots free after {freed:.1f} s, all on record and used = "
        f"ledger = {house.ledger(key)} after {adopted:.1f} s"
    )
    case.assertTrue(freed <= within(SLOT_S), f"free after {freed} s")
    case.assertEqual({row.outcome for row in rows}, {"unknown"})
    relayed = sum(call.frames for call in crowd.calls)
    case.assertTrue(sum(row.charged for row in rows) >= relayed)
    case.assertEqual(house.pending(key), [])


def keep_slot(case: SynchronousTestCase, house: LimitsHouse, for_s: float) -> None:
    """A stream that outlasts its lease keeps its one slot, second by second."""
    key, word = house.new_key(many(concurrent=1)), new_word()
    warm(house, key)
    with house.crowd(key, 1, f"{word} [[n={int(for_s * 5)} delay=200ms]]") as crowd:
        eventually(lambda: crowd.calls[0].frames > 0)
        asked = 0
        # The last second is left out: the stream may end while it is asked.
        over = time.monotonic() + for_s - 2
        while time.monotonic() < over:
            for stack in house.stacks:
                answer = house.greet(key, stack)
                case.assertEqual((answer.status, answer.json()["limit"]), (429, "concurrency"))
                asked += 1
            # Time is what is held here: the lease of the slot has to end and be renewed.
            time.sleep(1)
        (stream,) = crowd.wait(for_s)
        tell(f"a stream of {stream.frames} frames in {for_s:.0f} s kept its slot; {asked} refused")
        case.assertTrue(stream.is_whole)
    eventually(lambda: house.greet(key).status == 200)
