"""What limits and budgets promise under many clients at once (SPEC 7), in sizes that tests choose.

Each scenario makes a key of its own, lets its clients loose, and holds what came of it against the
mock and the ledger. `tell` says the figures in `./test.sh long`.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.limits import LARGEST_LIMIT, Limits
from tests.crowd import Exchange
from tests.figures import EXACT, within
from tests.gateway import Stack
from tests.http_client import ask
from tests.limits_house import FLUSHED_S, LimitsHouse, most_at_once, new_word, tenant_of
from tests.processes import eventually

SPAN_S = 60.0
JITTER_S = 0.5
"""Between Redis' decision and the arrival at the mock, on a machine that is busy with the crowd."""

_BREATH_S = 0.5
_ANSWERS_S = 60.0


def tell(text: str) -> None:
    """Say a figure, in the runs that are about figures."""
    if EXACT:
        sys.stderr.write(f"\n    {text}\n")


def many(**limits: int) -> Limits:
    """Limits that nobody reaches, but for these."""
    room = dict.fromkeys(("rpm", "tpm", "concurrent"), LARGEST_LIMIT)
    return Limits(**{**room, **limits})


def warm(house: LimitsHouse, key: str) -> None:
    """Have each gateway know a key, without a call that counts."""
    for stack in house.stacks:
        eventually(partial(_is_known, stack, key))


def _is_known(stack: Stack, key: str) -> bool:
    return ask(stack.port, "GET", "/api/tags", key=key).status == 200


def hold_rpm(
    case: SynchronousTestCase, house: LimitsHouse, *, clients: int, rpm: int, for_s: float = 0.0
) -> None:
    """So many clients, again and again for so long: never more than the limit in any minute."""
    key = house.new_key(many(rpm=rpm))
    warm(house, key)
    word = new_word()
    began = time.monotonic()
    waves = 0
    while not waves or time.monotonic() < began + for_s:
        with house.crowd(key, clients, f"{word} [[n=1]]") as crowd:
            calls = crowd.wait(_ANSWERS_S)
        refused = [call for call in calls if call.status != 200]
        hold_refusals(case, refused, "rate_limited", "requests")
        if not waves:
            case.assertEqual(len(calls) - len(refused), min(clients, rpm))
        waves += 1
        if for_s:
            # The pace of the load: what is held are minutes, not how fast refusals are.
            time.sleep(_BREATH_S)
    arrivals = sorted(entry["received_at"] for entry in house.entries(word))
    spans = [later - earlier for earlier, later in zip(arrivals, arrivals[rpm:], strict=False)]
    tell(
        f"{clients} clients, {len(house.stacks)} gateways, {waves} waves in "
        f"{time.monotonic() - began:.0f} s: {len(arrivals)} admitted, shortest span of "
        f"{rpm + 1}: {min(spans, default=0.0):.2f} s"
    )
    case.assertEqual([span for span in spans if span < SPAN_S - JITTER_S], [])
    windows = 1 + int(for_s // (SPAN_S + 2))
    case.assertTrue(len(arrivals) >= windows * min(clients, rpm), f"{len(arrivals)} admitted")


def hold_refusals(
    case: SynchronousTestCase, refused: Sequence[Exchange], code: str, limit: str
) -> None:
    """Each says what was reached, and when to come again."""
    for call in refused:
        body = call.json()
        said = body.get("error") if isinstance(body.get("error"), dict) else body
        case.assertEqual((call.status, said["code"], said["limit"]), (429, code, limit))
        case.assertTrue(int(call.headers["retry-after"]) >= 1, call.headers["retry-after"])


def hold_slots(
    case: SynchronousTestCase, house: LimitsHouse, *, clients: int, slots: int, waves: int = 1
) -> None:
    """So many clients at once: the mock never sees more of them than there are slots."""
    key = house.new_key(many(concurrent=slots))
    warm(house, key)
    word = new_word()
    for _ in range(waves):
        # Not paced: the mock pauses behind its last frame too, when the call is over for everybody.
        with house.crowd(key, clients, f"{word} [[n=3 wait=400ms]]") as crowd:
            calls = crowd.wait(_ANSWERS_S)
        hold_refusals(
            case, [call for call in calls if call.status != 200], "rate_limited", "concurrency"
        )
    entries = house.entries(word)
    most = most_at_once(entries)
    tell(f"{waves} x {clients} clients on {slots} slots: {len(entries)} ran, {most} at once")
    case.assertEqual(most, slots)
    eventually(lambda: left(house, key, "concurrent") == slots)


def left(house: LimitsHouse, key: str, limit: str, stack: Stack | None = None) -> int:
    """What `/gateway/limits` says is left of a limit of the tenant."""
    found: int = house.limits(key, stack)["left"]["tenant"][limit]
    return found


def count_burst(case: SynchronousTestCase, house: LimitsHouse, *, clients: int) -> None:
    """So many calls in one burst count as so many."""
    rpm = 100_000
    key = house.new_key(many(rpm=rpm))
    warm(house, key)
    with house.crowd(key, clients, f"{new_word()} [[n=1]]") as crowd:
        crowd.wait(_ANSWERS_S)
    took = max(call.first_at or 0.0 for call in crowd.calls) - crowd.calls[0].began
    case.assertEqual(crowd.statuses(), {200: clients})
    shown = [int(call.headers["x-ratelimit-remaining-requests"]) for call in crowd.calls]
    tell(f"{clients} calls within {took:.1f} s: {left(house, key, 'rpm')} of {rpm} left")
    case.assertEqual(sorted(shown, reverse=True), [rpm - 1 - place for place in range(clients)])
    case.assertEqual(left(house, key, "rpm"), rpm - clients)


@frozen(kw_only=True)
class Streams:
    """So many streams of `tokens` each at once, paced, on a budget for `paid` of them.

    With `short` every other one has only so many tokens, and may end before the budget does.
    """

    count: int
    tokens: int
    delay_ms: int
    paid: int
    lease: int
    short: int = 0
    path: str = "/api/chat"

    def prompts(self, word: str) -> tuple[str, ...]:
        """What the mock is asked for, the longest first."""
        lengths = (self.tokens, self.short) if self.short else (self.tokens,)
        return tuple(f"{word} [[n={tokens} delay={self.delay_ms}ms]]" for tokens in lengths)


def hold_budget(
    case: SynchronousTestCase,
    house: LimitsHouse,
    streams: Streams,
    *,
    stacks: Sequence[Stack] = (),
    **fields: Any,
) -> None:
    """More streams than the budget has room for: it is passed by one lease for each at most."""
    word = new_word()
    budget = streams.paid * (streams.tokens + _prompt_tokens(streams.prompts(word)[0]))
    key = house.new_key(many(budget_total=budget))
    warm(house, key)
    crowd = house.crowd(
        key, streams.count, *streams.prompts(word), stacks=stacks, path=streams.path, **fields
    )
    with crowd:
        crowd.wait(_ANSWERS_S + 2 * streams.tokens * streams.delay_ms / 1000)
    ran = [call for call in crowd.calls if call.status == 200]
    hold_refusals(
        case, [call for call in crowd.calls if call.status != 200], "budget_exhausted", "total"
    )
    relayed = sum(call.tokens for call in ran)
    cut = [call for call in ran if call.last.get("gateway_cut")]
    for call in ran:
        hold_end(case, call, is_cut=call in cut)
    charged = hold_ledger(case, house, key, word, len(ran))
    over = charged - budget
    tell(
        f"{streams}: budget {budget}, {len(ran)} ran, {len(cut)} cut, {relayed} tokens relayed, "
        f"ledger {charged}, over by {over}"
    )
    case.assertTrue(relayed <= budget, f"{relayed} tokens on {budget}")
    case.assertTrue(over <= len(ran) * streams.lease, f"{over} over {budget}")
    case.assertTrue(cut, "no stream was cut")
    case.assertTrue(len(cut) < len(ran) or not streams.short, "no stream came to its own end")
    case.assertTrue(charged > 0.9 * budget - streams.tokens, f"only {charged} of {budget}")


def lower_budget(case: SynchronousTestCase, house: LimitsHouse, streams: Streams) -> None:
    """Streams on a large budget that is lowered to what is used: each is cut within a lease.

    Until then it may go on for the second in which a change holds, and for what it has drawn.
    """
    word, budget = new_word(), 100_000
    key = house.new_key(many(budget_day=budget))
    warm(house, key)
    with house.crowd(key, streams.count, *streams.prompts(word)) as crowd:
        eventually(lambda: all(call.frames > streams.lease for call in crowd.calls))
        used = budget - left(house, key, "budget_day")
        house.stacks[0].command("set-budget", "--tenant", tenant_of(key), "--day", str(used))
        before = [call.frames for call in crowd.calls]
        crowd.wait(_ANSWERS_S)
    further = [call.frames - so_far for call, so_far in zip(crowd.calls, before, strict=True)]
    tell(f"{streams}: cut {further} frames behind a lowered budget")
    for call in crowd.calls:
        hold_end(case, call, is_cut=True)
    case.assertTrue(max(further) <= 1000 / streams.delay_ms + 2 * streams.lease, str(further))
    hold_ledger(case, house, key, word, streams.count)
    case.assertEqual({row.outcome for row in house.charges(word)}, {"cut/budget"})


def _prompt_tokens(prompt: str) -> int:
    """What the mock counts for a prompt that is to get a word of its own."""
    return -(-(len(prompt) + 13) // 4)


def hold_end(case: SynchronousTestCase, call: Exchange, *, is_cut: bool) -> None:
    """A stream ended truthfully: by itself, or for length where its budget was used up."""
    case.assertTrue(call.is_whole, bytes(call.received[-300:]))
    last = call.last
    reason = last.get("done_reason") or last["choices"][0]["finish_reason"]
    if is_cut:
        case.assertEqual((last["gateway_cut"], reason), ("budget", "length"))
    else:
        case.assertNotIn("gateway_cut", last)
        case.assertEqual(reason, "stop")


def hold_ledger(
    case: SynchronousTestCase, house: LimitsHouse, key: str, word: str, ran: int
) -> int:
    """Once all is flushed, the ledger has what ran and Redis what the ledger has; gives it.

    For an answer that came to its own end that is the mock's count.
    """
    eventually(lambda: len(house.charges(word)) == ran, FLUSHED_S)
    rows = house.charges(word)
    counted = {entry["word"]: entry["tokens"] for entry in house.entries(word)}
    for row in rows:
        if row.outcome == "ok":
            tokens = counted[row.client_id]
            case.assertEqual(row.charged, tokens["prompt"] + tokens["completion"])
    charged = sum(row.charged for row in rows)
    for period in ("day", "month", "total"):
        case.assertEqual(house.ledger(key, period), charged)
    budget = house.limits(key)["tenant"]["budget_total"]
    if budget is not None:
        eventually(lambda: left(house, key, "budget_total") == max(0, budget - charged))
    return charged


def spend_all(
    case: SynchronousTestCase, house: LimitsHouse, streams: Streams, *, stacks: Sequence[Stack] = ()
) -> None:
    """Answers shorter than a lease, wave after wave until none is admitted: all of it is spent."""
    word = new_word()
    one = streams.tokens + _prompt_tokens(streams.prompts(word)[0])
    key = house.new_key(many(budget_total=streams.paid * one))
    warm(house, key)
    ran, waves, admitted = 0, 0, -1
    while admitted:
        with house.crowd(key, streams.count, *streams.prompts(word), stacks=stacks) as crowd:
            crowd.wait(_ANSWERS_S)
        admitted = crowd.statuses()[200]
        ran, waves = ran + admitted, waves + 1
        # What an answer did not use of its lease is there for the next wave.
        eventually(lambda: not house.running(key), FLUSHED_S)
    charged = hold_ledger(case, house, key, word, ran)
    tell(f"{streams}: {ran} ran in {waves} waves, ledger {charged} of {streams.paid * one}")
    case.assertTrue(charged <= streams.paid * one, str(charged))
    case.assertTrue(charged >= (streams.paid - 2) * one, str(charged))


def leave(case: SynchronousTestCase, house: LimitsHouse, clients: int) -> None:
    """Clients that go in the middle: their slots are free at once, and they pay what was read."""
    budget, word = 10**6, new_word()
    key = house.new_key(many(concurrent=clients, budget_total=budget))
    warm(house, key)
    prompt = f"{word} [[n=1000 delay=20ms]]"
    with house.crowd(key, clients, prompt) as crowd:
        eventually(lambda: all(call.frames > 20 for call in crowd.calls))
        case.assertEqual(left(house, key, "concurrent"), 0)
    gone = time.monotonic()
    eventually(lambda: left(house, key, "concurrent") == clients)
    free_s = time.monotonic() - gone
    charged = hold_ledger(case, house, key, word, clients)
    relayed = sum(call.frames for call in crowd.calls)
    tell(
        f"{clients} clients gone: slots free after {free_s:.2f} s, {relayed} frames, {charged} paid"
    )
    case.assertTrue(free_s < within(1.0), f"{free_s} s")
    case.assertEqual({row.outcome for row in house.charges(word)}, {"client_abort"})
    case.assertTrue(charged >= relayed, f"{charged} for {relayed} frames")
    read = sum(entry["frames_sent"] for entry in house.entries(word))
    # A prompt is taken for less than twice what the mock counts.
    most = read + clients * _prompt_tokens(prompt) * 2
    case.assertTrue(charged <= most, f"{charged} for {read} frames")
