"""The pauses between attempts at what does not work now. Pure; times are in seconds."""

from collections.abc import Callable

from attrs import define, field

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0


@define
class BackOff:
    """Growing pauses, each shortened by chance so that many gateways do not knock at once.

    `chance` gives a number from 0 up to 1.
    """

    chance: Callable[[], float]
    _longest_s: float = field(default=FIRST_DELAY_S, init=False)

    def next(self) -> float:
        """The next pause: between half of what it may be and all of it."""
        pause = self._longest_s * (1 + self.chance()) / 2
        self._longest_s = min(2 * self._longest_s, LONGEST_DELAY_S)
        return pause

    def reset(self) -> None:
        """All is well again."""
        self._longest_s = FIRST_DELAY_S
