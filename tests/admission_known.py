"""What Redis should know of one tenant, in plain Python: counted anew for each question.

It keeps no running totals and forgets nothing before its time.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import define, field

from tests.script_session import NO_LIMITS, Line

OK, STALE, UNKNOWN, REFUSED, GONE = 1, 2, 3, 4, 30
RPM, TPM, SLOTS = 10, 11, 12
DAY, MONTH, TOTAL = 20, 21, 22

SPAN_S = 61
SLOT_MS = 30_000
KEPT_MS = {"running": 900_000, "settled": 86_400_000, "ended": 60_000}
MOST_DROPPED = 10
MOST_AT_ONCE = 1000


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
class Known:
    """What is known of one tenant."""

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

    def running(self, scope: str) -> int:
        """How many calls have a slot."""
        return sum(end > self.now() for end in self.slots[scope].values())

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

    def drop_expired(self) -> bool:
        """Forget a few of what nobody speaks for; where any counted, only the ledger knows."""
        if not self.drop(MOST_DROPPED):
            return False
        self.drop(MOST_AT_ONCE)
        self.gen = None
        return True

    def drop(self, most: int) -> bool:
        """Forget so many, the oldest first; whether any counted."""
        now = self.now()
        expired = sorted(
            (pending.until, call_id)
            for call_id, pending in self.pendings.items()
            if pending.until <= now
        )
        dropped = [self.pendings.pop(call_id) for _, call_id in expired[:most]]
        return any(pending.tokens > 0 for pending in dropped)

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

    def take(self, lines: Iterable[Line]) -> None:
        """Take the ledger's values."""
        for scope, period, first, tokens in lines:
            term = (scope, period, first)
            self.base[term] = max(tokens, self.base.get(term, 0))
