"""What the log says of connections that were too many: how many, why, and which setting it was."""

from enum import Enum
from math import inf

from attrs import define, field
from twisted.logger import Logger

LOG_EVERY_S = 60.0
_log = Logger()


class Reason(Enum):
    """Why a connection was refused or closed, as the log says it."""

    ADDRESS = "{who} {limit} connections (GATEWAY_MAX_CONNECTIONS_PER_ADDRESS); {count} refused"
    TOTAL = (
        "there are {limit} connections (GATEWAY_MAX_CONNECTIONS); "
        "{count} closed that waited for a request"
    )
    ALL_ANSWERED = (
        "there are {limit} connections (GATEWAY_MAX_CONNECTIONS), all of them being answered; "
        "{count} refused"
    )
    UNREAD = "more than {limit} bytes of answers that nobody reads; {count} connections closed"
    HEADS = "more than {limit} bytes of unfinished heads; {count} connections closed"


@define
class _Tally:
    limit: int
    told_at: float = -inf
    count: int = 0
    who: str = ""
    others: bool = False


@define
class Excess:
    """Counts them by reason, and tells of each reason at most once a minute."""

    _tallies: dict[Reason, _Tally] = field(factory=dict, init=False)

    @property
    def is_told(self) -> bool:
        """Whether the log knows of all of them."""
        return not any(tally.count for tally in self._tallies.values())

    def note(self, reason: Reason, limit: int, now: float, who: str = "") -> None:
        """Count one; `who` is the address that is over a limit of its own."""
        tally = self._tallies.setdefault(reason, _Tally(limit))
        if tally.count and who != tally.who:
            tally.others = True
        tally.who = tally.who or who
        tally.count += 1
        self.tell(now)

    def tell(self, now: float) -> None:
        """Write what may be written by now; all of it where `now` is infinite."""
        for reason, tally in self._tallies.items():
            if tally.count and now - tally.told_at >= LOG_EVERY_S:
                who = f"{tally.who} and others have" if tally.others else f"{tally.who} has"
                _log.warn(reason.value, who=who, limit=tally.limit, count=tally.count)
                self._tallies[reason] = _Tally(tally.limit, told_at=now)
