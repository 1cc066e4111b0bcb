"""What Redis should know of one tenant and answer, in plain Python: the oracle of the scripts.

It keeps no running totals and forgets nothing before its time: each answer is counted anew from
what happened. Its methods answer with the integers that the scripts have to answer with.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import define, field

from tests.script_session import NO_LIMITS, Beat, Line

OK, STALE, UNKNOWN, REFUSED, GONE = 1, 2, 3, 4, 30
RPM, TPM, SLOTS = 10, 11, 12
DAY, MONTH, TOTAL = 20, 21, 22

SPAN_S = 61
SLOT_MS = 30_000
KEPT_MS = {"running": 900_000, "settled": 86_400_000, "ended": 60_000}
MOST_DROPPED = 10


def day_of(ms: int) -> str:
    """The UTC day of a moment in milliseconds since 1970."""
    return datetime.fromtimestamp(ms // 1000, UTC).date().isoformat()


@define
class Pending:
    """A call that may cost, or has cost, and is not in the ledger."""

    state: str
    key: str
    day: str
    tokens: int
    until: int
    at: int = 0
    drawn_at: int = 0
    drawn: int = 0


@define
class Window:
    """Requests and tokens by the second."""

    booked: dict[int, list[int]] = field(factory=lambda: defaultdict(lambda: [0, 0]))

    def used(self, second: int, which: int) -> int:
        """The total of a minute, as long as it may be in seconds."""
        return sum(both[which] for at, both in self.booked.items() if at > second - SPAN_S)

    def book(self, second: int, requests: int, tokens: int) -> None:
        """Add to a second."""
        self.booked[second][0] += requests
        self.booked[second][1] += tokens

    def give_back(self, second: int, at: int, requests: int, tokens: int) -> None:
        """Take from an earlier second, no more than it has."""
        if at > second - SPAN_S:
            both = self.booked[at]
            both[0] -= min(requests, both[0])
            both[1] -= min(tokens, both[1])

    def wait(self, second: int, which: int, most: int) -> int:
        """The seconds until no more than `most` is left of what is there."""
        left = (after for after in range(1, SPAN_S) if self.used(second + after, which) <= most)
        return next(left, SPAN_S)


@define
class Model:
    """One tenant."""

    wall_ms: int
    gen: str | None = None
    epoch: int | None = None
    limits: dict[str, tuple[int, ...]] = field(factory=dict)
    clock: int = 0
    offset: int = 0
    base: dict[tuple[str, str, str], int] = field(factory=dict)
    pendings: dict[str, Pending] = field(factory=dict)
    windows: dict[str, Window] = field(factory=lambda: defaultdict(Window))
    slots: dict[str, dict[str, int]] = field(factory=lambda: defaultdict(dict))

    def lose(self) -> None:
        """Redis is empty."""
        for known in (self.base, self.pendings, self.windows, self.slots):
            known.clear()
        self.gen = self.epoch = None
        self.clock = self.offset = 0

    def now(self) -> int:
        """The time in milliseconds, which goes on where the clock steps back."""
        now = self.wall_ms + self.offset
        if now < self.clock:
            self.offset += self.clock - now
            now = self.clock
        if now // 1000 > self.clock // 1000:
            self.clock = now
        return now

    def spent(self, scope: str, period: str, day: str) -> int:
        """What counts for a budget in the period of this day."""
        within = {"day": day, "month": day[:8], "total": ""}[period]
        first = {"day": day, "month": f"{day[:8]}01", "total": "1970-01-01"}[period]
        return self.base.get((scope, period, first), 0) + sum(
            pending.tokens
            for pending in self.pendings.values()
            if scope in ("t", pending.key) and pending.day.startswith(within)
        )

    def budgets(self, key: str, day: str) -> list[tuple[int, int, int, int]]:
        """The budgets that are set: period, level, limit, rest; the longest first."""
        return [
            (DAY + place, level, limit, limit - self.spent(scope, period, day))
            for place, period in reversed(list(enumerate(("day", "month", "total"))))
            for level, scope in enumerate(("t", key))
            if (limit := self.limits_of(scope)[3 + place]) >= 0
        ]

    def limits_of(self, scope: str) -> tuple[int, ...]:
        """The six limits of a scope."""
        return self.limits.get(scope, NO_LIMITS)

    def figures(self, key: str, requests: str = "win") -> list[int]:
        """What the caller reads of his limits."""
        second = self.now() // 1000
        numbers = []
        for which, kind in enumerate((requests, "win")):
            rests = [
                (limit - self.windows[f"{kind}:{scope}"].used(second, which), level, limit)
                for level, scope in enumerate(("t", key))
                if (limit := self.limits_of(scope)[which]) >= 0
            ]
            rest, _, limit = min(rests, default=(-1, 0, -1))
            numbers += [limit, max(0, rest) if rests else -1]
        rest, _, period = min(
            (
                (rest, level, code - DAY + 1)
                for code, level, _, rest in self.budgets(key, day_of(self.wall_ms))
            ),
            default=(0, 0, 0),
            key=lambda row: (row[0], row[1], row[2]),
        )
        return [*numbers, period, max(0, rest), self.wall_ms // 1000]

    def objection(self, gen: str, epoch: int) -> list[int] | None:
        """What is answered to a caller whose generation or epoch is not the right one."""
        if gen != self.gen:
            return [UNKNOWN]
        if self.epoch is not None and epoch < self.epoch:
            return [STALE, self.epoch]
        self.epoch = epoch
        return None

    def drop_expired(self) -> None:
        """Forget a few of what nobody speaks for."""
        now = self.now()
        expired = sorted(
            (pending.until, call_id)
            for call_id, pending in self.pendings.items()
            if pending.until <= now
        )
        for _, call_id in expired[:MOST_DROPPED]:
            del self.pendings[call_id]

    def admit(  # noqa: PLR0913 - what the script takes
        self, call_id: str, key: str, prompt: int, lease: int, *, gen: str, epoch: int
    ) -> list[int]:
        """Take all or nothing."""
        second = self.now() // 1000
        if (objection := self.objection(gen, epoch)) is not None:
            return objection
        self.drop_expired()
        pending = self.pendings.get(call_id)
        if pending is None:
            day, scopes = day_of(self.wall_ms), ("t", key)
            least, taken = prompt + min(lease, 1), prompt + lease
            budgets = self.budgets(key, day)
            for code, level, _, rest in budgets:
                if rest < max(least, 1):
                    return [code, level, self.until_end(code), *self.figures(key)]
            caps = [max(tpm, least) for scope in scopes if (tpm := self.limits_of(scope)[1]) >= 0]
            taken = min([taken, *caps, *(rest for *_, rest in budgets)])
            if full := self.full(scopes, taken):
                return [*full, *self.figures(key)]
            pending = Pending("running", key, day, taken, 0, second, second, taken)
            self.keep(call_id, pending)
            for scope in scopes:
                self.windows[f"win:{scope}"].book(second, 1, taken)
                self.slots[scope][call_id] = self.now() + SLOT_MS
        elif pending.state != "running":
            return [REFUSED]
        number = int(pending.day.replace("-", ""))
        return [OK, pending.tokens - prompt, number, *self.figures(key)]

    def full(self, scopes: Sequence[str], taken: int) -> list[int] | None:
        """The limit that takes longest to have room again, of those that have none."""
        now, found = self.now(), [0, 0, 0]
        second = now // 1000
        for level, scope in enumerate(scopes):
            window = self.windows[f"win:{scope}"]
            rpm, tpm, most, *_ = self.limits_of(scope)
            ends = sorted(end for end in self.slots[scope].values() if end > now)
            waits = []
            if 0 <= rpm < window.used(second, 0) + 1:
                waits.append((RPM, window.wait(second, 0, rpm - 1)))
            if 0 <= tpm < window.used(second, 1) + taken:
                waits.append((TPM, window.wait(second, 1, tpm - taken)))
            if 0 <= most < len(ends) + 1:
                waits.append((SLOTS, math.ceil((ends[0] - now) / 1000) if ends else 1))
            for code, wait in waits:
                if wait > found[2]:
                    found = [code, level, wait]
        return found if found[2] else None

    def until_end(self, code: int) -> int:
        """The seconds until a day or a month is over."""
        moment = datetime.fromtimestamp(self.wall_ms // 1000, UTC)
        end = moment.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        while code == MONTH and end.day != 1:
            end += timedelta(days=1)
        return int((end - moment).total_seconds())

    def keep(self, call_id: str, pending: Pending) -> None:
        """Keep a pending for as long as its state says."""
        pending.until = self.now() + KEPT_MS[pending.state]
        self.pendings[call_id] = pending

    def bury(self, call_id: str) -> None:
        """Leave a tombstone."""
        self.keep(call_id, Pending("ended", "", "", 0, 0))

    def extend(self, call_id: str, total: int, *, gen: str) -> list[int]:
        """Give a further lease, as far as budgets go."""
        pending = self.pendings.get(call_id)
        second = self.now() // 1000
        if gen != self.gen:
            return [UNKNOWN]
        if pending is None or pending.state != "running":
            return [GONE]
        rests = [rest for *_, rest in self.budgets(pending.key, pending.day)]
        more = min([total - pending.tokens, *rests])
        if more > 0:
            same = pending.drawn_at == second
            pending.drawn = more + (pending.drawn if same else 0)
            pending.drawn_at = second
            pending.tokens += more
            for scope in ("t", pending.key):
                self.windows[f"win:{scope}"].book(second, 0, more)
        self.keep(call_id, pending)
        return [OK, pending.tokens]

    def settle(self, call_id: str, key: str, cost: int, *, gen: str) -> list[int]:
        """Know what a call cost."""
        self.free(call_id, key)
        pending = self.pendings.get(call_id)
        second = self.now() // 1000
        if gen != self.gen:
            return [UNKNOWN]
        if pending is None or pending.state == "ended":
            return [GONE]
        if pending.state == "running":
            more = cost - pending.tokens
            for scope in ("t", key):
                window = self.windows[f"win:{scope}"]
                window.book(second, 0, max(0, more))
                back = min(max(0, -more), pending.drawn)
                window.give_back(second, pending.drawn_at, 0, back)
            pending.state, pending.tokens = "settled", cost
            self.keep(call_id, pending)
        return [OK]

    def free(self, call_id: str, key: str) -> None:
        """End a call's slots."""
        for scope in ("t", key):
            self.slots[scope].pop(call_id, None)

    def release(self, call_id: str, key: str) -> list[int]:
        """Give all back."""
        pending = self.pendings.get(call_id)
        second = self.now() // 1000
        if pending is not None and pending.state == "settled":
            return [GONE]
        self.free(call_id, key)
        if pending is not None and pending.state == "running":
            for scope in ("t", key):
                window = self.windows[f"win:{scope}"]
                window.give_back(second, pending.at, 1, 0)
                window.give_back(second, pending.drawn_at, 0, pending.drawn)
        self.bury(call_id)
        return [OK]

    def heartbeat(self, beats: Iterable[Beat], *, gen: str) -> list[int]:
        """Keep what is alive, and put back what is lost."""
        now = self.now()
        if gen != self.gen:
            return [UNKNOWN]
        for beat in beats:
            state = "running" if beat.runs else "settled"
            new = Pending(state, beat.key, beat.day, beat.tokens, 0)
            pending = self.pendings.get(beat.id, new)
            if pending.state == "ended":
                continue
            if pending.state == "running":
                pending.tokens = max(pending.tokens, beat.tokens)
            self.keep(beat.id, pending)
            if beat.runs and pending.state == "running":
                for scope in ("t", beat.key):
                    self.slots[scope][beat.id] = now + SLOT_MS
        return [OK]

    def flushed(self, ids: Iterable[str], lines: Iterable[Line], *, gen: str) -> list[int]:
        """End pendings that the ledger has, and take its values."""
        self.now()
        if gen != self.gen:
            return [UNKNOWN]
        for call_id in ids:
            self.bury(call_id)
        self.take(lines)
        return [OK]

    def take(self, lines: Iterable[Line]) -> None:
        """Take the ledger's values."""
        for scope, period, first, tokens in lines:
            term = (scope, period, first)
            self.base[term] = max(tokens, self.base.get(term, 0))

    def rebuild(self, lines: Iterable[Line], *, gen: str) -> list[int]:
        """Begin a generation, or hear more of the ledger."""
        now = self.now()
        if self.gen is not None and gen != self.gen:
            self.clock = now
            self.pendings.clear()
            self.base.clear()
        self.gen = gen
        self.take(lines)
        return [OK]

    def count(self, key: str, *, gen: str, epoch: int) -> list[int]:
        """Count a list."""
        second = self.now() // 1000
        if (objection := self.objection(gen, epoch)) is not None:
            return objection
        found = [0, 0]
        for level, scope in enumerate(("t", key)):
            rpm, window = self.limits_of(scope)[0], self.windows[f"list:{scope}"]
            if 0 <= rpm < window.used(second, 0) + 1:
                wait = window.wait(second, 0, rpm - 1)
                found = [level, wait] if wait > found[1] else found
        if found[1]:
            return [RPM, *found, *self.figures(key, "list")]
        for scope in ("t", key):
            self.windows[f"list:{scope}"].book(second, 1, 0)
        return [OK, *self.figures(key, "list")]
