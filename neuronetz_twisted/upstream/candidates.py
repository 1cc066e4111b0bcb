"""Which backend a call is sent to, and to which next: the order of SPEC 6."""

from attrs import Factory, define, field

from neuronetz_twisted.errors import (
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from neuronetz_twisted.upstream.hosts import NO_ROOM, Host

_TELLING = (UpstreamBusy, UpstreamTimeout, UpstreamFailed, NotAllowed)
"""Which of several refusals the client gets: the first says that it pays to come again."""


@define(eq=False)
class Candidates:
    """The backends that a call for `model` may still be sent to, in their order.

    A backend that is given up for its silence comes again when all others have failed, and is then
    waited for as long as any: it may only be slow.
    """

    model: str
    _untried: list[Host]
    _silent: list[Host] = field(init=False, default=Factory(list))
    _failures: list[Refusal] = field(init=False, default=Factory(list))

    def next(self, now: float) -> tuple[Host, bool] | None:
        """Whom to ask now, and whether he was given up before; None where nobody is left."""
        host = _best(self._untried, self.model, now)
        if host is not None:
            return host, False
        host = _best(self._silent, self.model, now)
        return None if host is None else (host, True)

    def gave_up(self, host: Host) -> None:
        """Put a silent one behind all others."""
        self._untried.remove(host)
        self._silent.append(host)

    def failed(self, host: Host, refusal: Refusal) -> None:
        """Ask it no more."""
        (self._untried if host in self._untried else self._silent).remove(host)
        self._failures.append(refusal)

    def better_than(self, host: Host, *, at_once: bool) -> bool:
        """Whether another one is well and was not tried; `at_once`: and has a place."""
        return any(
            other is not host
            and other.is_well(self.model)
            and (other.room.is_free if at_once else not other.room.is_full)
            for other in self._untried
        )

    def refusal(self) -> Refusal:
        """What the client is told when nobody is left to ask."""
        left = [*self._untried, *self._silent]
        if left:
            left[0].room.turned_away()
            return UpstreamBusy(why="queue")
        for kind in _TELLING:
            for refusal in self._failures:
                if isinstance(refusal, kind):
                    return refusal
        return UpstreamFailed(why="no_backend")


def _best(hosts: list[Host], model: str, now: float) -> Host | None:
    best, least = None, NO_ROOM
    for host in hosts:
        rank = host.rank(model, now)
        if rank < least:
            best, least = host, rank
            if not rank:
                break
    return best
