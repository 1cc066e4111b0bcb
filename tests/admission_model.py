"""What Redis should answer to the scripts of one tenant, in plain Python: their oracle.

Each method is a script and answers with the integers that it has to answer with.
"""

from collections.abc import Iterable

from attrs import define

from tests.admission_known import (
    GONE,
    OK,
    REFUSED,
    RPM,
    SLOT_MS,
    UNKNOWN,
    Known,
    Pending,
    day_of,
)
from tests.script_session import Beat, Line


@define
class Model(Known):
    """One tenant."""

    def admit(  # noqa: PLR0913 - what the script takes
        self, call_id: str, key: str, prompt: int, lease: int, *, gen: str, epoch: int
    ) -> list[int]:
        """Take all or nothing."""
        second = self.now() // 1000
        if (objection := self.objection(gen, epoch)) is not None:
            return objection
        if self.drop_expired():
            return [UNKNOWN]
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

    def look(self, key: str, *, gen: str) -> list[int]:
        """Tell what counts."""
        second, day = self.now() // 1000, day_of(self.wall_ms)
        if gen != self.gen:
            return [UNKNOWN]
        told = [OK, *self.figures(key)]
        for scope in ("t", key):
            window = self.windows[f"win:{scope}"]
            told += [window.used(second, 0), window.used(second, 1), self.running(scope)]
            told += [self.spent(scope, period, day) for period in ("day", "month", "total")]
        return told
