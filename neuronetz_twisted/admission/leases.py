"""The output tokens that one answer may still have, of a caller with a budget (SPEC 7). Pure.

    flowing --half of a lease is left--> flowing, a draw is under way --granted--> flowing
       |                                    |
       +-------------- used up -------------+--> held --granted--> flowing
                                                  |---nothing granted--> cut
                                                  +---10 s--> the honest error

Frames are counted as tokens. No frame goes on that no lease covers, however many come in one read;
so what is passed on never is more than what was granted. Whoever relays offers each read to
`passing` and then does what `step` says; nothing here has a timer. Times are in seconds of the
relay's clock.
"""

from enum import Enum

from attrs import define, field

HOLD_S = 10.0
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 1.0

CUT_REASON = "length"


class Step(Enum):
    """What the relay has to do."""

    FLOW = "read on"
    DRAW = "ask for a lease, and read on"
    HOLD = "pause the model host until the lease is there"
    DRAW_AND_HOLD = "ask for a lease, and pause the model host until it is there"
    CUT = "end the answer with the length that the budget had"
    FAIL = "end the answer with the honest error"


@define(kw_only=True)
class TokenLeases:
    """The leases of one answer.

    `prompt` is the estimate that was reserved with the first lease of `granted` tokens, `size` how
    many are drawn at a time. `most` is the `num_predict` that the model host was given: no lease is
    drawn ahead for what it will not write.
    """

    prompt: int
    granted: int
    size: int
    most: int
    used: int = field(default=0, init=False)
    _is_drawing: bool = field(default=False, init=False)
    _is_exhausted: bool = field(default=False, init=False)
    _held_since: float | None = field(default=None, init=False)
    _retry_s: float = field(default=FIRST_RETRY_S, init=False)
    _not_before: float = field(default=0.0, init=False)

    @property
    def reserved(self) -> int:
        """What is pending for the call: in Redis, and in its record should this process die."""
        return self.prompt + self.granted

    @property
    def want(self) -> int:
        """What the call is to have in all with the next lease, its prompt among it.

        A total, so that a draw whose answer was lost is not drawn twice.
        """
        ahead = self.most - self.granted
        return self.reserved + (min(self.size, ahead) if ahead > 0 else self.size)

    @property
    def is_held(self) -> bool:
        """Whether frames wait for a lease."""
        return self._held_since is not None

    @property
    def look_at(self) -> float | None:
        """When `step` has to be asked again, if nothing happens before; None while it flows."""
        if self._held_since is None:
            return None
        give_up = self._held_since + HOLD_S
        return give_up if self._is_drawing else min(self._not_before, give_up)

    def passing(self, frames: int, now: float) -> int:
        """Count frames that came or were held; gives how many of them may go on.

        The others are held: they are to be offered again when a draw was answered.
        """
        passed = min(frames, self.granted - self.used)
        self.used += passed
        if passed == frames:
            self._held_since = None
        elif self._held_since is None:
            self._held_since = now
            # What was refused ahead of need is asked for once more: others may have given back.
            self._is_exhausted = False
        elif passed:
            self._held_since = now
        return passed

    def step(self, now: float) -> Step:
        """What is to be done now."""
        may_draw = not self._is_drawing and now >= self._not_before
        if self._held_since is None:
            is_due = may_draw and not self._is_exhausted and self._is_low()
            return Step.DRAW if is_due else Step.FLOW
        if self._is_exhausted:
            return Step.CUT
        if now >= self._held_since + HOLD_S:
            return Step.FAIL
        return Step.DRAW_AND_HOLD if may_draw else Step.HOLD

    def drawing(self) -> None:
        """A lease was asked for."""
        self._is_drawing = True

    def drew(self, total: int) -> None:
        """Redis has answered: so many tokens has the call in all; no more than before is a no."""
        self._is_drawing = False
        self._retry_s = FIRST_RETRY_S
        self._not_before = 0.0
        self._is_exhausted = total <= self.reserved
        self.granted = max(self.granted, total - self.prompt)

    def failed(self, now: float) -> None:
        """Redis has not answered, or did not know: asked again after a pause that grows."""
        self._is_drawing = False
        self._not_before = now + self._retry_s
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _is_low(self) -> bool:
        """Whether at most half of a lease is left of what the model host may yet write."""
        return self.granted < self.most and 2 * (self.granted - self.used) <= max(self.size, 2)


def clamped_predict(num_predict: int, lease: int, remaining_budget: int | None) -> int:
    """The `num_predict` that goes to the model host: no more than the budget has left.

    `remaining_budget` is what is left beside the first lease, None without a budget.
    """
    if remaining_budget is None:
        return num_predict
    return max(1, min(num_predict, lease + max(0, remaining_budget)))


def is_cut_by_budget(num_predict: int, clamped: int, reason: str | None) -> bool:
    """Whether a model host that ended for length did so because of the budget."""
    return clamped < num_predict and reason == CUT_REASON
